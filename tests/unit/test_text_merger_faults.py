"""TextMerger when run twice, killed, out of room; and the manifest that the check reads."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gangamon import postprocess
from gangamon.domain.status import JobStatus
from gangamon.errors import DiskFull, MergeFailed, TransientError
from gangamon.postprocess import frames, manifest
from gangamon.postprocess.text import TextMerger
from gangamon.protocols import Manifest
from gangamon.testing.conformance import snapshot
from tests.unit.merging import Master, frame

FAILED = JobStatus.FAILED


@pytest.fixture(params=[False, True], ids=["new", "made"])
def master(request: pytest.FixtureRequest, tmp_path: Path) -> Master:
    return Master(tmp_path / "42", made=request.param)


def test_nothing_to_merge(master: Master) -> None:
    """All subjobs ignored: no output, success, and check finds nothing wrong."""
    master.put(0, "out.txt", b"", FAILED)
    assert master.merge("out.txt", ignorefailed=True) == Manifest(())
    assert master.names() == set()
    assert postprocess.verify(str(master.target)) == []


def test_twice_changes_nothing(master: Master) -> None:
    """A second run returns what the first made, without overwrite, and touches no file."""
    master.put(0, "out.txt", b"0")
    first = master.merge("out.txt")
    before = snapshot(str(master.target))
    assert master.merge("out.txt") == first
    assert snapshot(str(master.target)) == before


def test_other_inputs_are_another_merge(master: Master) -> None:
    """After a resubmission the old result is not passed off as the new one."""
    path = master.put(0, "out.txt", b"0")
    master.merge("out.txt")
    path.write_bytes(b"new")
    with pytest.raises(MergeFailed, match="over writing"):
        master.merge("out.txt")
    with pytest.raises(MergeFailed, match="over writing"):
        master.merge("out.txt", attempt=2)
    master.merge("out.txt", attempt=2, overwrite=True)
    assert master.body("out.txt") == frame((path, b"new"))


def test_a_crash_between_two_outputs(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the first output got its name, the next run makes the second, and does not
    take the first for a stranger's."""
    a, b = master.put(0, "a.txt", b"a"), master.put(0, "b.txt", b"b")
    replace: Callable[[str, str], None] = os.replace

    def die(source: str, target: str) -> None:
        if target.endswith("/b.txt"):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        master.merge("a.txt", "b.txt")
    monkeypatch.undo()
    before = snapshot(str(master.target))["a.txt"]
    assert postprocess.verify(str(master.target)) == [f"{master.target}/b.txt: missing"]
    assert len(master.merge("a.txt", "b.txt").files) == 2
    assert snapshot(str(master.target))["a.txt"] == before
    assert master.body("a.txt") == frame((a, b"a"))
    assert master.body("b.txt") == frame((b, b"b"))
    assert postprocess.verify(str(master.target)) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk(master: Master, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """DiskFull, whenever it happens, and nothing stays behind."""
    for sub in range(2):
        master.put(sub, "out.txt", b"0")
    monkeypatch.setattr(frames, "_CHUNK", 2)
    monkeypatch.setattr(frames, "_BLOCK", 2)
    write: Callable[..., int] = frames.Sink._write
    for survived in range(6):
        left = iter([True] * survived)

        def full(sink: Any, data: bytes, left: Any = left) -> int:
            if next(left, False):
                return write(sink, data)
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(frames.Sink, "_write", full)
        with pytest.raises(DiskFull):
            master.merge("out.txt")
        assert snapshot(str(master.target)) == {}


def test_another_error_of_the_disk_may_pass(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EIO and the like are tried again, and nothing stays behind."""
    master.put(0, "out.txt", b"0")

    def broken(file: object) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(manifest, "settle", broken)
    with pytest.raises(TransientError, match="broken"):
        master.merge("out.txt")
    assert snapshot(str(master.target)) == {}


def test_an_unmounted_home_is_no_missing_file(master: Master) -> None:
    """Without the master's own directory it is tried again, and ignorefailed hides nothing."""
    master.put(0, "out.txt", b"0")
    order = master.order("out.txt", ignorefailed=True)
    master.root.rename(master.root.with_name("away"))
    with pytest.raises(TransientError, match="mounted"):
        TextMerger().run(order)


def test_a_process_that_was_killed(master: Master) -> None:
    """Its temporary is removed by the next merge; that of a living process is not."""
    master.put(0, "out.txt", b"0")
    master.target.mkdir(exist_ok=True)
    dead = 2**22 + 1  # beyond the largest process id there is
    host = socket.gethostname()
    names = [f".gangamon-tmp-{pid}-00-{host}" for pid in (dead, os.getpid())]
    for name in names:
        (master.target / name).write_text("half")
    foreign = master.target / f".gangamon-tmp-{dead}-00-other-host"
    foreign.write_text("half")
    master.merge("out.txt")
    assert names[0] not in master.names()
    assert {names[1], foreign.name} < master.names()


def test_memory_is_bounded(master: Master) -> None:
    """A big input is not read whole: 64 MB are merged within 24 MB more than before."""
    path = master.put(0, "out.txt", b"")
    with open(path, "wb") as file:
        for _ in range(64):
            file.write(b"a\r\n" * 349_525 + b"\r")
    code = (
        "import re, sys\n"
        "from gangamon.testing.factories import merge_order\n"
        "from gangamon.domain.status import JobStatus\n"
        "from gangamon.postprocess.text import TextMerger\n"
        # Not getrusage: its maximum begins with that of the process that started this one.
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
        "before = peak()\n"
        "inputs = [('42.0', JobStatus.COMPLETED, sys.argv[1])]\n"
        "TextMerger().run(merge_order(sys.argv[2], inputs, 'out.txt'))\n"
        "print(peak() - before)\n"
    )
    asked = [sys.executable, "-c", code, str(path.parent), str(master.target)]
    grown = int(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
    assert grown < 24 * 1024


def test_verify_finds_every_fault(master: Master) -> None:
    """Another size, another content and a missing file are told, each with its path."""
    for name in ("a", "b", "c", "d"):
        master.put(0, name, b"0")
    master.merge("a", "b")
    master.merge("c", "d")
    assert postprocess.verify(str(master.target)) == []
    with open(master.target / "a", "ab") as file:
        file.write(b"more")
    content = (master.target / "b").read_bytes()
    (master.target / "b").write_bytes(content.replace(b"0\n", b"1\n"))
    (master.target / "c").unlink()
    faults = postprocess.verify(str(master.target))
    assert [fault.partition(": ")[0] for fault in faults] == [
        f"{master.target}/{name}" for name in ("a", "b", "c")
    ]
    assert "bytes" in faults[0] and "checksum" in faults[1] and "missing" in faults[2]


def test_verify_without_a_manifest(master: Master) -> None:
    """Where nothing was merged, or the manifest is damaged, that is the fault."""
    master.put(0, "a", b"0")
    (fault,) = postprocess.verify(str(master.target))
    assert "no manifest" in fault
    master.merge("a")
    (master.target / ".gangamon-merge.json").write_text("{")
    assert len(postprocess.verify(str(master.target))) == 1


def test_the_manifest_names_the_attempt(master: Master) -> None:
    """Merges of one attempt stand together; those of an earlier one are forgotten."""
    master.put(0, "a", b"0")
    master.put(0, "b", b"0")
    master.merge("a", attempt=1)
    master.merge("b", attempt=2)
    body = json.loads((master.target / ".gangamon-merge.json").read_text())
    assert body["attempt"] == 2
    assert [entry["spec"][1] for entry in body["merges"]] == [["b"]]
