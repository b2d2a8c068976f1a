"""What Slurm's commands print. The recorded lines are of Slurm 22.05.8 (Debian 12)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangamon.backends.slurm import answers as slurm_answers
from gangamon.backends.slurm.answers import Answer, JobId, Row
from gangamon.backends.slurm.states import REQUEUED, STATES, WORDS, state, why
from gangamon.domain.status import FINAL, JobStatus

QUEUE = """\
1|1|root|COMPLETED|0|0|1795417643|1795417643|fast|vm|None|/w/1/input|
2|2|root|FAILED|768|0|1795417643|1795417643|fast|vm|NonZeroExitCode|/w/2/input|
4|4|root|FAILED|9|0|1795417643|1795417643|fast|vm|JobLaunchFailure|/|
7+0|7|root|PENDING|0|0|N/A|N/A|fast|n/a|None|/|
3_1|9|root|RUNNING|0|0|1795417643|NONE|fast|vm|None|/|
3_3|3|root|RUNNING|0|0|1795417643|NONE|fast|vm|None|/|
11|11|root|PENDING|0|1|1795420000|NONE|fast|n/a|BeginTime|/odd|path|
6_[0-5%2]|6|root|PENDING|0|0|N/A|N/A|held|n/a|PartitionDown|/|
7+1|8|root|PENDING|0|0|N/A|N/A|held|n/a|PartitionDown|/|
"""

ACCOUNTING = """\
1|1|root|COMPLETED|0:0|1795417640|1795417643|1795417644|fast|vm|00:00.001||/w/1/input
1.batch|1.batch||COMPLETED|0:0|1795417643|1795417643|1795417644||vm|00:00.001|1024K|
3|3|root|FAILED|0:9|1795417640|1795417643|1795417643|fast|vm|1-02:03:04|| /
5|5|root|CANCELLED by 0|0:0|1795417640|None|1795418509|held|None assigned|00:00:00||/
7|7|root|NODE_FAIL|0:0|1795417640|1795417643|1795417650|fast|frail|00:00:00||/
7|7|root|COMPLETED|0:0|1795417651|1795417700|1795417710|fast|firm|00:00:00||/
8|8|root|FAILED|1:0|1795410000|1795410001|1795410002|fast|firm|00:00:00||/w/old
8|8|root|COMPLETED|0:0|1795417651|1795417700|1795417710|fast|firm|00:00:00||/w/new
6_[0-5%2]|6|root|PENDING|0:0|1795417640|Unknown|Unknown|held|None assigned|00:00:00||/
"""


def found(answer: Answer, text: str) -> Row:
    id_ = JobId.parse(text)
    assert id_ is not None
    row = answer.find(id_)
    assert row is not None
    return row


def test_a_queue() -> None:
    """Exit codes and signals as wait(2) has them, times, restarts, tasks and components."""
    answer = slurm_answers.squeue(QUEUE)
    assert not answer.unreadable
    failed, shot, again = (found(answer, name) for name in ("2", "4", "11"))
    assert (failed.code, failed.signal, failed.reason) == (3, 0, "NonZeroExitCode")
    assert (shot.code, shot.signal) == (0, 9)
    assert (again.restarts, again.host, again.folder) == (1, "", "/odd|path")
    assert (failed.started, failed.ended, failed.folder) == (1795417643, 1795417643, "/w/2/input")
    assert found(answer, "7").name == "7+0"
    assert found(answer, "7+1").partition == "held"
    assert found(answer, "3_1;cluster").raw == "9"
    assert [row.name for row in answer.tasks(JobId("3", "3"))] == ["3_1", "3_3"]
    assert answer.find(JobId("3", "3")) is None
    assert [row.state for row in answer.tasks(JobId("6", "6"))] == ["PENDING"]


def test_times_of_a_version_that_does_not_know_the_format() -> None:
    line = "1|1|u|COMPLETED|0|0|2026-11-23T07:07:23|2026-11-23T07:07:24|p|n|None|/|\n"
    row = found(slurm_answers.squeue(line), "1")
    assert (row.started, row.ended) == (1795417643, 1795417644)


def test_accounting() -> None:
    """The last run counts and those before it are counted; what a job used; who cancelled it is
    not its state; a job submitted elsewhere is another with the same number."""
    answer = slurm_answers.sacct(ACCOUNTING)
    assert not answer.unreadable
    one, shot, cancelled, again = (found(answer, name) for name in ("1", "3", "5", "7"))
    assert (one.code, one.signal, one.cpu, one.memory) == (0, 0, 0.001, 1024 * 1024)
    assert (shot.code, shot.signal, shot.cpu) == (0, 9, 93784)
    assert (cancelled.state, cancelled.started, cancelled.host) == ("CANCELLED", None, "")
    assert (again.state, again.restarts, again.host) == ("COMPLETED", 1, "firm")
    assert (found(answer, "8").folder, found(answer, "8").restarts) == ("/w/new", 0)
    assert not answer.tasks(JobId("6", "6"))[0].over
    assert slurm_answers.sacct(ACCOUNTING, users=["alice"]).find(JobId("1", "1")) is None


@pytest.mark.parametrize(
    "text",
    [
        "1|1|root|COMPLETED|0|0|1|1|fast|vm|None|/",  # cut off
        "1|1|root|COMPLETED\n",
        "JOBID STATE\n",
        "x|1|root|COMPLETED|0|0|1|1|fast|vm|None|/|\n",
        "1|1|root||0|0|1|1|fast|vm|None|/|\n",
        "1|1|root|COMPLETED|0||1|1|fast|vm|None|/|\n",
    ],
)
def test_a_line_without_sense_is_noted(text: str) -> None:
    """And names no job."""
    answer = slurm_answers.squeue(text)
    assert answer.unreadable
    assert answer.find(JobId("1", "1")) is None


def test_with_a_cluster_named() -> None:
    assert not slurm_answers.squeue(f"CLUSTER: gm\n{QUEUE}").unreadable


def test_a_configuration() -> None:
    text = "Configuration data as of 2026\nMinJobAge               = 300 sec\nX = (null)\nY = a=b\n"
    assert slurm_answers.config(text) == {"MinJobAge": "300 sec", "X": "", "Y": "a=b"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", JobId("12", "12")),
        ("12_3", JobId("12_3", "12")),
        ("12+1", JobId("12+1", "12")),
        ("12;b-1", JobId("12", "12", "b-1")),
        ("", None),
        ("-1", None),
        ("12.0", None),
        ("12 ", None),
        ("12;", None),
        ("--jobs", None),
        ("1,2", None),
        ("١٢", None),
    ],
)
def test_ids(text: str, expected: JobId | None) -> None:
    """Nothing else than an id gets to a command line."""
    assert JobId.parse(text) == expected


LINES = st.text("0123456789|_+[]:;-.%KnN/ABCDEF\n\x00 ", max_size=300)
FIELDS = st.lists(st.text("019_+[]:-TKNone ", max_size=12), min_size=10, max_size=14)


@given(st.one_of(st.text(), LINES, st.lists(FIELDS).map(lambda x: "\n".join(map("|".join, x)))))
def test_nothing_printed_breaks_it(text: str) -> None:
    """Each line is a row, is noted, or is empty."""
    for answer in (slurm_answers.squeue(text), slurm_answers.sacct(text)):
        for name in {part.strip() for part in text.replace("\n", "|").split("|")}:
            if (id_ := JobId.parse(name)) is not None:
                answer.find(id_)
                answer.tasks(id_)
    slurm_answers.config(text)


@given(st.integers(min_value=0, max_value=2**40))
def test_exit_codes(number: int) -> None:
    row = found(slurm_answers.squeue(f"1|1|u|FAILED|{number}|0|1|2|p|n|None|/|\n"), "1")
    assert row.code is None or 0 <= row.code <= 255
    assert 0 <= row.signal <= 127


#: JOB STATE CODES of squeue(1), 22.05, and the flags of job_state_codes.html that came later.
DOCUMENTED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "CONFIGURING", "COMPLETING", "DEADLINE", "FAILED"),
    *("NODE_FAIL", "OUT_OF_MEMORY", "PENDING", "PREEMPTED", "RUNNING", "RESV_DEL_HOLD"),
    *("REQUEUE_FED", "REQUEUE_HOLD", "REQUEUED", "RESIZING", "REVOKED", "SIGNALING"),
    *("SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "SUSPENDED", "TIMEOUT"),
    *("EXPEDITING", "LAUNCH_FAILED", "POWER_UP_NODE", "RECONFIG_FAIL", "UPDATE_DB"),
}

#: The base states of job_state_codes.html that are an end.
ENDS = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED"),
    *("NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT"),
}


def test_the_table_is_whole() -> None:
    """Every documented state has a meaning; ends are base states only, each with its words."""
    assert STATES.keys() == DOCUMENTED
    assert {name for name, status in STATES.items() if status in FINAL} == ENDS
    assert {*WORDS, "COMPLETED"} == ENDS
    assert ENDS > REQUEUED
    assert STATES["CANCELLED"] is JobStatus.KILLED


def test_words() -> None:
    assert state("CANCELLED by 1000") == state("CANCELLED+") == "CANCELLED"
    assert why("OUT_OF_MEMORY", 0, 9, "OutOfMemory") == (
        "it used more memory than it had asked for (OUT_OF_MEMORY), signal 9, reason OutOfMemory"
    )
    assert why("FAILED", 3, 0, "NonZeroExitCode") == "the job failed (FAILED), exit code 3"
