"""LocalBackend: what the life and death of the wrappers on this host mean."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gangamon.backends import local
from gangamon.backends.local import LocalBackend
from gangamon.backends.processes import alive, is_this_host
from gangamon.domain.observation import Absent
from gangamon.domain.status import JobStatus
from gangamon.testing.factories import poll_item
from tests.unit.local_jobs import (
    ELSEWHERE,
    HERE,
    START,
    ask,
    now_start,
    running,
    seen,
    zombie,
)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """The output directory of subjob 42.0, as Ganga lays it out."""
    path = tmp_path / "LocalXML" / "42" / "0" / "output"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def wrapper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with running(tmp_path / "__jobscript__") as process:
        yield process


def test_a_zombie_wrapper_is_gone(output: Path, wrapper: subprocess.Popen[bytes]) -> None:
    """A wrapper that ended without an EXITCODE fails the job, also before it is reaped."""
    text = f"{now_start()}WRAPPER: {wrapper.pid}\nPID: 12\n"
    assert seen(ask(output, text)).native_status == "running"
    zombie(wrapper)
    answer = seen(ask(output))
    assert (answer.native_status, answer.status) == ("gone", JobStatus.FAILED)
    assert answer.exit_code is None
    assert answer.reason == (
        f"the job's wrapper process {wrapper.pid} ended without reporting an exit code"
    )


def test_a_reused_process_id_is_gone(output: Path) -> None:
    """A process that began long after START is not the wrapper."""
    old = "START: Wed Jan 01 00:00:00 2020\n"
    answer = seen(ask(output, f"{old}WRAPPER: {os.getpid()}\nPID: 12\n"))
    assert answer.native_status == "gone"


def test_a_clock_that_was_set_kills_nobody(output: Path, wrapper: subprocess.Popen[bytes]) -> None:
    """A process that seems to have begun too late, but runs this job's script, is the wrapper."""
    old = "START: Wed Jan 01 00:00:00 2020\n"
    inner = output.parent / "input"
    inner.mkdir()
    with running(inner / "__jobscript__") as process:
        answer = seen(ask(output, f"{old}WRAPPER: {process.pid}\nPID: 12\n"))
    assert answer.native_status == "running"


def test_the_last_word_of_a_wrapper_counts(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An EXITCODE written after the file was read and before the end was seen is not missed."""
    text = f"{START}WRAPPER: 11\nPID: 12\n"

    def ends(*_: object) -> bool:
        (output / "__jobstatus__").write_text(f"{text}EXITCODE: 0\n")
        return False

    monkeypatch.setattr(local, "alive", ends)
    assert seen(ask(output, text)).native_status == "done"


def test_without_a_start_only_the_kind_of_process_counts(
    output: Path, wrapper: subprocess.Popen[bytes]
) -> None:
    """A START that cannot be read is no reason to take a live wrapper for another process."""
    text = f"START: today\nWRAPPER: {wrapper.pid}\nPID: 12\n"
    assert seen(ask(output, text)).native_status == "running"


def test_processes_of_another_host_are_not_judged(output: Path) -> None:
    """With another endpoint a dead process id says nothing, and a live one neither."""
    gone = f"{START}WRAPPER: {2**22 + 1}\nPID: 12\n"
    assert seen(ask(output, gone, ELSEWHERE)).native_status == "running"
    assert isinstance(ask(output.parent / "none", None, ELSEWHERE, wrapper_pid=1), Absent)


def test_waiting(output: Path, wrapper: subprocess.Popen[bytes]) -> None:
    """No file yet and a live batch wrapper is submitted."""
    answer = seen(ask(output, None, wrapper_pid=wrapper.pid))
    assert (answer.native_status, answer.status) == ("waiting", JobStatus.SUBMITTED)


def test_no_batch_wrapper_no_guess(output: Path, wrapper: subprocess.Popen[bytes]) -> None:
    """No file and an unknown, a dead or another process as batch wrapper is an absence."""
    assert ask(output) == Absent("local")
    assert ask(output, None, wrapper_pid=os.getpid()) == Absent("local")
    assert ask(output, None, wrapper_pid=-1) == Absent("local")
    zombie(wrapper)
    assert ask(output, None, wrapper_pid=wrapper.pid) == Absent("local")


def test_starting_without_its_batch_wrapper(output: Path, wrapper: subprocess.Popen[bytes]) -> None:
    """START alone and a dead batch wrapper is an absence, so that the job can come to an end."""
    assert seen(ask(output, START, wrapper_pid=wrapper.pid)).native_status == "starting"
    zombie(wrapper)
    assert ask(output, START, wrapper_pid=wrapper.pid) == Absent("local")


def test_a_job_outlives_its_batch_wrapper(output: Path, wrapper: subprocess.Popen[bytes]) -> None:
    """A job with a live wrapper runs, whatever became of the batch wrapper."""
    text = f"{now_start()}WRAPPER: {wrapper.pid}\nPID: 12\n"
    assert seen(ask(output, text, wrapper_pid=2**22 + 1)).native_status == "running"


def test_each_process_is_looked_up_once(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch wrapper of a thousand waiting subjobs costs one look."""
    looks: list[object] = []
    monkeypatch.setattr(local, "alive", lambda *asked: not looks.append(asked))
    items = [poll_item(f"42.{n}", str(output), {"wrapper_pid": 7}) for n in range(1000)]
    assert len(LocalBackend().poll(HERE, items)) == 1000
    assert len(looks) == 1


def test_alive_needs_a_process_number() -> None:
    """0 and -1 are groups to kill(2), not processes."""
    assert not alive(0, "")
    assert not alive(-1, "")
    assert not alive(2**40, "")


def test_alive_tells_the_dead_from_the_living(wrapper: subprocess.Popen[bytes]) -> None:
    """A reaped process is dead."""
    assert alive(wrapper.pid, "__jobscript__")
    wrapper.send_signal(signal.SIGKILL)
    wrapper.wait()
    assert not alive(wrapper.pid, "__jobscript__")


def test_localhost_is_no_name_of_one_host() -> None:
    """Two login nodes with one home both call themselves localhost."""
    assert is_this_host(socket.gethostname())
    assert not is_this_host("localhost")
    assert not is_this_host("localhost.localdomain")


def test_running(output: Path, wrapper: subprocess.Popen[bytes]) -> None:
    """A PID and a live wrapper are running; the ids go to Ganga's backend object."""
    answer = seen(ask(output, f"{now_start()}WRAPPER: {wrapper.pid}\nPID: 12\n"))
    assert (answer.native_status, answer.status) == ("running", JobStatus.RUNNING)
    assert answer.attributes == {"id": 12, "wrapper_pid": wrapper.pid}
    assert answer.ended_at is None
