"""The SGE backend against a real Son of Grid Engine: every end that one host can bring about."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from gangamon.backends.sge import SGEBackend
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Seen, Unreachable
from gangamon.domain.status import JobStatus
from gangamon.errors import BackendUnreachable
from gangamon.protocols import PollItem
from gangamon.testing.conformance import BackendCase, BackendConformance
from gangamon.testing.factories import poll_item
from tests.integration.backends.sge import GridEngine
from tests.support.waiting import until

USER = getpass.getuser()
LANE = Lane("SGE", "gm")
NOTHING = Absent("qacct", second=True)


@pytest.fixture(autouse=True)
def environ(grid_engine: GridEngine, use: Callable[[GridEngine], None]) -> None:
    use(grid_engine)


def item(job: str, **fields: object) -> PollItem:
    return poll_item(job, "/none", native_id=job, home=f"{USER}:repository", **fields)


def poll(jobs: Iterable[str]) -> Mapping[str, Observation]:
    """Observations by job id."""
    items = [item(job) for job in jobs]
    answers = SGEBackend().poll(LANE, items)
    return {i.fqid: answers[i.key] for i in items}


def seen(job: str, **fields: object) -> Seen:
    one = item(job, **fields)
    found = SGEBackend().poll(LANE, [one])[one.key]
    assert isinstance(found, Seen), found
    return found


@pytest.fixture(scope="module")
def jobs(grid_engine: GridEngine) -> Mapping[str, str]:
    """Name -> id of jobs that stay as they are."""
    g = grid_engine
    memory = "import time; x = bytearray(500 * 1024 ** 2); time.sleep(600)"
    found = {
        "waits": g.submit("exit 0", queue="held"),
        "hold": g.submit("exit 0", "-h"),
        "runs": g.submit("sleep 600"),
        "suspended": g.submit("sleep 600"),
        "well": g.submit("exit 0"),
        "failed": g.submit("exit 3"),
        "shot": g.submit("kill -9 $$"),
        "deleted": g.submit("sleep 600"),
        "too long": g.submit("sleep 600", "-l", "h_rt=1"),
        "too large": g.submit(f'python3 -c "{memory}"', "-l", "h_vmem=200M"),
        "stuck": g.submit("exit 0", "-S", "/no/such/shell"),
        "never began": g.submit("exit 0", queue="held"),
        "array": g.submit("exit $((SGE_TASK_ID - 1))", "-t", "1-2"),
        "mixed": g.submit("sleep 600", "-t", "1-5:2", "-tc", "1"),
    }
    for name in ("runs", "suspended", "deleted"):
        g.reaches(found[name], "r")
    g.run("qmod", "-sj", found["suspended"])
    g.run("qdel", found["deleted"], found["never began"])
    ended = ("well", "failed", "shot", "deleted", "too long", "too large")
    g.accounted(*(found[name] for name in ended))
    g.accounted(found["array"], records=2)
    for name, state in (("suspended", "s"), ("stuck", "Eqw"), ("hold", "hqw")):
        g.reaches(found[name], state)
    return found


class TestSGE(BackendConformance):
    @pytest.fixture
    def case(self, jobs: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> BackendCase:
        names = ("waits", "runs", "well", "failed", "deleted", "stuck")
        return BackendCase(
            SGEBackend(),
            LANE,
            [poll_item(f"42.{n}", "/none", native_id=jobs[name]) for n, name in enumerate(names)],
            poll_item("42.9", "/none", native_id="999999"),
            lambda: monkeypatch.setenv("SGE_QMASTER_PORT", "1"),
        )


WAITS, RUNS, FAILED = JobStatus.SUBMITTED, JobStatus.RUNNING, JobStatus.FAILED
LIMIT = "ended by Grid Engine at its limit of time or memory (h_rt, h_cpu, h_vmem) (failed 37)"
SIGNAL = "ended by a signal: deleted (qdel), killed on its host, or its host failed (failed 100)"
MEANINGS = {
    "waits": ("qw", WAITS, None, ""),
    "hold": ("hqw", WAITS, None, ""),
    "runs": ("r", RUNS, None, ""),
    "suspended": ("s", RUNS, None, ""),
    "well": ("z", JobStatus.COMPLETED, 0, ""),
    "failed": ("z", FAILED, 3, "the job ended with exit code 3; used "),
    "shot": ("failed=100", FAILED, None, f"{SIGNAL}, signal 9; used "),
    "deleted": ("failed=100", FAILED, None, f"{SIGNAL}, signal 9; used "),
    "too long": ("failed=37", FAILED, None, f"{LIMIT}, signal 9; used "),
    # The allocation fails, inside of the job: what it had asked for tells why.
    "too large": ("z", FAILED, 1, "the job ended with exit code 1; used "),
    "stuck": ("Eqw", WAITS, None, "unable to find shell"),
}


def test_what_each_job_became(jobs: Mapping[str, str]) -> None:
    """Status, native state and the reason in words; facts in the attributes that Ganga has."""
    answers = poll([jobs[name] for name in MEANINGS])
    for name, (native, status, code, reason) in MEANINGS.items():
        found = answers[jobs[name]]
        assert isinstance(found, Seen), (name, found)
        assert (found.native_status, found.status, found.exit_code) == (native, status, code), name
        assert found.reason.startswith(reason) and bool(found.reason) == bool(reason), found
        begun = status is not WAITS
        assert bool(found.site) == begun == ("actualCE" in found.attributes), (name, found)
        assert (found.started_at is not None) == begun, (name, found)
    well, large, stuck = (answers[jobs[name]] for name in ("well", "too large", "stuck"))
    assert isinstance(well, Seen) and well.started_at and well.ended_at
    # Its clock and ours are those of the same host; it counts whole seconds.
    assert time.time() - 600 < well.started_at <= well.ended_at <= time.time() + 1
    assert well.attributes == {
        "status": "z", "actualqueue": "fast", "actualCE": well.site, "exitcode": 0,
    }  # fmt: skip
    assert isinstance(large, Seen) and large.reason.endswith("asked for: -q fast -l h_vmem=200M")
    assert isinstance(stuck, Seen) and "/no/such/shell" in str(stuck.attributes["status"])


def test_what_leaves_no_trace(jobs: Mapping[str, str]) -> None:
    """A job that was deleted before it began: qacct has no record. It is absent, and no more."""
    one = item(jobs["never began"])
    assert SGEBackend().poll(LANE, [one]) == {one.key: Absent("qstat")}
    assert SGEBackend().second_source(LANE, [one]) == {one.key: NOTHING}


def test_arrays(jobs: Mapping[str, str]) -> None:
    """Tasks by their ids; an array as a whole runs while it is in the queue, and has no end."""
    array, mixed = jobs["array"], jobs["mixed"]
    names = [f"{array}.1", f"{array}.2", array, f"{array}.3", mixed]
    answers = poll(names + [f"{mixed}.{n}" for n in range(1, 6)])
    statuses = {k: a.status if isinstance(a, Seen) else a for k, a in answers.items()}
    absent = Absent("qstat")
    assert statuses == {
        f"{array}.1": JobStatus.COMPLETED,
        f"{array}.2": FAILED,
        array: absent,
        f"{array}.3": absent,
        mixed: RUNS,
        f"{mixed}.1": RUNS,
        f"{mixed}.2": absent,
        f"{mixed}.3": WAITS,
        f"{mixed}.4": absent,
        f"{mixed}.5": WAITS,
    }
    whole = item(array)
    assert isinstance(SGEBackend().second_source(LANE, [whole])[whole.key], Unreachable)


def test_a_job_that_is_started_over(grid_engine: GridEngine, tmp_path: Path) -> None:
    """By hand: it waits, or runs, with one restart more, and the end of its last run is its end."""
    g, flag, go = grid_engine, tmp_path / "second", tmp_path / "go"
    wait = f"until test -e {go}; do sleep 0.1; done"
    job = g.submit(f"test -e {flag} || sleep 600; {wait}; exit 5", "-r", "y")
    g.reaches(job, "r")
    assert seen(job).restarts == 0
    flag.touch()
    g.run("qmod", "-rj", job)
    g.reaches(job, "Rq", "Rt", "Rr")
    assert seen(job, status=RUNS).restarts == 1
    g.reaches(job, "Rr")
    again = seen(job, restarts=1)
    assert (again.status, again.restarts) == (RUNS, 1)
    go.touch()
    g.accounted(job, records=2)
    for restarts in (0, 1):
        ended = seen(job, restarts=restarts)
        assert (ended.status, ended.restarts, ended.exit_code) == (FAILED, 1, 5)
    one = item(job, restarts=2)  # of a third run nothing is known
    assert SGEBackend().second_source(LANE, [one])[one.key] == NOTHING


def test_a_job_that_asks_to_be_started_over(grid_engine: GridEngine, tmp_path: Path) -> None:
    """Exit code 99."""
    flag = tmp_path / "first"
    job = grid_engine.submit(f"test -e {flag} && exit 4; touch {flag}; exit 99", "-r", "y")
    grid_engine.accounted(job, records=2)
    ended = seen(job)
    assert (ended.status, ended.restarts, ended.exit_code) == (FAILED, 1, 4)


def test_an_error_that_is_cleared(grid_engine: GridEngine, tmp_path: Path) -> None:
    """Its record of the run that could not begin is no end, and neither is the state."""
    out = tmp_path / "missing" / "out"
    script = grid_engine.submit("exit 0", "-h", "-o", str(out))
    grid_engine.run("qalter", "-h", "U", script)
    grid_engine.reaches(script, "Eqw")
    backend, one = SGEBackend(), item(script)
    stuck = backend.poll(LANE, [one])[one.key]
    assert isinstance(stuck, Seen) and "can't open output file" in stuck.reason
    until(lambda: grid_engine.records(script), 120, "the first run is accounted")
    assert backend.second_source(LANE, [one])[one.key] == NOTHING
    out.parent.mkdir()
    grid_engine.clear(script)
    grid_engine.accounted(script, records=2)
    ended = backend.poll(LANE, [one])[one.key]
    assert isinstance(ended, Seen) and ended.status is JobStatus.COMPLETED


def test_a_number_that_is_given_anew(grid_engine: GridEngine) -> None:
    """A qmaster that was set up anew begins with 1: neither the job that has our number now nor the
    record of one that had it is ours."""
    g, hours = grid_engine, 2 * 3600
    job = g.submit("exit 3")
    g.accounted(job)
    g.kill_master()
    g.renumber(int(job) - 1)
    g.start_master()
    assert g.submit("exit 0", queue="held") == job
    earlier = item(job, extra={"submitted_at": time.time() - hours})
    now = item(job, extra={"submitted_at": time.time()})
    later = item(job, extra={"submitted_at": time.time() + hours})
    backend = SGEBackend()
    assert backend.poll(LANE, [earlier])[earlier.key] == Absent("qstat")
    assert isinstance(backend.poll(LANE, [now])[now.key], Seen)
    g.run("qdel", job)
    for one in (earlier, later):
        assert backend.poll(LANE, [one])[one.key] == Absent("qstat")
        assert backend.second_source(LANE, [one])[one.key] == NOTHING
    assert isinstance(backend.poll(LANE, [now])[now.key], Seen)  # the record is of that time


def test_a_job_of_another_user(jobs: Mapping[str, str]) -> None:
    """A number that is somebody else's job says nothing about ours."""
    other = next(name for name in ("daemon", "nobody", "bin") if name != USER)
    theirs = [replace(item(jobs[name]), home=f"{other}:r") for name in ("runs", "failed")]
    answers = SGEBackend().poll(LANE, theirs)
    assert [answers[one.key] for one in theirs] == [Absent("qstat")] * 2
    answers = SGEBackend().second_source(LANE, theirs)
    assert [answers[one.key] for one in theirs] == [NOTHING] * 2


def test_a_master_that_is_killed(grid_engine: GridEngine, jobs: Mapping[str, str]) -> None:
    """While it is away nothing is learnt, though qacct answers; when it is back all is as it was.
    That jobs end meanwhile: test_sge_ganga, for execd takes up to a minute to find it again."""
    stays = [job for name, job in jobs.items() if name != "array"]
    before = poll(stays)
    grid_engine.kill_master()
    try:
        with pytest.raises(BackendUnreachable, match="unable to"):
            poll(stays)
    finally:
        grid_engine.start_master()
    assert poll(stays) == before


def test_a_master_that_stands_still(grid_engine: GridEngine, jobs: Mapping[str, str]) -> None:
    """qstat has no time-out of its own."""
    backend, one = SGEBackend(), item(jobs["runs"])
    backend.limits = replace(backend.limits, timeout=2.0)
    grid_engine.stop_master()
    try:
        with pytest.raises(BackendUnreachable, match="no answer within 2 s"):
            backend.poll(LANE, [one])
    finally:
        grid_engine.let_master_go_on()
    assert isinstance(SGEBackend().poll(LANE, [one])[one.key], Seen)


def test_nobody_else_can_reach_it(grid_engine: GridEngine) -> None:
    """Its daemons listen on all addresses, in a network of their own."""
    inside = grid_engine.inhabitants()
    assert {"sge_qmaster", "sge_execd"} <= {process.name() for process in inside}
    assert os.readlink("/proc/self/ns/net") != os.readlink(f"/proc/{inside[0].pid}/ns/net")
