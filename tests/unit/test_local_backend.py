"""LocalBackend: what each state of a status file and of a wrapper means."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from gangamon.backends import local
from gangamon.backends.jobstatus import parse
from gangamon.backends.local import LocalBackend
from gangamon.backends.processes import alive, is_this_host
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Scalar, Seen
from gangamon.domain.status import JobStatus
from gangamon.errors import BackendUnreachable
from gangamon.testing.factories import poll_item

HERE = Lane("Local", socket.gethostname())
ELSEWHERE = Lane("Local", "elsewhere.example.org")
START = "START: Mon Nov 23 03:09:43 2026\n"
STARTED = datetime(2026, 11, 23, 3, 9, 43, tzinfo=timezone.utc).timestamp()


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """The output directory of subjob 42.0, as Ganga lays it out."""
    path = tmp_path / "LocalXML" / "42" / "0" / "output"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def wrapper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a command line as Ganga's wrappers have."""
    script = tmp_path / "__jobscript__"
    script.write_text("import sys; sys.stdin.read()")
    process = subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()
    assert process.stdin
    process.stdin.close()


def ask(output: Path, text: str | None = None, lane: Lane = HERE, **extra: Scalar) -> Observation:
    if text is not None:
        (output / "__jobstatus__").write_text(text)
    item = poll_item("42.0", str(output), extra)
    return LocalBackend().poll(lane, [item])["42.0"]


def seen(answer: Observation) -> Seen:
    assert isinstance(answer, Seen)
    return answer


def now_start() -> str:
    moment = datetime.now(timezone.utc)
    return f"START: {moment:%a %b %d %H:%M:%S %Y}\n"


def zombie(process: subprocess.Popen[bytes]) -> None:
    """Kill it and wait until the kernel says so, without reaping it."""
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


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


def test_running(output: Path, wrapper: subprocess.Popen[bytes]) -> None:
    """A PID and a live wrapper are running; the ids go to Ganga's backend object."""
    answer = seen(ask(output, f"{now_start()}WRAPPER: {wrapper.pid}\nPID: 12\n"))
    assert (answer.native_status, answer.status) == ("running", JobStatus.RUNNING)
    assert answer.attributes == {"id": 12, "wrapper_pid": wrapper.pid}
    assert answer.ended_at is None


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
    script = inner / "__jobscript__"
    script.write_text("import sys; sys.stdin.read()")
    with subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE) as process:
        answer = seen(ask(output, f"{old}WRAPPER: {process.pid}\nPID: 12\n"))
        assert process.stdin
        process.stdin.close()
    assert answer.native_status == "running"


def test_the_last_word_of_a_wrapper_counts(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An EXITCODE written after the file was read and before the end was seen is not missed."""
    text = f"{START}WRAPPER: 11\nPID: 12\n"

    def ends(*_: object) -> bool:
        (output / "__jobstatus__").write_text(f"{text}EXITCODE: 0\n")
        return False

    monkeypatch.setattr(local, "alive", ends)
    assert seen(ask(output, text)).native_status == "done"


def test_a_half_written_line_does_not_count(output: Path) -> None:
    """A last line without its end is ignored: 'EXITCODE: 1' may become 'EXITCODE: 139'."""
    text = f"{START}WRAPPER: 11\nPID: 12\nEXITCODE: 1"
    assert seen(ask(output, text, ELSEWHERE)).native_status == "running"
    assert seen(ask(output, f"{START}WRAPPER: 11\nPID: 1", ELSEWHERE)).native_status == "starting"


def test_an_empty_file_is_starting(output: Path) -> None:
    """The wrapper has just opened it."""
    assert seen(ask(output, "", ELSEWHERE)).native_status == "starting"


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
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks))
    items = [poll_item(f"42.{n}", str(output)) for n in range(2)]
    with pytest.raises(BackendUnreachable, match="30 s"):
        LocalBackend().poll(ELSEWHERE, items)


def test_each_process_is_looked_up_once(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch wrapper of a thousand waiting subjobs costs one look."""
    looks: list[object] = []
    monkeypatch.setattr(local, "alive", lambda *asked: not looks.append(asked))
    items = [poll_item(f"42.{n}", str(output), {"wrapper_pid": 7}) for n in range(1000)]
    assert len(LocalBackend().poll(HERE, items)) == 1000
    assert len(looks) == 1


def test_second_source_reads_once_more(output: Path) -> None:
    """It knows no more than the poll, but sees a file that came meanwhile."""
    backend, item = LocalBackend(), poll_item("42.0", str(output))
    assert backend.second_source(HERE, [item]) == {"42.0": Absent("local", second=True)}
    (output / "__jobstatus__").write_text(f"{START}WRAPPER: 1\nPID: 2\nEXITCODE: 0\n")
    assert seen(backend.second_source(HERE, [item])["42.0"]).status is JobStatus.COMPLETED


@pytest.mark.parametrize(
    "line", ["START: Mon Foo 23 03:09:43 2026", "START: ", "PID: many", "EXITCODE: ", "EXITCODE: x"]
)
def test_nonsense_is_no_fact(line: str) -> None:
    """A line that is not as the wrapper writes it is as good as missing."""
    assert parse(f"{line}\n", 1.0) == parse("", 1.0)


def test_a_time_does_not_depend_on_the_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    """START is read as UTC with English names, in whatever zone the worker stands."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert parse("START: Tue Mar  3 10:00:00 2026\n", 0).started == 1772532000.0
    finally:
        monkeypatch.undo()
        time.tzset()


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
