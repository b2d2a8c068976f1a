"""LocalBackend: what each state of a status file means, and what teaches nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from gangamon.backends import local
from gangamon.backends.jobstatus import parse
from gangamon.backends.local import LocalBackend
from gangamon.domain.observation import Absent
from gangamon.domain.status import JobStatus
from gangamon.errors import BackendUnreachable
from gangamon.testing.factories import poll_item
from tests.unit.local_jobs import (
    ELSEWHERE,
    HERE,
    START,
    STARTED,
    ask,
    seen,
)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """The output directory of subjob 42.0, as Ganga lays it out."""
    path = tmp_path / "LocalXML" / "42" / "0" / "output"
    path.mkdir(parents=True)
    return path


def test_success(output: Path) -> None:
    """EXITCODE 0 is completed, with all facts of the file."""
    text = f"{START}WRAPPER: 11\nPID: 12\nEXITCODE: 0\nSTOP: Mon Nov 23 03:09:47 2026\n"
    answer = seen(ask(output, text, ELSEWHERE))
    assert (answer.native_status, answer.status) == ("done", JobStatus.COMPLETED)
    assert (answer.exit_code, answer.started_at) == (0, STARTED)
    assert answer.attributes == {"id": 12, "wrapper_pid": 11, "exitcode": 0}
    assert (answer.source, answer.site) == ("__jobstatus__", ELSEWHERE.endpoint)


def test_the_end_is_known_to_less_than_a_second(output: Path) -> None:
    """The end is the file's own time, not the whole seconds of STOP."""
    file = output / "__jobstatus__"
    file.write_text(f"{START}WRAPPER: 11\nPID: 12\nEXITCODE: 0\n")
    os.utime(file, ns=(0, 1_795_403_387_250_000_000))
    assert seen(ask(output)).ended_at == pytest.approx(1_795_403_387.25, abs=1e-5)


@pytest.mark.parametrize("code", [3, -9])
def test_failure(output: Path, code: int) -> None:
    """Another exit code is failed, a signal's as well, and the reason names it."""
    answer = seen(ask(output, f"{START}WRAPPER: 11\nPID: 12\nEXITCODE: {code}\n"))
    assert (answer.native_status, answer.status) == ("exited", JobStatus.FAILED)
    assert answer.exit_code == code
    assert str(code) in answer.reason


def test_application_not_started(output: Path) -> None:
    """EXITCODE -9999 is failed with the wrapper's own words."""
    text = (
        f"{START}EXITCODE: -9999\nFAILED: Mon Nov 23 03:09:44 2026\n"
        "PROBLEM STARTING THE APPLICATION SCRIPT: '['nope']' '[Errno 2] No such file'\n"
        "FILES FOUND ARE: ['stdout']\n"
    )
    answer = seen(ask(output, text))
    assert (answer.native_status, answer.status) == ("not started", JobStatus.FAILED)
    assert "'['nope']' '[Errno 2] No such file'" in answer.reason
    assert answer.exit_code == -9999


def test_no_pid_is_not_running(output: Path) -> None:
    """START alone is submitted: Ganga goes to running only with a PID."""
    answer = seen(ask(output, START, ELSEWHERE))
    assert (answer.native_status, answer.status) == ("starting", JobStatus.SUBMITTED)


def test_a_half_written_line_does_not_count(output: Path) -> None:
    """A last line without its end is ignored: 'EXITCODE: 1' may become 'EXITCODE: 139'."""
    text = f"{START}WRAPPER: 11\nPID: 12\nEXITCODE: 1"
    assert seen(ask(output, text, ELSEWHERE)).native_status == "running"
    assert seen(ask(output, f"{START}WRAPPER: 11\nPID: 1", ELSEWHERE)).native_status == "starting"


def test_an_empty_file_is_starting(output: Path) -> None:
    """The wrapper has just opened it."""
    assert seen(ask(output, "", ELSEWHERE)).native_status == "starting"


def test_a_removed_job_is_absent(output: Path) -> None:
    """Where other master jobs are there, a missing directory is this job's alone."""
    (output.parents[2] / "43").mkdir()
    item = poll_item("41.0", str(output.parents[2] / "41" / "0" / "output"))
    assert LocalBackend().poll(HERE, [item])["41.0"] == Absent("local")


@pytest.mark.parametrize("make", [lambda top: None, lambda top: top.mkdir()])
def test_an_unmounted_home_fails_nobody(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Where the directory of all jobs is not there or empty, nothing is learnt."""
    top = tmp_path / "home"
    make(top)
    items = [poll_item("42.0", str(top / "42" / "0" / "output"))]
    with pytest.raises(BackendUnreachable, match="home"):
        LocalBackend().poll(HERE, items)


def test_unreadable_is_unreachable(output: Path) -> None:
    """A status file that is there and cannot be read teaches nothing."""
    (output / "__jobstatus__").symlink_to("__jobstatus__")
    with pytest.raises(BackendUnreachable, match="__jobstatus__"):
        ask(output)


def test_a_pipe_blocks_nobody(output: Path) -> None:
    """A pipe in the place of a status file does not hold up the lane."""
    os.mkfifo(output / "__jobstatus__")
    with pytest.raises(BackendUnreachable, match="regular"):
        ask(output)


def test_gives_up_in_time(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A poll that takes longer than its time-out is ended between two jobs."""
    ticks = iter([0.0, 1.0, 31.0])
    # For this module alone: threads of other tests ask the clock as well.
    monkeypatch.setattr(local, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    items = [poll_item(f"42.{n}", str(output)) for n in range(2)]
    with pytest.raises(BackendUnreachable, match="30 s"):
        LocalBackend().poll(ELSEWHERE, items)


def test_second_source_reads_once_more(output: Path) -> None:
    """It knows no more than the poll, but sees a file that came meanwhile."""
    backend, item = LocalBackend(), poll_item("42.0", str(output))
    assert backend.second_source(HERE, [item]) == {"42.0": Absent("local", second=True)}
    (output / "__jobstatus__").write_text(f"{START}WRAPPER: 1\nPID: 2\nEXITCODE: 0\n")
    assert seen(backend.second_source(HERE, [item])["42.0"]).status is JobStatus.COMPLETED


@pytest.mark.parametrize(
    "line",
    ["START: Mon Foo 23 03:09:43 2026", "START: ", "WRAPPER: many", "EXITCODE: ", "EXITCODE: x"],
)
def test_nonsense_is_no_fact(line: str) -> None:
    """A line that is not as the wrapper writes it is as good as missing."""
    assert parse(f"{line}\n", 1.0) == parse("", 1.0)


def test_a_process_that_is_no_number() -> None:
    """In the file of a batch job it is the batch system's name of it."""
    found = parse("PID: 7.server\nQUEUE: fast\nACTUALCE: n1\n", 1.0)
    assert (found.pid, found.job, found.queue, found.host) == (None, "7.server", "fast", "n1")


def test_a_time_does_not_depend_on_the_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    """START is read as UTC with English names, in whatever zone the worker stands."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert parse("START: Tue Mar  3 10:00:00 2026\n", 0).started == 1772532000.0
    finally:
        monkeypatch.undo()
        time.tzset()
