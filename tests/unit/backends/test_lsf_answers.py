"""What LSF's bjobs and bhist print. No server can be had: the records are others', the source
beside each, shortened to what is read."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangamon.backends.lsf import answers as lsf_answers
from gangamon.backends.lsf import seen, states
from gangamon.backends.lsf.answers import JobId
from gangamon.domain.observation import Seen
from gangamon.domain.status import FINAL, JobStatus
from gangamon.errors import BackendUnreachable
from gangamon.testing.factories import poll_item

#: The first three records: BatchEuphoria (LSFJobManagerSpec), buildtest (its LSF executor), the
#: tests of the LSF client of MSKCC's Beagle; the last one: an element of an array, by bjobs(1).
BJOBS = """{
  "COMMAND":"bjobs",
  "JOBS":4,
  "RECORDS":[
    {
      "JOBID":"22005",
      "JOB_NAME":"ls -l",
      "STAT":"DONE",
      "USER":"otptest",
      "QUEUE":"short-dmg",
      "EXIT_CODE":"",
      "EXEC_HOST":"tbi-cn019:tbi-cn019",
      "SUBMIT_TIME":"Dec 28 19:56",
      "START_TIME":"Dec 28 19:56",
      "FINISH_TIME":"Dec 28 19:56 L",
      "CPU_USED":"00:00:01",
      "MAX_MEM":"5.2 Gbytes",
      "EXEC_CWD":"\\\\/home\\\\/otptest"
    },
    {
      "JOBID":"58652",
      "STAT":"PSUSP",
      "USER":"shahzebsiddiqui",
      "QUEUE":"batch",
      "EXIT_CODE":"",
      "EXEC_HOST":"",
      "SUBMIT_TIME":"May 28 12:45",
      "START_TIME":"",
      "FINISH_TIME":""
    },
    {
      "JOBID":"12345678",
      "USER":"nikhil",
      "EXIT_CODE":"",
      "STAT":"EXIT",
      "EXIT_REASON":"TERM_OWNER: job killed by owner",
      "PEND_REASON":""
    },
    {
      "JOBID":"77",
      "JOBINDEX":"3",
      "STAT":"EXIT",
      "USER":"u",
      "QUEUE":"normal",
      "EXEC_HOST":"4*hostA:hostB",
      "EXIT_CODE":"3",
      "EXIT_REASON":"",
      "SUBMIT_TIME":"Jan  7 09:58:01 2019",
      "START_TIME":"Jan  7 09:59:02 2019",
      "FINISH_TIME":"Jan  7 09:59:33 2019 L",
      "CPU_USED":"0.1 second(s)",
      "MAX_MEM":"-"
    }
  ]
}
"""

#: The first three: the tests of EMBL-EBI's AbstractLsfExecutor; a user's guide of a site (with its
#: MAX MEM 48 Gbytes); the tests of gc3pie (by bacct, which has the same lines). The last two are no
#: records: ends in the same words, and "Requeued job is waiting for rescheduling" of bhist -l.
BHIST = """\

Job <1>, User <rasko>, Project <default>, Command <echo hi>
Sun Jan 10 17:47:38: Submitted from host <noah-login-01>, to Queue <research-rh
                     74>, CWD <$HOME>, Requested Resources <rusage[numcpus=1:du
                     ration=480]>;
Sun Jan 10 17:47:39: Dispatched to <hx-noah-05-14>, Effective RES_REQ <select[t
                     ype == local] order[r15s:pg] >;
Sun Jan 10 17:47:39: Starting (Pid 110245);
Sun Jan 10 17:47:39: Running with execution home </homes/rasko>, Execution CWD
                     </homes/rasko>, Execution Pid <110245>;
Sun Jan 10 17:47:39: Done successfully. The CPU time used is 0.0 seconds;
Sun Jan 10 17:47:40: Post job process done successfully;

Summary of time in seconds spent in various states by  Sun Jan 10 17:47:40
  PEND     PSUSP    RUN      USUSP    SSUSP    UNKWN    TOTAL
  1        0        0        0        0        0        1
------------------------------------------------------------------------------

Job <2>, User <idoroshenko>, Project <default>, Command <x>
Tue Dec 23 14:46:42: Submitted from host <login>, to Queue <normal>, CWD <$HOME>;
Tue Dec 23 14:46:43: Dispatched 12 Task(s) on Host(s) <12*rhrcsnod19>, Allocate
                     d 12 Slot(s) on Host(s) <12*rhrcsnod19>;
Tue Dec 23 14:46:43: Starting (Pid 258999);
Tue Dec 23 16:34:13: Exited with exit code 1. The CPU time used is 31911.0 seco
                     nds;

Tue Dec 23 16:34:13: Completed <exit>; TERM_MEMLIMIT: job killed after reaching
                      LSF memory usage limit;

------------------------------------------------------------------------------

Job <3>, User <rmurri>, Project <default>, Status <EXIT>, Queue <pub.1h>,
                     Command <sleep 300>
Fri Oct  5 17:49:35: Submitted from host <brutus4>, CWD <$HOME>, Output File <l
                     sf.o%J>;
Fri Oct  5 17:50:35: Dispatched to <a3191>;
Fri Oct  5 17:51:30: Completed <exit>; TERM_OWNER: job killed by owner.
------------------------------------------------------------------------------

Job <4[2]>, Job Name <a[1-3]>, User <u>, Project <default>, Command <x>
Fri Oct  5 17:49:35 2018: Submitted from host <h>, to Queue <normal>, CWD <$HOME>;
Fri Oct  5 17:50:35 2018: [2] dispatched to <a1>;
Fri Oct  5 17:51:30 2018: Exited with exit code 99. The CPU time used is 0.1 seconds;
Fri Oct  5 17:51:31 2018: Pending: Requeued job is waiting for rescheduling;
Fri Oct  5 17:52:35 2018: [2] dispatched to <a2>;
Fri Oct  5 17:53:30 2018: Done successfully. The CPU time used is 0.1 seconds;
------------------------------------------------------------------------------

Job <5>, User <u>, Project <default>, Command <x>
Fri Oct  5 17:50:35 2018: Dispatched to <a1>;
Fri Oct  5 17:51:30 2018: Exited with exit code 99. The CPU time used is 0.1 seconds;
Fri Oct  5 17:51:31 2018: Pending: Requeued job is waiting for rescheduling;
"""

#: 2021-01-20.
NOW = datetime(2021, 1, 20, tzinfo=timezone.utc).timestamp()


def at(*moment: int) -> float:
    return datetime(*moment, tzinfo=timezone.utc).timestamp()  # type: ignore[misc, arg-type]


def queued(name: str) -> Seen:
    (row,) = lsf_answers.bjobs(BJOBS, NOW).find(JobId.parse(name) or JobId(""))
    return seen.from_row(row, poll_item("1", "/"), "bjobs")


def past(name: str, text: str = BHIST) -> Seen | None:
    rows = lsf_answers.bhist(text, NOW).find(JobId.parse(name) or JobId(""))
    return seen.from_row(rows[0], poll_item("1", "/"), "bhist") if rows else None


def test_bjobs() -> None:
    done, held, killed, element = map(queued, ("22005", "58652", "12345678", "77[3]"))
    assert (done.status, done.exit_code, done.site) == (JobStatus.COMPLETED, 0, "tbi-cn019")
    assert done.started_at == done.ended_at == at(2020, 12, 28, 19, 56)
    assert done.attributes == {
        "status": "DONE", "actualqueue": "short-dmg", "actualCE": "tbi-cn019", "exitcode": 0,
    }  # fmt: skip
    assert (held.status, held.started_at, held.attributes) == (
        JobStatus.SUBMITTED, None, {"status": "PSUSP"},
    )  # fmt: skip
    assert (killed.status, killed.reason) == (JobStatus.KILLED, "job killed by owner (TERM_OWNER)")
    assert (element.status, element.exit_code, element.site) == (JobStatus.FAILED, 3, "hostA")
    assert element.reason == "the job failed, exit code 3; used 0.1 second(s) of CPU"
    assert (element.started_at, element.ended_at) == (
        at(2019, 1, 7, 9, 59, 2),
        at(2019, 1, 7, 9, 59, 33),
    )
    assert not lsf_answers.bjobs(BJOBS).find(JobId("77", "4"))


def test_what_comes_before() -> None:
    """LSF waits for its master, and says so on stdout (from the same tests of Beagle)."""
    please = "Cannot connect to LSF. Please wait ...\n" * 3
    assert lsf_answers.bjobs(please + BJOBS, NOW).rows == lsf_answers.bjobs(BJOBS, NOW).rows


EMPTY = '{"COMMAND":"bjobs","JOBS":0,"RECORDS":[]}'


@pytest.mark.parametrize(
    "text",
    ["", "LSF is down. Please wait ...", BJOBS[:-20], BJOBS.replace('"JOBS":4', '"JOBS":5'), "{}",
     EMPTY[:-1], BJOBS.replace('"58652"', '"?"'), BJOBS.replace('"PSUSP"', '""')],
)  # fmt: skip
def test_what_is_no_answer(text: str) -> None:
    with pytest.raises(BackendUnreachable, match="unreadable"):
        lsf_answers.bjobs(text)


def test_bhist() -> None:
    """The end of a job's last run; a job that goes on has none."""
    done, memory, killed, again = (past(name) for name in ("1", "2", "3", "4[2]"))
    assert done is not None and (done.status, done.site) == (JobStatus.COMPLETED, "hx-noah-05-14")
    assert done.attributes["actualqueue"] == "research-rh74"
    assert (done.started_at, done.ended_at) == (at(2021, 1, 10, 17, 47, 39),) * 2
    assert memory is not None and (memory.status, memory.exit_code) == (JobStatus.FAILED, None)
    assert memory.reason == (
        "job killed after reaching LSF memory usage limit (TERM_MEMLIMIT), exit code 1"
    )
    assert memory.site == "rhrcsnod19"
    assert killed is not None and killed.status is JobStatus.KILLED
    assert again is not None and (again.status, again.restarts, again.site) == (
        JobStatus.COMPLETED, 1, "a2",
    )  # fmt: skip
    assert past("5") is None and past("9") is None
    for cut in range(BHIST.index("Job <1>"), BHIST.index("Done successfully")):
        assert past("1", BHIST[:cut]) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Jan  1 10:21", at(2021, 1, 1, 10, 21)),
        ("Jan  2 10:21 L", at(2021, 1, 2, 10, 21)),
        ("Jan 21 10:21", at(2021, 1, 21, 10, 21)),  # another clock than ours
        ("Feb  1 10:21", at(2020, 2, 1, 10, 21)),
        ("Feb 29 10:21 E", at(2020, 2, 29, 10, 21)),
        ("May  4 10:21 2016 L", at(2016, 5, 4, 10, 21)),
        ("Sun Jan 10 17:47:38", at(2021, 1, 10, 17, 47, 38)),
        *(
            (text, None)
            for text in ("", "-", "Hfjfj", "Mai 1 10:21", "Feb 30 10:21", "Jan 1 25:00")
        ),
    ],
)
def test_times(text: str, expected: float | None) -> None:
    """The forms of BatchEuphoria's tests."""
    assert lsf_answers._time(text, NOW) == expected


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("12", "12"),
        ("12[3]", "12[3]"),
        *((x, None) for x in ("", "-a", "12[]", "12[1-3]", "0 1", "1;")),
    ],
)
def test_ids(text: str, name: str | None) -> None:
    """Nothing else than an id gets to a command line."""
    found = JobId.parse(text)
    assert (found.name if found else None) == name


#: bjobs(1) and "Job states" of LSF 10.1.
DOCUMENTED = {
    *("PEND", "PROV", "PSUSP", "RUN", "USUSP", "SSUSP", "DONE", "EXIT", "UNKWN", "WAIT", "ZOMBI"),
    "FWD_PEND",
}

#: "Termination reasons displayed by bacct, bhist, and bjobs" of LSF 10.1.
OTHERS = {
    *("TERM_CHKPNT", "TERM_CPULIMIT", "TERM_CWD_NOTEXIST", "TERM_DEADLINE", "TERM_LOAD"),
    *("TERM_EXTERNAL_SIGNAL", "TERM_MEMLIMIT", "TERM_OTHER", "TERM_PREEMPT", "TERM_RUNLIMIT"),
    *("TERM_PROCESSLIMIT", "TERM_REQUEUE_OWNER", "TERM_SLURM", "TERM_SWAP", "TERM_THREADLIMIT"),
    *("TERM_UNKNOWN", "TERM_WINDOW", "TERM_ZOMBIE", "TERM_REMOVE_HUNG_JOB", "TERM_ORPHAN_SYSTEM"),
}


def test_the_table_is_whole() -> None:
    assert set(states.STATES) == DOCUMENTED
    assert {s for s, status in states.STATES.items() if status in FINAL} == {"DONE", "EXIT"}
    for keyword in states.KILLED | OTHERS:
        status = JobStatus.KILLED if keyword in states.KILLED else JobStatus.FAILED
        assert states.end(f"{keyword}: words") is status
    assert states.end("") is JobStatus.FAILED
    assert states.why(130, "") == "the job failed, exit code 130: signal 2?"


RECORDS = st.lists(
    st.dictionaries(
        st.sampled_from(["JOBID", "STAT", "JOBINDEX", "EXIT_CODE", "FINISH_TIME", "EXEC_HOST"]),
        st.one_of(
            st.integers(), st.sampled_from(["DONE", "EXIT", "PEND", "Jan  7 09:59 L", "", "-"])
        ),
    ),
    max_size=4,
)
JSON = RECORDS.map(lambda r: json.dumps({"COMMAND": "bjobs", "JOBS": len(r), "RECORDS": r}))
CUTS = st.tuples(st.integers(0, len(BJOBS)), st.integers(0, len(BJOBS)), st.text(max_size=5))
LINES = st.lists(st.sampled_from(BHIST.splitlines()), max_size=30).map("\n".join)


@given(st.one_of(st.text(), JSON, CUTS.map(lambda c: BJOBS[: c[0]] + c[2] + BJOBS[c[1] :]), LINES))
def test_nothing_printed_breaks_it(text: str) -> None:
    """And a job has an end only where the text says so."""
    for read, word in ((lsf_answers.bjobs, "DONE"), (lsf_answers.bhist, "Done successfully")):
        try:
            answer = read(text)
        except BackendUnreachable:
            continue
        for id_, row in answer.rows.items():
            observed = seen.from_row(row, poll_item("1", "/"), "bjobs")
            assert answer.find(id_) == (row,)
            if observed.status is JobStatus.COMPLETED:
                assert word in text
