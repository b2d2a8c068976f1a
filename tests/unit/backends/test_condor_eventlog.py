"""HTCondor's job event log. The recorded events are of HTCondor 23.9.6."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangamon.backends.condor import eventlog, states
from gangamon.backends.condor.ads import JobId
from gangamon.backends.condor.eventlog import Logs, Story, follow

JOB = JobId(12, 3)
HEAD = "({:03d}.{:03d}.000) 2026-11-23 12:37:5{} "


def event(code: str, text: str, job: JobId = JOB, second: int = 3) -> str:
    return f"{code} {HEAD.format(*job, second)}{text}\n...\n"


SUBMIT = event("000", "Job submitted from host: <127.0.0.1:33215?alias=vm>")
EXECUTE = event("001", "Job executing on host: <127.0.0.1:1>\n\tSlotName: slot2@vm\n\tCpus = 1")
IMAGE = event("006", "Image size of job updated: 150\n\t5  -  MemoryUsage of job (MB)")
EVICTED = event(
    "004", "Job was evicted.\n\t(0) CPU times\n\t\tUsr 0\n\tUser requested the job to vacate"
)
HELD = event("012", "Job was held.\n\tvia condor_hold (by user me)\n\tCode 1 Subcode 0")
RELEASED = event("013", "Job was released.\n\tvia condor_release (by user me)")
ABORTED = event("009", "Job was aborted.\n\tvia condor_rm (by user me)")
DISCONNECTED = (
    "Job disconnected, attempting to reconnect\n"
    "    Local schedd and job shadow died, schedd now running again\n"
    "    Trying to reconnect to slot2@vm <127.0.0.1:61945?alias=vm>"
)
LEASE_OVER = (
    "    Job disconnected too long: JobLeaseDuration (60 seconds) expired\n"
    "    Can not reconnect to slot2@vm, rescheduling job"
)
RECORD = (
    "Job terminated.\n\t({}\n\t\tUsr 0 00:00:00, Sys 0 00:00:00  -  Run Remote Usage\n"
    "\t\tUsr 1 02:03:04, Sys 0 00:00:00  -  Total Remote Usage\n"
    "\t   Cpus                 :                 1         1 \n"
    "\t   Memory (MB)          :       17       16       512 \n\n"
    "\tJob terminated of its own accord at 2026-11-23T11:37:5{}Z with {}."
)
WELL = event("005", RECORD.format("1) Normal termination (return value 3)", 4, "exit-code 3"))
SHOT = event("005", RECORD.format("0) Abnormal termination (signal 9)", 4, "signal 9"))
ZONE = 1795433873.0  # 11:37:53 UTC, for 12:37:53 in the log


def told(*events: str) -> Story:
    stories: dict[JobId, Story] = {}
    text = "".join(events).encode()
    assert follow(stories, text) == len(text)
    return stories[JOB]


def test_a_life() -> None:
    """From submission to the end; times by the one that has a zone."""
    assert told(SUBMIT) == Story()
    running = told(SUBMIT, EXECUTE, IMAGE)
    assert (running.state, running.starts, running.host) == (states.RUNNING, 1, "slot2@vm")
    assert not running.over and running.began is None
    ended = told(SUBMIT, EXECUTE, WELL)
    assert ended.over and (ended.code, ended.signal) == (3, None)
    assert (ended.began, ended.ended) == (ZONE, ZONE + 1)
    assert (ended.cpu, ended.memory) == (26 * 3600 + 184, 17)
    shot = told(SUBMIT, EXECUTE, SHOT)
    assert shot.over and (shot.code, shot.signal) == (None, 9)


def test_held_evicted_and_removed() -> None:
    """Each start is counted; a hold has its reason, also where the eviction is written later."""
    for events in ((EVICTED, HELD), (HELD, EVICTED), (HELD,)):
        held = told(SUBMIT, EXECUTE, *events)
        assert (held.state, held.starts) == (states.HELD, 1)
        assert held.reason == "via condor_hold (by user me)"
    assert told(SUBMIT, EXECUTE, HELD, RELEASED).state == states.IDLE
    assert told(SUBMIT, EXECUTE, EVICTED).state == states.IDLE
    again = told(SUBMIT, EXECUTE, EVICTED, EXECUTE)
    assert (again.state, again.starts, again.reason) == (states.RUNNING, 2, "")
    removed = told(SUBMIT, ABORTED)
    assert removed.over and removed.state == states.REMOVED
    assert removed.reason == "via condor_rm (by user me)"


def test_a_machine_that_is_away() -> None:
    """It is said to run, and why nobody knows; then it does, or is begun anew."""
    gone = event("022", DISCONNECTED)
    back = event("023", "Job reconnected to slot2@vm\n    startd address: <127.0.0.1:1>")
    lost = event("024", f"Job reconnection failed\n{LEASE_OVER}")
    away = told(SUBMIT, EXECUTE, gone)
    assert (away.state, away.starts, away.host) == (states.RUNNING, 1, "slot2@vm")
    assert away.reason == states.DISCONNECTED
    assert told(SUBMIT, EXECUTE, gone, back) == told(SUBMIT, EXECUTE)
    idle = told(SUBMIT, EXECUTE, gone, lost)
    assert (idle.state, idle.starts, idle.reason) == (states.IDLE, 1, "")
    again = told(SUBMIT, EXECUTE, gone, lost, EXECUTE)
    assert (again.state, again.starts, again.reason) == (states.RUNNING, 2, "")
    assert told(SUBMIT, EXECUTE, gone, WELL).over
    assert told(SUBMIT, gone) == Story()  # it never ran


def test_an_end_stays_and_a_number_given_anew_begins_anew() -> None:
    """What is written after an end changes nothing, but for the submission of another job."""
    assert told(SUBMIT, EXECUTE, WELL, HELD, EXECUTE) == told(SUBMIT, EXECUTE, WELL)
    assert told(SUBMIT, EXECUTE, WELL, SUBMIT) == Story()


def test_no_end_without_how() -> None:
    """A termination that does not say how is none."""
    assert not told(SUBMIT, EXECUTE, event("005", "Job terminated.\n\t(1) odd")).over


def test_a_log_of_several_jobs_that_grows(tmp_path: Path) -> None:
    """It is read on from where it was; half an event does not count."""
    path, logs, other = tmp_path / "log", Logs(), JobId(12, 4)
    path.write_text(SUBMIT + event("000", "Job submitted", other) + EXECUTE[:-3])
    assert logs.story(str(path), JOB) == Story()
    with path.open("a") as file:
        file.write(EXECUTE[-3:] + event("009", "Job was aborted.\n\twhy", other))
    running = logs.story(str(path), JOB)
    assert running is not None and running.state == states.RUNNING
    aborted = logs.story(str(path), other)
    assert aborted is not None and aborted.reason == "why"
    assert logs.story(str(path), JobId(1, 0)) is None


@pytest.mark.parametrize("suffix", eventlog.ROTATED)
def test_a_log_that_is_moved_away(tmp_path: Path, suffix: str) -> None:
    """What was written to it after the last look counts, and for one who begins now all of it."""
    path, watching = tmp_path / "log", Logs()
    path.write_text(SUBMIT)
    watching.story(str(path), JOB)
    with path.open("a") as file:
        file.write(EXECUTE)
    path.rename(f"{path}{suffix}")
    path.write_text(WELL)
    for logs in (watching, Logs()):
        story = logs.story(str(path), JOB)
        assert story is not None and (story.starts, story.code) == (1, 3)


def test_a_log_that_is_cut_off(tmp_path: Path) -> None:
    """Copied and emptied: what was read stays known, and it is read from its begin."""
    path, logs = tmp_path / "log", Logs()
    path.write_text(SUBMIT + EXECUTE)
    logs.story(str(path), JOB)
    path.write_text(ABORTED)
    story = logs.story(str(path), JOB)
    assert story is not None and (story.state, story.starts) == (states.REMOVED, 1)


def test_what_is_no_log(tmp_path: Path) -> None:
    """No file, a directory, a pipe, XML: nothing is known, and nothing hangs."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "xml").write_text('<?xml version="1.0"?>\n<c><a n="MyType"></a></c>\n...\n')
    for name in ("none", "", "pipe", "xml", "xml/inner"):
        assert Logs().story(str(tmp_path / name), JOB) is None


PIECES = (SUBMIT, EXECUTE, IMAGE, EVICTED, HELD, RELEASED, ABORTED, WELL, SHOT, "...\n", "\n")


@given(st.lists(st.sampled_from(PIECES)).map("".join), st.binary(max_size=40), st.integers(0, 4000))
def test_any_bytes(text: str, junk: bytes, at: int) -> None:
    """Whatever lies in it: no error, and an end only if the text has one."""
    raw = text.encode()
    raw = raw[:at] + junk + raw[at:]
    stories: dict[JobId, Story] = {}
    assert 0 <= follow(stories, raw) <= len(raw)
    for story in stories.values():
        if story.state == states.COMPLETED:
            assert b"ormal termination (" in raw
            assert (story.code is None) != (story.signal is None)
        elif story.over:
            assert b"009 (" in raw
