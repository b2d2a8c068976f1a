"""The helper processes of a transfer worker: what they bring, and what dies when."""

from __future__ import annotations

import errno
import json
import logging
import marshal
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import psutil
import pytest

from gangamon.errors import BackendUnreachable, DiskFull, StorageAway, TransientError
from gangamon.fetchers import helpers, stored
from gangamon.outdir import helper, small, tree
from gangamon.protocols import Manifest
from gangamon.testing.factories import fetch_order
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[helpers.Helpers]:
    """Of each test its own, whatever file system it runs on."""
    found = helpers.Helpers(1)
    monkeypatch.setattr(helpers, "HELPERS", found)
    monkeypatch.setattr(stored._Last, "device", None)
    monkeypatch.setattr(os, "major", lambda _: 8)
    yield found
    found.close()


def job(top: Path, number: int, files: int = 5, size: int = 2000) -> Path:
    """Its output directory."""
    output, store = top / "jobs" / str(number) / "output", top / "store" / str(number)
    output.mkdir(parents=True)
    store.mkdir(parents=True)
    lines = []
    for n in range(files):
        (store / f"out{n}").write_bytes(os.urandom(size))
        lines.append(f"massstorage out{n} {store}/out{n}\n")
    (output / stored.LOCATIONS).write_text("".join(lines))
    return output


def complete(top: Path, number: int, attempt: int = 1) -> Manifest:
    order = fetch_order(
        str(top / "jobs" / str(number) / "output"),
        [str(top / "jobs")],
        attempt=attempt,
        extra={"storage_files": '["out*"]'},
    )
    return stored.complete(order, Manifest(()), lambda _: nullcontext())


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("out*")}


def pids(of: helpers.Helpers) -> list[int]:
    return [one.pid for one in of._all]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_helper_brings_what_this_process_would(
    tmp_path: Path, ours: helpers.Helpers, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = job(tmp_path, 0)
    first = complete(tmp_path, 0)
    assert pids(ours) == []  # who has no such jobs has no such processes
    assert content(output) == content(tmp_path / "store" / "0")
    output = job(tmp_path, 1)
    monkeypatch.setattr(small, "bring", lambda *_: pytest.fail("brought here"))
    found = complete(tmp_path, 1)
    assert len(pids(ours)) == 1
    assert content(output) == content(tmp_path / "store" / "1")
    assert [path for path, _, _ in found.files] == [path for path, _, _ in first.files]
    assert not [name for name in os.listdir(output) if name.startswith(f"{tree.NAME}.")]
    body = json.loads((output / tree.NAME).read_text())
    assert [tuple(entry[:3]) for entry in body["files"]] == list(found.files)
    for path, _, _, modified in body["files"]:
        assert (output / path).stat().st_mtime_ns == modified


def test_what_is_not_for_it(tmp_path: Path, ours: helpers.Helpers) -> None:
    for number in range(3):
        job(tmp_path, number)
    complete(tmp_path, 0)
    (tmp_path / "store" / "1" / "out3").write_bytes(bytes(small.SMALL))
    assert ("out3", small.SMALL) in [entry[:2] for entry in complete(tmp_path, 1).files]
    assert stored._Last.device is None
    assert len(complete(tmp_path, 2).files) == 6
    assert len(pids(ours)) == 1


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    job(tmp_path, 0)
    complete(tmp_path, 0)
    output = job(tmp_path, 1)
    with open(os.path.join(os.fsencode(output), b"caf\xe9"), "wb") as file:
        file.write(b"x")
    assert os.fsdecode(b"caf\xe9") in [path for path, _, _ in complete(tmp_path, 1).files]


def test_killed_in_the_middle_of_an_order(
    tmp_path: Path, ours: helpers.Helpers, caplog: pytest.LogCaptureFixture
) -> None:
    """The order is done all the same, and the next by another."""
    caplog.set_level(logging.CRITICAL, "gangamon.fetchers.helpers")
    job(tmp_path, 0)
    complete(tmp_path, 0)
    output = job(tmp_path, 1, files=3000, size=10)
    complete(tmp_path, 0, attempt=2)
    (victim,) = pids(ours)
    found: list[Manifest] = []
    for attempt in range(1, 11):
        work = threading.Thread(target=lambda n=attempt: found.append(complete(tmp_path, 1, n)))
        os.replace(output / stored.LOCATIONS, tmp_path / "locations")
        for path in output.iterdir():
            path.unlink()
        os.replace(tmp_path / "locations", output / stored.LOCATIONS)
        work.start()
        until(lambda: len(os.listdir(output)) > 10, 120, "it has begun")
        os.kill(victim, signal.SIGSTOP)
        until(lambda: psutil.Process(victim).status() == psutil.STATUS_STOPPED, 120, "it stands")
        middle = not (output / tree.NAME).exists()
        os.kill(victim, signal.SIGKILL if middle else signal.SIGCONT)
        work.join(120)
        if middle:
            break
    assert middle, "it was never found in the middle"
    assert content(output) == content(tmp_path / "store" / "1")
    assert len(found[-1].files) == 3001
    assert pids(ours) == []
    complete(tmp_path, 0, attempt=3)
    assert len(pids(ours)) == 1
    assert pids(ours) != [victim]


def test_one_that_was_killed_before(
    tmp_path: Path, ours: helpers.Helpers, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "gangamon.fetchers.helpers")
    job(tmp_path, 0)
    complete(tmp_path, 0)
    complete(tmp_path, 0, attempt=2)
    (victim,) = pids(ours)
    os.kill(victim, signal.SIGKILL)
    for attempt in (3, 4):
        assert len(complete(tmp_path, 0, attempt).files) == 6
    assert len(pids(ours)) == 1
    assert pids(ours) != [victim]


def test_none_can_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job(tmp_path, 0)
    complete(tmp_path, 0)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    assert len(complete(tmp_path, 0, attempt=2).files) == 6


def test_none_ever_answers(
    tmp_path: Path,
    ours: helpers.Helpers,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is not tried for ever."""
    caplog.set_level(logging.WARNING, "gangamon.fetchers.helpers")
    job(tmp_path, 0)
    complete(tmp_path, 0)
    monkeypatch.setattr(helpers, "_CODE", "pass")
    for attempt in range(2, 4 + helpers.VAIN):
        assert len(complete(tmp_path, 0, attempt).files) == 6
    assert len(caplog.records) == helpers.VAIN
    assert pids(ours) == []


def test_closed_and_asked_again(tmp_path: Path, ours: helpers.Helpers) -> None:
    job(tmp_path, 0)
    for attempt in range(1, 5):
        assert len(complete(tmp_path, 0, attempt).files) == 6
        assert len(pids(ours)) == (attempt > 1)
        ours.close()
        assert pids(ours) == []


def test_the_same_errors(tmp_path: Path, ours: helpers.Helpers) -> None:
    """And whoever tells of them is asked again."""
    job(tmp_path, 0)
    complete(tmp_path, 0)
    output, store = job(tmp_path, 1), tmp_path / "store" / "1"
    texts = []
    for _ in range(2):
        (store / "out4").unlink()
        with pytest.raises(TransientError) as missing:
            complete(tmp_path, 1)
        (store / "out4").mkdir()
        with pytest.raises(TransientError) as irregular:
            complete(tmp_path, 1)
        (store / "out4").rmdir()
        (store / "out4").symlink_to("out4")
        with pytest.raises(StorageAway) as looped:
            complete(tmp_path, 1)
        (store / "out4").unlink()
        (store / "out4").write_text("x")
        (output / "out4").mkdir()
        with pytest.raises(StorageAway) as taken:
            complete(tmp_path, 1)
        (output / "out4").rmdir()
        assert not (output / tree.NAME).exists()
        texts.append([str(each.value) for each in (missing, irregular, looped, taken)])
        kinds = [type(each.value) for each in (missing, irregular, looped, taken)]
        assert kinds == [TransientError, TransientError, StorageAway, StorageAway]
        assert len(pids(ours)) == 1
        stored._Last.device = None  # then of this process
    assert texts[0][:3] == texts[1][:3]
    assert f"{store}/out4: not there" in texts[0][0]
    assert all("Is a directory" in each[3] and str(output) in each[3] for each in texts)


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EIO, OSError)],
    ids=["full", "quota", "broken"],
)
def test_what_the_disk_says(
    tmp_path: Path, number: int, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = job(tmp_path, 0)
    request = {
        "target": str(output),
        "roots": [str(tmp_path)],
        "fqid": "42.0",
        "attempt": 1,
        "device": output.stat().st_dev,
        "patterns": ["*"],
        "protocol": "",
        "sums": {},
        "left_out": [],
    }

    def refused(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", refused)
    answer = helper.answer(marshal.dumps(request))
    monkeypatch.undo()
    with pytest.raises(kind, match=os.strerror(number)):
        helper.taken(answer[helper.HEAD :])
    assert os.listdir(output) == [stored.LOCATIONS]


def test_an_answer_that_is_none() -> None:
    for none in (b"", b"\n", b"{", marshal.dumps(7), marshal.dumps([7])):
        with pytest.raises(ValueError, match=r"marshal|EOF|iterable|sequence"):
            helper.taken(none)
    with pytest.raises(KeyError):
        helper.taken(marshal.dumps({"error": "SystemExit", "text": ""}))
    with pytest.raises(BackendUnreachable, match="x"):
        helper.taken(marshal.dumps({"error": "BackendUnreachable", "text": "x"}))


_WORKER = """
import json, os, sys
from pathlib import Path
os.major = lambda _: 8
from gangamon.fetchers import helpers
from tests.integration import test_fetch_helpers as t
top = Path(sys.argv[1])
helpers.HELPERS = helpers.Helpers(1)
t.complete(top, 0)
t.complete(top, 0, attempt=2)
print(json.dumps(t.pids(helpers.HELPERS)), flush=True)
"""


def worker(top: Path, code: str) -> subprocess.Popen[str]:
    job(top, 0)
    return subprocess.Popen(
        [sys.executable, "-c", _WORKER + code, str(top)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def test_it_ends_with_its_worker(tmp_path: Path) -> None:
    """However that ends."""
    for how, name in ((signal.SIGKILL, "killed"), (None, "ended")):
        process = worker(tmp_path / name, "sys.stdin.read()")
        assert process.stdin is not None and process.stdout is not None
        (pid,) = json.loads(process.stdout.readline())
        assert not gone(pid)
        if how is not None:
            process.send_signal(how)
        process.stdin.close()
        assert process.wait(120) == (0 if how is None else -how)
        process.stdout.close()
        until(lambda pid=pid: gone(pid), 120, "it is gone")  # type: ignore[misc]


_FORK = """
child = os.fork()
if child == 0:
    t.complete(top, 0, attempt=3)
    print(json.dumps(t.pids(helpers.HELPERS)), flush=True)
    sys.stdin.read()  # lives longer than its parent's helper
    helpers.HELPERS.close()
    os._exit(0)
t.complete(top, 0, attempt=4)
print(json.dumps(t.pids(helpers.HELPERS)), flush=True)
helpers.HELPERS.close()
print(json.dumps([]), flush=True)
os.waitpid(child, 0)
"""


def test_a_worker_that_forks(tmp_path: Path) -> None:
    """The child has helpers of its own, and does not keep its parent's alive."""
    process = worker(tmp_path, _FORK)
    assert process.stdin is not None and process.stdout is not None
    lines = [json.loads(process.stdout.readline()) for _ in range(4)]
    (pid,) = lines.pop(0)
    lines.remove([])
    lines.remove([pid])  # still the parent's
    ((other,),) = lines
    assert other != pid
    until(lambda: gone(pid), 120, "the parent's is gone")
    assert not gone(other)
    process.stdin.close()
    assert process.wait(120) == 0
    process.stdout.close()
    until(lambda: gone(other), 120, "the child's is gone")
