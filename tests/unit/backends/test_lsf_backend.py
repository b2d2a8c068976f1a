"""LSFBackend with a stand-in for its commands, which say what a cluster may say."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from gangamon.backends.lsf import LSFBackend
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Seen, Unreachable
from gangamon.domain.status import JobStatus
from gangamon.errors import BackendUnreachable, RateLimited
from gangamon.fetchers.shared import LSFFetcher
from gangamon.grid import lsf
from gangamon.protocols import FAIL, OK, WARN, PollItem
from gangamon.testing.conformance import BackendCase, BackendConformance, NativeCodesConformance
from gangamon.testing.factories import poll_item

USER = getpass.getuser()
LANE = Lane("LSF", "localhost")
Say = Callable[..., LSFBackend]

HISTORY = """
Job <{0}>, User <{1}>, Project <default>, Command <x>
Fri Oct  5 17:50:35 2018: Dispatched to <a1>;
Fri Oct  5 17:51:30 2018: Exited with exit code 5. The CPU time used is 0.1 seconds;
"""


def job(number: int, state: str, **fields: str) -> dict[str, str]:
    host = "" if state == "PEND" else "2*n1:n2"
    return {"JOBID": str(number), "JOBINDEX": "0", "STAT": state, "USER": USER, "QUEUE": "normal",
            "EXEC_HOST": host, "EXIT_CODE": "", **fields}  # fmt: skip


def table(*jobs: Mapping[str, str]) -> str:
    return json.dumps({"COMMAND": "bjobs", "JOBS": len(jobs), "RECORDS": jobs})


JOBS = table(
    job(1, "PEND"),
    job(2, "RUN"),
    job(3, "DONE"),
    job(4, "EXIT", EXIT_CODE="3"),
    job(5, "EXIT", EXIT_CODE="130", EXIT_REASON="TERM_OWNER: job killed by owner."),
    job(6, "EXIT", EXIT_CODE="140", EXIT_REASON="TERM_RUNLIMIT: job killed after reaching LSF run"),
    job(7, "ODD"),
)


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Put commands on the path that print these, complain and end so; calls are noted."""

    def put(
        text: str, history: str = "", *, code: int = 0, complaint: str = "", lost: str = "9"
    ) -> LSFBackend:
        (tmp_path / "bjobs.txt").write_text(text)
        (tmp_path / "bhist.txt").write_text(history)
        none = "" if history else f"echo 'Job <{lost}> is not found' >&2; exit 255"
        for name, end in (
            ("bjobs", f"echo '{complaint}' >&2; exit {code}"),
            ("bhist", none),
            ("lsid", "echo 'IBM Spectrum LSF Standard 10.1.0.0'; echo My cluster name is c1"),
        ):
            path = tmp_path / name
            path.write_text(
                f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/calls\n'
                f"test -e {tmp_path}/{name}.txt && /bin/cat {tmp_path}/{name}.txt\n{end}\n"
            )
            path.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        return LSFBackend()

    return put


def item(
    native: object, home: str = f"{USER}:r", output: str = "/none", **fields: object
) -> PollItem:
    return poll_item(f"42.{native}", output, native_id=str(native), home=home, **fields)


class TestLSF(BackendConformance, NativeCodesConformance):
    @pytest.fixture
    def case(self, say: Say, monkeypatch: pytest.MonkeyPatch) -> BackendCase:
        known = [poll_item(f"42.{n}", "/none", native_id=str(n)) for n in range(1, 7)]
        missing = poll_item("42.9", "/none", native_id="9")
        backend = say(JOBS)
        return BackendCase(backend, LANE, known, missing, lambda: say("", code=255) and None)

    @pytest.fixture
    def unmapped(self) -> PollItem:
        return poll_item("42.7", "/none", native_id="7")


def test_what_each_job_became(say: Say, tmp_path: Path) -> None:
    items = [item(n) for n in range(1, 7)]
    answers = say(JOBS).poll(LANE, items)
    found = [answer for answer in answers.values() if isinstance(answer, Seen)]
    assert [(one.status, one.exit_code) for one in found] == [
        (JobStatus.SUBMITTED, None), (JobStatus.RUNNING, None), (JobStatus.COMPLETED, 0),
        (JobStatus.FAILED, 3), (JobStatus.KILLED, None), (JobStatus.FAILED, None),
    ]  # fmt: skip
    assert found[4].reason.startswith("job killed by owner (TERM_OWNER)")
    assert "(TERM_RUNLIMIT)" in found[5].reason
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert call.startswith(f"bjobs -a -u {USER} -json -o jobid jobindex stat ")


def test_owners(say: Say, tmp_path: Path) -> None:
    """An owner who is no user here: all jobs. Another user's job, and jobs that may be hidden."""
    text = table(job(1, "RUN"))
    one = item(1, home="no-such-user:r")
    assert isinstance(say(text).poll(LANE, [one])[one.key], Seen)
    assert "-u all " in (tmp_path / "calls").read_text()
    other = next(name for name in ("daemon", "nobody", "bin") if name != USER)
    theirs = [item(1, home=f"{other}:r"), item(9, home=f"{other}:r")]
    reasons = [
        a.reason for a in say(text).poll(LANE, theirs).values() if isinstance(a, Unreachable)
    ]
    assert [reason.split(",")[0] for reason in reasons] == [
        f"job 1 belongs to {USER}",
        f"LSF shows no jobs of {other} (SECURE_JOB_INFO_LEVEL?)",
    ]


def test_no_jobs_at_all(say: Say) -> None:
    """Its exit code then depends on LSB_BJOBS_CONSISTENT_EXIT_CODE, and so may what it prints."""
    one = item(1)
    for text in ("", table()):
        backend = say(text, code=255, complaint="No job found")
        assert backend.poll(LANE, [one]) == {one.key: Absent("bjobs")}
    assert say(table(), complaint="No job found").poll(LANE, [one]) == {one.key: Absent("bjobs")}
    with pytest.raises(BackendUnreachable):
        say("", complaint="No job found").poll(LANE, [one])


@pytest.mark.parametrize(
    ("complaint", "kind"),
    [
        ("LSF is down. Please wait ...", BackendUnreachable),
        ("Failed in an LSF library call: LIM is down; try later", BackendUnreachable),
        ("Batch system concurrent query limit exceeded", RateLimited),
    ],
)
def test_errors(say: Say, complaint: str, kind: type[Exception]) -> None:
    for text in ("", table()):
        with pytest.raises(kind):
            say(text, code=255, complaint=complaint).poll(LANE, [item(1)])
    if kind is RateLimited:
        with pytest.raises(RateLimited):
            say(table(), complaint=complaint).poll(LANE, [item(1)])


def test_a_job_that_waits_again(say: Say) -> None:
    """Requeued: bjobs does not say so, that it ran does."""
    text = table(job(1, "PEND"), job(2, "RUN"))
    ran, runs = item(1, status=JobStatus.RUNNING), item(2, status=JobStatus.RUNNING, restarts=1)
    found = [a.restarts for a in say(text).poll(LANE, [ran, runs]).values() if isinstance(a, Seen)]
    assert found == [1, 1]


def test_arrays(say: Say) -> None:
    """An array as a whole runs while it is in the queue, and has no end."""
    over = [job(1, "DONE", JOBINDEX="1"), job(1, "EXIT", JOBINDEX="2", EXIT_CODE="1")]
    names = ["1", "1[1]", "1[2]", "1[3]"]
    items = [item(name) for name in names]
    answers = say(table(*over, job(1, "RUN", JOBINDEX="3"))).poll(LANE, items)
    statuses = [a.status for a in answers.values() if isinstance(a, Seen)]
    assert statuses == [
        JobStatus.RUNNING, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.RUNNING,
    ]  # fmt: skip
    assert isinstance(say(table(*over)).poll(LANE, items)[items[0].key], Unreachable)


def test_what_lsf_has_forgotten(say: Say, tmp_path: Path) -> None:
    """The wrapper's word, else the event logs'; another user's or an earlier run's is none."""
    output = tmp_path / "out"
    output.mkdir()
    (output / "__jobstatus__").write_text("PID: 3\nEXITCODE: 0\n")
    well, ill, gone = item(3, output=str(output)), item(4), item(9)
    backend = say(table(), HISTORY.format(4, USER))
    assert isinstance(backend.poll(LANE, [well])[well.key], Seen)
    answers = backend.second_source(LANE, [well, ill, gone])
    assert (tmp_path / "calls").read_text().splitlines()[-1] == "bhist -n 0 -l 4 9"
    ended, failed = answers[well.key], answers[ill.key]
    assert isinstance(ended, Seen) and ended.source == "__jobstatus__"
    assert isinstance(failed, Seen)
    assert (failed.source, failed.status, failed.exit_code) == ("bhist", JobStatus.FAILED, 5)
    assert answers[gone.key] == Absent("bhist", second=True)
    for one in (item(4, restarts=1), item(4, extra={"submitted_at": time.time()})):
        kind = Absent if one.restarts else Seen  # bhist tells no time of submission here
        assert isinstance(backend.second_source(LANE, [one])[one.key], kind)
    other = say(table(), HISTORY.format(4, "other"))
    assert other.second_source(LANE, [ill])[ill.key] == Absent("bhist", second=True)
    many = [item(n) for n in range(100, 160)]
    kinds = [type(answer) for answer in other.second_source(LANE, many).values()]
    assert kinds.count(Unreachable) == 10 and kinds.count(Absent) == 50


def test_a_number_that_is_given_anew(say: Say) -> None:
    """Known by the time of submission (MAX_JOBID: 999,999 by default)."""
    when = time.strftime("%b %d %H:%M %Y", time.gmtime())
    backend = say(table(job(1, "RUN", SUBMIT_TIME=when)))
    for ago, kind in ((0, Seen), (86400, Absent)):
        one = item(1, extra={"submitted_at": time.time() - ago})
        assert isinstance(backend.poll(LANE, [one])[one.key], kind)


def test_what_is_no_id_is_not_asked_about(say: Say, tmp_path: Path) -> None:
    one = item("")
    assert say(JOBS).poll(LANE, [one]) == {one.key: Absent("bjobs")}
    assert not (tmp_path / "calls").exists()


def test_the_cluster_and_the_doctor(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lsf.cluster.NAME beside lsf.conf; a lane of another cluster is not asked here."""
    monkeypatch.setenv("LSF_ENVDIR", str(tmp_path))
    backend = say(JOBS)

    def levels() -> dict[str, str]:
        return {found.name: found.level for found in backend.doctor(LANE)}

    assert lsf.cluster() == "" and levels()["cluster"] == WARN
    (tmp_path / "lsf.cluster.c1").touch()
    (tmp_path / "lsf.cluster.c1.bak").touch()
    assert lsf.cluster() == "c1"
    assert levels() == dict.fromkeys(
        ("command bjobs", "command bhist", "version", "cluster", "credential"), OK
    )
    assert isinstance(backend.poll(Lane("LSF", "c1"), [item(1)])[item(1).key], Seen)
    with pytest.raises(BackendUnreachable, match="'far' was asked for; this host's is 'c1'"):
        backend.poll(Lane("LSF", "far"), [item(1)])
    (tmp_path / "lsf.cluster.c2").touch()
    assert lsf.cluster() == ""
    monkeypatch.setenv("PATH", "/none")
    assert levels()["command bjobs"] == FAIL


def test_its_fetcher() -> None:
    assert LSFFetcher().name == LSFBackend().name == "LSF"
