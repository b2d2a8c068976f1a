"""Outputs put on mass storage by a worker: by the session's commands, each once, whatever dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from gangamon import postprocess
from gangamon.domain.job import Job
from gangamon.domain.observation import Put
from gangamon.domain.status import JobStatus
from gangamon.errors import BadInput, PutFailed, PutRefused
from gangamon.fetchers import putting
from gangamon.fetchers.local import LocalFetcher
from gangamon.fetchers.putting import Putting
from gangamon.postprocess import process
from gangamon.protocols import CodeLimits, FetchOrder, Manifest, Placed
from gangamon.services.fetch import Fetch
from gangamon.store import codec
from gangamon.testing.factories import fetch_order
from tests.support.backend import DONE, FAILED
from tests.support.commands import spec
from tests.support.rig import FETCH, Rig, why

SHELL = partial(process.shell, limits=CodeLimits(120.0))

seats: list[str] = []


@contextmanager
def slot(endpoint: str) -> Iterator[None]:
    seats.append(endpoint)
    yield


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "7" / "0" / "output").mkdir(parents=True)
    (tmp_path / "eos").mkdir()
    return tmp_path


def output(top: Path) -> Path:
    return top / "7" / "0" / "output"


def wanted(top: Path, pattern: str, number: int = 0, **given: str) -> dict[str, object]:
    texts = {
        "pattern": pattern,
        "path": str(top / "eos" / "user"),
        "folder": "7/0",
        "name": "{fname}",
        "ls": "ls",
        "mkdir": "mkdir",
        "cp": "cp",
    }
    return {"number": number, **texts, **given}


def order(top: Path, *puts: dict[str, object], attempt: int = 1) -> FetchOrder:
    extra = {"puts": json.dumps(puts)}
    return fetch_order(str(output(top)), [str(top)], attempt=attempt, extra=extra)


def put(asked: FetchOrder, run: putting.Run = SHELL) -> Placed:
    return Putting(run).put(asked, lambda: LocalFetcher().fetch(asked), slot)


def stored(top: Path) -> dict[str, str]:
    eos = top / "eos"
    return {str(p.relative_to(eos)): p.read_text() for p in eos.rglob("*") if p.is_file()}


def names(done: Manifest) -> list[str]:
    return [path for path, _, _ in done.files]


def test_by_the_commands_of_the_session(top: Path) -> None:
    """Patterns and names, below directories that are made; what is put is there no more."""
    for name in ("a.root", "b.root", "it's x", "stdout"):
        (output(top) / name).write_text(name)
    seats.clear()
    done = put(
        order(
            top,
            wanted(top, "*.root", folder="by/7", name="0_{fname}"),
            wanted(top, "it's x", number=2),
            wanted(top, "none*", number=3),
        )
    )
    place = f"{top}/eos/user"
    assert done.puts == (
        Put(0, (("a.root", f"{place}/by/7/0_a.root"), ("b.root", f"{place}/by/7/0_b.root"))),
        Put(2, (("it's x", f"{place}/7/0/it's x"),)),
        Put(3),
    )
    assert stored(top) == {
        "user/by/7/0_a.root": "a.root",
        "user/by/7/0_b.root": "b.root",
        "user/7/0/it's x": "it's x",
    }
    assert names(done.manifest) == ["stdout"]
    assert set(seats) == {f"put:{place}"}
    assert LocalFetcher().fetch(order(top)) == done.manifest


def test_nothing_to_put(top: Path) -> None:
    (output(top) / "stdout").write_text("x")
    assert put(order(top)).puts == ()
    assert os.listdir(top / "eos") == []


def test_what_fails_is_said_and_the_rest_is_done_later(top: Path) -> None:
    """What is there is not put again; the file that is not there stays where it is."""
    for name in ("a.root", "b.root"):
        (output(top) / name).write_text(name)
    (top / "eos" / "user").mkdir()
    refuses = top / "refuses"
    refuses.write_text(
        f'case "$1" in *b.root) test -e {top}/well || {{ echo no room >&2; exit 7; }};; esac\n'
        f'echo "$1" >> {top}/calls; exec cp "$@"\n'
    )
    asked = order(top, wanted(top, "*.root", cp=f"sh {refuses}"))
    with pytest.raises(PutFailed, match=r"^sh .*b\.root.*: no room$") as failed:
        put(asked)
    (said,) = failed.value.puts
    assert said.files == (("a.root", f"{top}/eos/user/7/0/a.root"),)
    assert "no room" in said.reason
    assert (output(top) / "b.root").read_text() == "b.root"
    (top / "well").touch()
    assert len(put(asked).puts[0].files) == 2
    calls = (top / "calls").read_text().split()
    assert [Path(call).name for call in calls] == ["a.root", "b.root"]


def test_a_storage_that_is_away(top: Path) -> None:
    """The directory above must be there, as in Ganga."""
    (output(top) / "a").write_text("a")
    with pytest.raises(PutFailed, match=r"ls .*/none: .*No such file"):
        put(order(top, wanted(top, "a", path=f"{top}/none/user")))
    assert (output(top) / "a").exists()


def test_a_file_that_is_not_there_will_not_come(top: Path) -> None:
    with pytest.raises(PutRefused, match="a: not in the output directory"):
        put(order(top, wanted(top, "a")))


def test_a_storage_that_has_it_already(top: Path) -> None:
    """The same content is the same file; another is not overwritten, as the storage wants."""
    (output(top) / "a").write_text("mine")
    place = top / "eos" / "user" / "7" / "0" / "a"
    place.parent.mkdir(parents=True)
    place.write_text("another")
    cautious = top / "cautious"
    cautious.write_text('test -e "$2" && { echo exists; exit 17; }; exec cp "$@"\n')
    asked = order(top, wanted(top, "a", cp=f"sh {cautious}"))
    with pytest.raises(PutFailed, match="exists"):
        put(asked)
    assert place.read_text() == "another"
    place.write_text("mine")
    assert put(asked).puts == (Put(0, (("a", str(place)),)),)


def test_another_attempt_is_put_anew(top: Path) -> None:
    """Also one that the backend has started over."""
    for attempt, restart in ((1, 0), (2, 0), (2, 1)):
        (output(top) / "a").write_text(f"{attempt}.{restart}")
        asked = replace(order(top, wanted(top, "a"), attempt=attempt), restart=restart)
        assert len(put(asked).puts) == 1
        assert stored(top) == {"user/7/0/a": f"{attempt}.{restart}"}


#: Dies at one of the places where another must go on.
KILLED = """
import contextlib, os, signal, sys
from functools import partial
from gangamon.fetchers import putting
from gangamon.fetchers.local import LocalFetcher
from gangamon.postprocess import process
from gangamon.protocols import CodeLimits
from tests.unit.test_putting import order, slot, wanted
from pathlib import Path

top, when = Path(sys.argv[1]), sys.argv[2]
run = partial(process.shell, limits=CodeLimits(120.0))

def dying(command):
    ended = run(command)
    if when == "put" and command.startswith("sh ") and "b.root" in command:
        os.kill(os.getpid(), signal.SIGKILL)
    return ended

def after(function):
    def call(*given):
        function(*given)
        os.kill(os.getpid(), signal.SIGKILL)
    return call

if when == "note":
    putting._Note.end = after(putting._Note.end)
if when == "removed":
    putting._remove = after(putting._remove)
asked = order(top, wanted(top, "*.root", cp=f"sh {top}/once"))
placed = putting.Putting(dying).put(asked, lambda: LocalFetcher().fetch(asked), slot)
os.kill(os.getpid(), signal.SIGKILL)  # before the commit
"""


@pytest.mark.parametrize("when", ["put", "note", "removed", "whole"])
def test_a_worker_that_is_killed(top: Path, when: str) -> None:
    """Another goes on: no file is lost, none stands there twice, and each location is known; also
    where the storage takes no file a second time."""
    for name in ("a.root", "b.root"):
        (output(top) / name).write_text(name)
    (top / "once").write_text('test -e "$2" && { echo exists; exit 17; }; exec cp "$@"\n')
    words = [sys.executable, "-c", KILLED, str(top), when]
    assert subprocess.run(words, timeout=240, check=False).returncode == -signal.SIGKILL
    done = put(order(top, wanted(top, "*.root", cp=f"sh {top}/once")))
    place = f"{top}/eos/user/7/0"
    assert done.puts == (Put(0, (("a.root", f"{place}/a.root"), ("b.root", f"{place}/b.root"))),)
    assert stored(top) == {"user/7/0/a.root": "a.root", "user/7/0/b.root": "b.root"}
    assert names(done.manifest) == []


@pytest.mark.parametrize(
    "given",
    [
        {"pattern": "../x"},
        {"pattern": ""},
        {"pattern": ".gangamon-put.json"},
        {"folder": "a/../../b"},
        {"name": "a/b"},
        {"path": ""},
        {"cp": 5},
        {"number": "0"},
    ],
    ids=str,
)
def test_orders_that_lead_elsewhere(top: Path, given: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="puts: got"):
        put(order(top, {**wanted(top, "a"), **given}))


# --- in the stage -----------------------------------------------------------------------------


def staged(top: Path, *puts: dict[str, object], seen: object = DONE) -> Rig:
    rig = Rig(top)
    rig.fetch = Fetch(
        rig.store,
        rig.keeper,
        rig.dispatcher,
        lambda _: LocalFetcher(),
        postprocess.checker,
        3,
        rig.clock,
        putter=Putting(SHELL),
    )
    rig.begin([spec(0, puts=json.dumps(puts))])  # type: ignore[arg-type]
    rig.backend.answers = [{"7.0": seen}]  # type: ignore[dict-item]
    rig.ask()
    return rig


def once(rig: Rig) -> Job:
    rig.hurry(FETCH)
    rig.fetch.run(rig.claim(FETCH).token, "w1")
    return rig.job()


def test_its_locations_come_with_the_end(top: Path) -> None:
    (output(top) / "a").write_text("a")
    rig = staged(top, wanted(top, "a"))
    job = once(rig)
    place = f"{top}/eos/user/7/0/a"
    assert (job.status, job.puts) == (JobStatus.COMPLETED, (Put(0, (("a", place),)),))
    (row,) = json.loads(rig.updates("t")[-1]["d"])
    assert codec.load_puts(row[8]) == job.puts
    assert f"  put on storage: a: {place}" in why(rig, top)


def test_what_was_begun_is_not_fetched_again(top: Path) -> None:
    """Its sandbox may be gone from where it was."""
    (output(top) / "a").write_text("a")
    rig = staged(top, wanted(top, "a", path=f"{top}/late/user"))
    assert once(rig).status is JobStatus.COMPLETING
    rig.fetch._fetcher = lambda _: rig.fetcher
    (top / "late").mkdir()
    assert len(once(rig).puts) == 1
    assert rig.fetcher.orders == []


def test_outputs_of_a_job_that_failed_stay(top: Path) -> None:
    (output(top) / "a").write_text("a")
    job = once(staged(top, wanted(top, "a"), seen=FAILED))
    assert (job.status, job.puts) == (JobStatus.FAILED, ())
    assert (output(top) / "a").exists()
    assert stored(top) == {}


def test_what_cannot_be_put_fails_the_job_in_the_end(top: Path) -> None:
    """It waits and says why; its files stay in the output directory."""
    (output(top) / "a").write_text("a")
    rig = staged(top, wanted(top, "a", cp="false"))
    assert once(rig).status is JobStatus.COMPLETING
    assert "the last one for: false " in why(rig, top)
    once(rig)
    job = once(rig)
    assert job.status is JobStatus.FAILED
    assert "exit code 1" in job.puts[0].reason
    assert "outputs: given up after 3 tries: false " in why(rig, top)
    assert "  not put on storage: false " in why(rig, top)
    assert (output(top) / "a").read_text() == "a"
