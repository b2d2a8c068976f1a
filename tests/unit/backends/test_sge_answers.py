"""What Grid Engine's commands print. The recorded lines are of 8.1.9 (Debian 12)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangamon.backends.sge import answers as sge_answers
from gangamon.backends.sge import seen, states
from gangamon.backends.sge.answers import Answer, JobId, Record
from gangamon.domain.observation import Seen
from gangamon.domain.status import FINAL, JobStatus
from gangamon.errors import BackendUnreachable
from gangamon.testing.factories import poll_item

HEAD = """<?xml version='1.0'?>
<job_info  xmlns:xsd="http://arc.liv.ac.uk/repos/darcs/sge/source/dist/util/qstat.xsd">
"""

QUEUE = f"""{HEAD}  <queue_info>
    <job_list state="running">
      <JB_job_number>2</JB_job_number>
      <JAT_prio>0.50000</JAT_prio>
      <JB_name>a&amp;b.sh</JB_name>
      <JB_owner>root</JB_owner>
      <state>Rr</state>
      <JAT_start_time>2026-11-23T09:47:01</JAT_start_time>
      <queue_name>fast@localhost</queue_name>
      <slots>1</slots>
    </job_list>
    <job_list state="running">
      <JB_job_number>5</JB_job_number>
      <JB_owner>root</JB_owner>
      <state>r</state>
      <JAT_start_time>2026-11-23T09:47:01</JAT_start_time>
      <queue_name>fast@localhost</queue_name>
      <slots>1</slots>
      <tasks>1</tasks>
    </job_list>
  </queue_info>
  <job_info>
    <job_list state="pending">
      <JB_job_number>1</JB_job_number>
      <JB_owner>root</JB_owner>
      <state>Eqw</state>
      <JB_submission_time>2026-11-23T09:47:01.123</JB_submission_time>
      <queue_name></queue_name>
      <slots>1</slots>
    </job_list>
    <job_list state="pending">
      <JB_job_number>5</JB_job_number>
      <JB_owner>root</JB_owner>
      <state>qw</state>
      <JB_submission_time>2026-11-23T09:47:01</JB_submission_time>
      <tasks>3-7:2,10</tasks>
    </job_list>
    <job_list state="zombie">
      <JB_job_number>9</JB_job_number>
      <JB_owner>root</JB_owner>
      <state>z</state>
    </job_list>
  </job_info>
</job_info>
"""
NOW = 1795427221.0  # 2026-11-23T09:47:01Z

LINE = "=" * 62
RECORD = """\
{line}
qname        fast
hostname     localhost
group        root
owner        root
jobname      failed 0
jobnumber    {number}
taskid       {task}
qsub_time    {submitted}
start_time   Mon Nov 23 09:47:01 2026
end_time     Mon Nov 23 09:47:04 2026
failed       {failed}
exit_status  {status}
cpu          0.012s
mem          0.000Bs
maxvmem      3.516MB
category     -q fast -l h_rt=2

"""


def record(number: int = 8, failed: str = "0", status: str = "0", task: str = "undefined",
           submitted: str = "Mon Nov 23 09:47:01 2026") -> str:  # fmt: skip
    return RECORD.format(line=LINE, number=number, failed=failed, status=status, task=task,
                         submitted=submitted)  # fmt: skip


SUMS = """Total System Usage
    WALLCLOCK         UTIME         STIME           CPU             MEMORY                 IO
=========================================================================================
            3         0.003         0.009         0.012              0.000              0.000
"""

ERRORS = f"""\
{LINE}
job_number:                 17
exec_file:                  job_scripts/17
error reason          1:      11/23/2026 09:47:02 [0:11217]: unable to find shell "/usr/bin/x"
scheduling info:            queue instance "held@localhost" dropped because it is disabled
                            Job is in error state
{LINE}
job_number:                 18
"""


def run(text: str, **fields: object) -> tuple[Record, int] | None:
    (records,) = sge_answers.qacct(text).values()
    return seen.the_run(records, poll_item("42.0", "/none", **fields))


def test_a_queue() -> None:
    """Running and waiting jobs, the tasks of an array; one that has ended is not in the queue."""
    answer = sge_answers.qstat(QUEUE)
    assert not answer.unreadable
    (over,), (stuck,) = answer.find(JobId("2")), answer.find(JobId("1"))
    assert (over.owner, over.state, over.queue, over.host) == ("root", "Rr", "fast", "localhost")
    assert (over.started, over.submitted) == (NOW, None)
    assert (stuck.state, stuck.submitted, stuck.queue) == ("Eqw", NOW, "")
    assert [row.state for row in answer.find(JobId("5"))] == ["r", "qw"]
    by_task = {
        task: [row.state for row in answer.find(JobId("5", str(task)))] for task in range(12)
    }
    assert by_task == {task: [] for task in (0, 2, 4, 6, 8, 9, 11)} | {
        1: ["r"], 3: ["qw"], 5: ["qw"], 7: ["qw"], 10: ["qw"],
    }  # fmt: skip
    assert not answer.find(JobId("9")) and not answer.find(JobId("3"))


@pytest.mark.parametrize("text", ["", "<job_info/", QUEUE[:-5], "<html></html>", "error: x\n"])
def test_what_is_no_queue(text: str) -> None:
    with pytest.raises(BackendUnreachable):
        sge_answers.qstat(text)


def test_a_row_without_sense_is_noted() -> None:
    """It may be any job."""
    answer = sge_answers.qstat(QUEUE.replace("<JB_job_number>1<", "<JB_job_number>?<"))
    assert "'?'" in answer.unreadable
    assert answer.find(JobId("2"))


def test_a_name_that_is_no_xml() -> None:
    """qsub takes control characters in a name, and qstat prints them as they are."""
    assert sge_answers.qstat(QUEUE.replace("a&amp;b", "a\x01b")).find(JobId("2"))


def test_records() -> None:
    """Times, codes with their words, what was used; the table of sums is no record."""
    text = record(8, "37  : qmaster enforced h_rt, h_cpu, or h_vmem limit", "137   (Killed)")
    (one,) = sge_answers.qacct(record(10, task="2") + text + SUMS)[JobId("8")]
    assert (one.failed, one.status, one.owner, one.host) == (37, 137, "root", "localhost")
    assert (one.submitted, one.started, one.ended) == (NOW, NOW, NOW + 3)
    assert (one.cpu, one.memory, one.category) == (0.012, 3686793, "-q fast -l h_rt=2")
    assert list(sge_answers.qacct(record(10, task="2"))) == [JobId("10", "2")]
    assert sge_answers.qacct(SUMS) == {} == sge_answers.qacct("")


@pytest.mark.parametrize("hole", ["jobnumber    8", "failed       0", "exit_status  0"])
def test_a_record_without_sense(hole: str) -> None:
    with pytest.raises(BackendUnreachable, match="unreadable"):
        sge_answers.qacct(record().replace(hole, ""))


def test_runs() -> None:
    """A run that was started over, or could not begin, is no end; those before the end count."""
    again, stuck, by_hand = (
        record(failed="25  : rescheduling", status="99"),
        record(failed="26  : opening output file"),
        record(failed="25  : rescheduling", submitted="Thu Jan  1 00:00:00 1970"),
    )
    later = record(status="5", submitted="Tue Nov 24 09:47:01 2026")
    ours = {"extra": {"submitted_at": NOW}}
    for before in (again, stuck, by_hand):
        assert run(before, **ours) is None
        end = run(before + later, **ours)
        assert end is not None and (end[0].status, end[1]) == (5, 1)
    # As often as it is known to have been started over, an end is of a run before the last.
    assert run(record(), restarts=1) is None
    assert run(again + again + record(), restarts=1) is not None


def test_records_of_another_job_with_the_number() -> None:
    """Known by the time of submission, where Ganga's is known."""
    old = record(status="1", submitted="Mon Nov 23 07:00:00 2026")
    mine, ours = record(status="2"), {"extra": {"submitted_at": NOW}}
    late = record(status="3", submitted="Mon Nov 23 12:00:00 2026")
    for text, status in ((old + mine, 2), (mine + late, 2), (old + mine + late, 2), (mine, 2)):
        end = run(text, **ours)
        assert end is not None and (end[0].status, end[1]) == (status, 0)
    for text in (old, late, old + late):
        assert run(text, **ours) is None
    unknown = run(late)
    assert unknown is not None and unknown[0].status == 3


def test_rows_of_another_job_with_the_number() -> None:
    answer = sge_answers.qstat(QUEUE)
    (over,), (stuck,) = answer.find(JobId("2")), answer.find(JobId("1"))
    for row, at, same in (
        *((over, NOW, True), (over, NOW - 86400, True), (over, NOW + 86400, False)),
        *((stuck, NOW, True), (stuck, NOW - 86400, False), (stuck, NOW + 86400, False)),
    ):
        assert seen.same_job(row, poll_item("1", "/", extra={"submitted_at": at})) == same
    assert seen.same_job(stuck, poll_item("1", "/"))


def test_errors() -> None:
    assert sge_answers.errors(ERRORS) == {"17": 'unable to find shell "/usr/bin/x"'}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", JobId("12")),
        ("12.3", JobId("12", "3")),
        *((text, None) for text in ("", "-1", "12.", "12 ", "-j", "1,2", "*", "١٢", "12.1-3")),
    ],
)
def test_ids(text: str, expected: JobId | None) -> None:
    """Nothing else than an id gets to a command line."""
    assert JobId.parse(text) == expected


LINES = st.lists(
    st.sampled_from([*record().splitlines(), *record(failed="25", status="x").splitlines(), ""])
).map("\n".join)
PIECES = st.lists(st.sampled_from(QUEUE.replace(">", ">\n").splitlines()), max_size=40).map("".join)
CUTS = st.tuples(st.integers(0, len(QUEUE)), st.integers(0, len(QUEUE)), st.text(max_size=5))


@given(st.one_of(st.text(), PIECES, CUTS.map(lambda c: QUEUE[: c[0]] + c[2] + QUEUE[c[1] :])))
def test_nothing_printed_breaks_the_queue(text: str) -> None:
    """A queue tells of no end, whatever stands there."""
    try:
        answer = sge_answers.qstat(text)
    except BackendUnreachable:
        return
    for number, rows in answer.rows.items():
        assert number in text
        for row in rows:
            assert seen.from_row(row, poll_item("1", "/")).status not in FINAL
            answer.find(JobId(number, "1"))


@given(st.one_of(st.text(), LINES))
def test_nothing_printed_breaks_the_accounting(text: str) -> None:
    """And a job has an end only where the text says so."""
    try:
        found = sge_answers.qacct(text)
    except BackendUnreachable:
        return
    for id_, records in found.items():
        end = seen.the_run(records, poll_item("1", "/"))
        if end is not None:
            observed = seen.from_record(*end)
            assert id_.number in text and isinstance(observed, Seen)
            if observed.status is JobStatus.COMPLETED:
                assert "exit_status  0" in text and "failed       0" in text


@given(st.text())
def test_nothing_printed_breaks_the_errors(text: str) -> None:
    sge_answers.errors(text)


#: Every state of sge_status(5), 8.1.9.
DOCUMENTED = {
    JobStatus.SUBMITTED: "qw Rq hqw hRwq Eqw Ehqw EhRqw",
    JobStatus.RUNNING: "r hr t Rr Rt s ts S tS T tT Rs Rts RS RtS RT RtT "
    "dr dt dRr dRt ds dS dT dRs dRS dRT",
}


def test_the_states_are_all_there() -> None:
    for status, names in DOCUMENTED.items():
        for name in names.split():
            assert states.meaning(name) is status, name
    for unknown in ("", "x", "rX", "d", "E", "R", "z", "1"):
        assert states.meaning(unknown) is None
    assert states.started_over("hRwq") and not states.started_over("qw")


#: The codes of "Failed" states in sge_status(5), 8.1.9.
CODES = {0, 1, *range(3, 5), *range(6, 22), *range(24, 39), 100}


@pytest.mark.parametrize("code", sorted(CODES | {2, 5, 39, 99, 101}))
def test_the_codes_are_all_there(code: int) -> None:
    """Only of those with which the job itself ran there is an end; an unknown one is kept."""
    assert (code in states.FAILED) == (code in CODES)
    end = run(record(failed=str(code), status="3"))
    ends = code not in CODES or code in states.RAN | states.CUT
    assert (end is not None) == ends
    if end is not None:
        found = seen.from_record(*end)
        known = JobStatus.FAILED if code in CODES else None
        assert (found.status, bool(found.reason)) == (known, known is not None)


def test_words() -> None:
    assert states.why(0, 3) == "the job ended with exit code 3"
    assert states.why(15, 0) == "the job ended with exit code 0; then in epilog (failed 15)"
    assert states.why(100, 137).startswith("ended by a signal: deleted (qdel), killed")
    assert states.why(100, 137).endswith("(failed 100), signal 9")
    assert "limit of time or memory" in states.why(37, 137)
    assert Answer().find(JobId("1")) == ()
