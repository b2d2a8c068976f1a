"""The Slurm backend against real clusters: every end that one host can bring about."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from gangamon.backends.slurm import SlurmBackend
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Seen, Unreachable
from gangamon.domain.status import JobStatus
from gangamon.errors import BackendUnreachable
from gangamon.protocols import PollItem
from gangamon.testing.conformance import BackendCase, BackendConformance
from gangamon.testing.factories import poll_item
from tests.integration.backends import slurm
from tests.integration.backends.slurm import WITHIN, Slurm
from tests.support.waiting import until

USER = getpass.getuser()
HOME = f"{USER}:repository"

Use = Callable[[Slurm], None]

#: Prints 60 MB, to be kept in a variable.
EATS = "head -c 60000000 /dev/zero | tr -c y y"


def item(job: str, name: str = "", output: str = "/none", **fields: object) -> PollItem:
    return poll_item(name or job, output, native_id=job, home=HOME, **fields)


def poll(cluster: Slurm, jobs: Iterable[str]) -> Mapping[str, Observation]:
    """Observations by job id."""
    items = [item(job) for job in jobs]
    answers = SlurmBackend().poll(Lane("Slurm", cluster.name), items)
    return {i.fqid: answers[i.key] for i in items}


def seen(cluster: Slurm, job: str) -> Seen:
    found = poll(cluster, [job])[job]
    assert isinstance(found, Seen), found
    return found


@pytest.fixture(scope="module")
def slow(slurm_plain: Slurm) -> str:
    """A job that Slurm will end at its limit: a minute, and then a look twice a minute."""
    return slurm_plain.submit("sleep 600", "--time=1")


@pytest.fixture(scope="module")
def jobs(slurm_plain: Slurm, slow: str) -> Mapping[str, str]:
    """Name -> id of jobs that stay as they are."""
    s = slurm_plain
    found = {
        "waits": s.submit("exit 0", "-p", "held"),
        "runs": s.submit("sleep 600"),
        "suspended": s.submit("sleep 600"),
        "well": s.submit("exit 0"),
        "failed": s.submit("exit 3"),
        "shot": s.submit("kill -9 $$"),
        "cancelled": s.submit("sleep 600"),
        "never began": s.submit("exit 0", "-p", "held"),
        "node lost": s.submit("sleep 600", "-w", "frail", "--no-requeue"),
        "moved": s.submit("sleep 600", "-w", "frail", "--requeue"),
        "array": s.submit("exit $SLURM_ARRAY_TASK_ID", "--array=0-1"),
        "pair": s.submit("sleep 600", "-p", "held", ":", "-p", "held"),
    }
    for name in ("suspended", "cancelled", "node lost", "moved"):
        s.reaches(found[name], "RUNNING")
    s.run("scontrol", "suspend", found["suspended"])
    s.run("scancel", found["cancelled"], found["never began"])
    for name, state in (("well", "COMPLETED"), ("failed", "FAILED"), ("shot", "FAILED")):
        s.reaches(found[name], state)
    # Before the node goes that it may run on.
    s.reaches(found["array"], "COMPLETED\nFAILED", "FAILED\nCOMPLETED")
    s.run("scontrol", "update", "NodeName=frail", "State=DOWN", "Reason=test")
    for name, state in (
        *(("runs", "RUNNING"), ("cancelled", "CANCELLED")),
        *(("node lost", "NODE_FAIL"), ("moved", "PENDING")),
    ):
        s.reaches(found[name], state)
    return found


class TestPlain(BackendConformance):
    """Without accounting."""

    @pytest.fixture
    def case(
        self,
        slurm_plain: Slurm,
        jobs: Mapping[str, str],
        use: Use,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> BackendCase:
        use(slurm_plain)

        def sever() -> None:
            elsewhere = tmp_path / "slurm.conf"
            text = slurm_plain.conf.read_text()
            elsewhere.write_text(re.sub("(?m)^SlurmctldPort=.*", "SlurmctldPort=1", text))
            monkeypatch.setenv("SLURM_CONF", str(elsewhere))

        names = ("waits", "runs", "well", "failed", "cancelled")
        return BackendCase(
            SlurmBackend(),
            Lane("Slurm", slurm_plain.name),
            [poll_item(f"42.{n}", "/none", native_id=jobs[name]) for n, name in enumerate(names)],
            poll_item("42.9", "/none", native_id="999999"),
            sever,
        )


class TestAccounted(TestPlain):
    """With accounting: of ended jobs the second source knows the end."""

    @pytest.fixture
    def case(
        self, slurm_accounted: Slurm, use: Use, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> BackendCase:
        use(slurm_accounted)
        s = slurm_accounted
        ended = s.submit("exit 0")
        s.reaches(ended, "COMPLETED")
        accounted(s, ended, "COMPLETED")
        items = [s.submit("exit 0", "-p", "held"), ended]
        return BackendCase(
            SlurmBackend(),
            Lane("Slurm", s.name),
            [poll_item(f"42.{n}", "/none", native_id=job) for n, job in enumerate(items)],
            poll_item("42.9", "/none", native_id="999999"),
            # A host without Slurm's commands.
            lambda: monkeypatch.setenv("PATH", str(tmp_path)),
        )


def accounted(cluster: Slurm, job: str, state: str) -> None:
    """Wait until slurmdbd has been told."""
    words = ("sacct", "-n", "-X", "-P", "-o", "State", "-j", job)
    until(lambda: cluster.run(*words).startswith(state), WITHIN, f"sacct: {job} {state}")


MEANINGS = {
    "waits": ("PENDING", JobStatus.SUBMITTED, ""),
    "runs": ("RUNNING", JobStatus.RUNNING, ""),
    "suspended": ("SUSPENDED", JobStatus.RUNNING, ""),
    "well": ("COMPLETED", JobStatus.COMPLETED, ""),
    "failed": ("FAILED", JobStatus.FAILED, "the job failed (FAILED), exit code 3"),
    "shot": ("FAILED", JobStatus.FAILED, "the job failed (FAILED), signal 9"),
    "cancelled": ("CANCELLED", JobStatus.KILLED, "cancelled in Slurm (CANCELLED)"),
    "never began": ("CANCELLED", JobStatus.KILLED, "cancelled in Slurm (CANCELLED)"),
    "node lost": ("NODE_FAIL", JobStatus.FAILED, "a node of the job failed (NODE_FAIL)"),
    "moved": ("PENDING", JobStatus.SUBMITTED, ""),
}


def test_what_each_job_became(slurm_plain: Slurm, jobs: Mapping[str, str], use: Use) -> None:
    """Status, native state and the reason in words; facts in the attributes that Ganga has."""
    use(slurm_plain)
    answers = poll(slurm_plain, [jobs[name] for name in MEANINGS])
    for name, (native, status, reason) in MEANINGS.items():
        found = answers[jobs[name]]
        assert isinstance(found, Seen), (name, found)
        assert (found.native_status, found.status) == (native, status), name
        assert found.reason.startswith(reason) and bool(found.reason) == bool(reason), found
        assert found.restarts == (name == "moved")
        begun = native not in ("PENDING",) and name != "never began"
        assert bool(found.site) == begun == ("actualCE" in found.attributes), (name, found)
        assert (found.started_at is not None) == begun, (name, found)
    well, failed = answers[jobs["well"]], answers[jobs["failed"]]
    assert isinstance(well, Seen) and isinstance(failed, Seen)
    assert well.ended_at is not None and well.started_at is not None
    # Slurm's clock and ours are those of the same host; it counts whole seconds.
    assert time.time() - 600 < well.started_at <= well.ended_at <= time.time() + 1
    assert (well.exit_code, failed.exit_code) == (0, 3)
    assert failed.attributes == {
        "status": "FAILED",
        "actualqueue": "fast",
        "actualCE": failed.site,
        "exitcode": 3,
    }


def test_arrays_and_pairs(slurm_plain: Slurm, jobs: Mapping[str, str], use: Use) -> None:
    """A task and a component by their ids; a pair is its leader; an array that is over is not
    judged by what the queue still knows of it."""
    use(slurm_plain)
    array, pair = jobs["array"], jobs["pair"]
    names = [f"{array}_0", f"{array}_1", array, pair, f"{pair}+1", f"{array}_7"]
    answers = poll(slurm_plain, names)
    statuses = {k: a.status if isinstance(a, Seen) else a for k, a in answers.items()}
    assert statuses == {
        f"{array}_0": JobStatus.COMPLETED,
        f"{array}_1": JobStatus.FAILED,
        array: Absent("squeue"),
        pair: JobStatus.SUBMITTED,
        f"{pair}+1": JobStatus.SUBMITTED,
        f"{array}_7": Absent("squeue"),
    }
    assert poll(slurm_plain, [f"{array}_0"])[f"{array}_0"] == answers[f"{array}_0"]


def test_an_array_as_a_whole(slurm_plain: Slurm, use: Use) -> None:
    """It waits, and runs as soon as one of its tasks does."""
    use(slurm_plain)
    waiting = slurm_plain.submit("exit 0", "-p", "held", "--array=0-2")
    assert seen(slurm_plain, waiting).status is JobStatus.SUBMITTED
    mixed = slurm_plain.submit("sleep 600", "--array=0-2%1")
    until(lambda: "RUNNING" in slurm_plain.state(mixed), WITHIN, "a task runs", None)
    assert seen(slurm_plain, mixed).status is JobStatus.RUNNING
    slurm_plain.run("scancel", waiting, mixed)


def test_a_job_that_is_started_over_by_hand(slurm_plain: Slurm, use: Use) -> None:
    """It waits anew with one restart more, and the end of its second run is its end."""
    use(slurm_plain)
    flag = slurm_plain.folder / "second"
    job = slurm_plain.submit(f"test -e {flag} || sleep 600; exit 5", "--requeue")
    slurm_plain.reaches(job, "RUNNING")
    assert seen(slurm_plain, job).restarts == 0
    flag.touch()
    slurm_plain.requeue(job)
    again = seen(slurm_plain, job)
    assert (again.status, again.restarts, again.started_at) == (JobStatus.SUBMITTED, 1, None)
    slurm_plain.hurry(job)
    slurm_plain.reaches(job, "FAILED")
    ended = seen(slurm_plain, job)
    assert (ended.status, ended.restarts, ended.exit_code) == (JobStatus.FAILED, 1, 5)


def test_a_controller_that_is_killed(slurm_plain: Slurm, jobs: Mapping[str, str], use: Use) -> None:
    """While it is away nothing is learnt; when it is back everything is as it was."""
    use(slurm_plain)
    stays = [job for name, job in jobs.items() if name not in ("array", "moved")]
    before = poll(slurm_plain, stays)
    slurm_plain.remembers()  # it saves what it knows some seconds later
    slurm_plain.kill_controller()
    try:
        with pytest.raises(BackendUnreachable, match="Unable to contact slurm controller"):
            poll(slurm_plain, stays)
    finally:
        slurm_plain.start_controller()
    assert poll(slurm_plain, stays) == before


def test_a_number_that_is_given_anew(slurm_plain: Slurm, use: Use) -> None:
    """A controller that is restored from before a submission forgets the job, and gives its number
    to the next one: that is not ours."""
    use(slurm_plain)
    s, backend, lane = slurm_plain, SlurmBackend(), Lane("Slurm", slurm_plain.name)
    ours, other = (s.folder / "42" / name / "input" for name in ("0", "1"))
    for folder in (ours, other):
        folder.mkdir(parents=True)
    s.remembers()
    s.kill_controller()
    shutil.copytree(s.folder / "state", s.folder / "earlier")
    s.start_controller()
    job = s.submit("exit 0", "-p", "held", f"--chdir={ours}")
    mine = item(job, name="42.0", extra={"submitted_in": "input"})
    assert isinstance(backend.poll(lane, [mine])[mine.key], Seen)
    s.kill_controller()
    shutil.rmtree(s.folder / "state")
    (s.folder / "earlier").rename(s.folder / "state")
    s.start_controller()
    assert backend.poll(lane, [mine])[mine.key] == Absent("squeue")
    assert s.submit("exit 0", "-p", "held", f"--chdir={other}") == job
    theirs = replace(mine, fqid="42.1")
    for asked in ([mine], [mine, theirs, item("1")]):
        answers = backend.poll(lane, asked)
        assert answers[mine.key] == Absent("squeue")
    assert isinstance(answers[theirs.key], Seen)
    s.run("scancel", job)


def test_the_submit_host_is_an_endpoint_and_a_stranger_is_not(
    slurm_plain: Slurm, jobs: Mapping[str, str], use: Use
) -> None:
    """This host asks its own cluster; another name must be a cluster that it can reach."""
    use(slurm_plain)
    asked = [item(jobs["well"])]
    (here,) = SlurmBackend().poll(Lane("Slurm", socket.gethostname()), asked).values()
    assert isinstance(here, Seen)
    with pytest.raises(BackendUnreachable):
        SlurmBackend().poll(Lane("Slurm", "elsewhere"), asked)
    elsewhere = item(f"{jobs['well']};elsewhere", name="2")
    both = SlurmBackend().poll(Lane("Slurm", slurm_plain.name), [*asked, elsewhere])
    assert [type(answer) for answer in both.values()] == [Seen, Unreachable]


def test_a_job_of_another_user(slurm_plain: Slurm, jobs: Mapping[str, str], use: Use) -> None:
    """A number that is somebody else's job says nothing about ours."""
    use(slurm_plain)
    other = next(name for name in ("daemon", "nobody", "bin") if name != USER)
    strange = [poll_item(name, "/none", native_id=jobs[name], home=f"{other}:r") for name in jobs]
    for asked in (strange[:1], strange[:4]):
        answers = SlurmBackend().poll(Lane("Slurm", slurm_plain.name), asked)
        for answer in answers.values():
            assert isinstance(answer, Unreachable)
            assert f"belongs to {USER}, not to {other}" in answer.reason


def test_the_interval_stays_below_what_slurm_remembers(slurm_accounted: Slurm, use: Use) -> None:
    use(slurm_accounted)
    backend = SlurmBackend()
    assert backend.limits.cadence.cap == 120
    backend.poll(Lane("Slurm", slurm_accounted.name), [item("1")])
    assert backend.limits.cadence.cap == slurm_accounted.memory / 2
    assert backend.limits.cadence.interval(None, 0.0, changed=False) == slurm_accounted.memory / 2


def test_by_the_name_of_the_cluster(slurm_accounted: Slurm, use: Use) -> None:
    """``-M``, which needs accounting: an id may name its cluster."""
    use(slurm_accounted)
    job = slurm_accounted.submit("exit 0", "-p", "held")
    assert "CLUSTER" in slurm_accounted.run("squeue", "-M", "accounted", "-j", job)
    assert seen(slurm_accounted, f"{job};accounted").status is JobStatus.SUBMITTED
    backend = SlurmBackend()
    lane = Lane("Slurm", "elsewhere")
    (answer,) = backend.poll(lane, [item(f"{job};accounted")]).values()
    assert isinstance(answer, Seen)
    slurm_accounted.run("scancel", job)


def wrapper_file(folder: Path, job: str, code: int) -> str:
    """An output directory with what Ganga's wrapper leaves."""
    output = folder / job / "output"
    output.mkdir(parents=True)
    start = time.strftime("%a %b %d %H:%M:%S %Y", time.gmtime())
    text = (
        f"START: {start}\nPID: {job}\nQUEUE: fast\nACTUALCE: n\nEXITCODE: {code}\nSTOP: {start}\n"
    )
    (output / "__jobstatus__").write_text(text)
    return str(output)


def test_what_slurm_has_forgotten(slurm_accounted: Slurm, use: Use, tmp_path: Path) -> None:
    """Purged beyond MinJobAge: the queue misses it, the accounting knows its end, also of a job
    that was started over; while the accounting is away only the wrapper's file tells."""
    use(slurm_accounted)
    s = slurm_accounted
    flag = tmp_path / "second"
    over = s.submit(f"test -e {flag} || sleep 600; exit 6", "--requeue")
    s.reaches(over, "RUNNING")
    flag.touch()
    s.requeue(over)
    s.hurry(over)
    ended = {s.submit("exit 4"): 4, s.submit("exit 0"): 0, over: 6}
    killed = s.submit("exit 0", "-p", "held")
    s.run("scancel", killed)
    names = [*ended, killed]
    until(lambda: not any(map(s.knows, names)), 2 * WITHIN, "forgotten", lambda: names)
    assert poll(s, names) == dict.fromkeys(names, Absent("squeue"))
    for job, code in ended.items():
        accounted(s, job, "FAILED" if code else "COMPLETED")
    accounted(s, killed, "CANCELLED")

    backend, lane = SlurmBackend(), Lane("Slurm", s.name)
    first, *_ = ended
    items = [item(job, restarts=int(job == over)) for job in names]
    answers = backend.second_source(lane, [*items, item("999999")])
    for one, code in zip(items, ended.values(), strict=False):
        found = answers[one.key]
        assert isinstance(found, Seen), found
        status = JobStatus.FAILED if code else JobStatus.COMPLETED
        assert (found.status, found.exit_code, found.source) == (status, code, "sacct")
        assert found.restarts == one.restarts
        assert found.attributes["actualqueue"] == "fast"
    cancelled = answers[items[3].key]
    assert isinstance(cancelled, Seen) and cancelled.status is JobStatus.KILLED
    assert answers[item("999999").key] == Absent("sacct", second=True)
    # The accounting has yet to hear of a restart that we know of: its record is an old one.
    behind = item(first, restarts=1)
    assert backend.second_source(lane, [behind])[behind.key] == Absent("sacct", second=True)

    s.kill_database()
    try:
        known = item(first, output=wrapper_file(tmp_path, first, 4))
        answers = backend.second_source(lane, [known, items[1]])
    finally:
        s.start_database()
    by_file = answers[known.key]
    assert isinstance(by_file, Seen) and by_file.source == "__jobstatus__"
    assert (by_file.status, by_file.exit_code) == (JobStatus.FAILED, 4)
    assert isinstance(answers[items[1].key], Unreachable)


def test_a_job_at_its_limit(slurm_plain: Slurm, slow: str, use: Use) -> None:
    """After a minute, Slurm's shortest limit. It stands last, so that others use that minute."""
    use(slurm_plain)
    slurm_plain.reaches(slow, "TIMEOUT")
    found = seen(slurm_plain, slow)
    assert (found.status, found.exit_code) == (JobStatus.FAILED, None)
    assert found.reason.startswith("ended by Slurm at its time limit (TIMEOUT)")


def test_a_job_that_takes_too_much_memory(use: Use) -> None:
    """Where the kernel can hold jobs to what they asked for it ends them, and Slurm has a word for
    it. Where it cannot, Slurm's own look at what their processes take ends them, without one."""
    if packages := slurm.missing(slurm.NEEDED):
        pytest.skip(f"not installed (Debian): {', '.join(packages)}")
    groups = slurm.memory_groups()
    with slurm.running(Slurm("memory", held=groups or slurm.BY_LOOKS)) as cluster:
        use(cluster)
        job = cluster.submit(f"x=`{EATS}`; sleep 600", "--mem=20")
        cluster.reaches(job, "OUT_OF_MEMORY" if groups else "FAILED")
        found = seen(cluster, job)
    print(f"held by {cluster.held}: {found.reason}")
    assert found.status is JobStatus.FAILED
    if groups:
        assert found.exit_code is None
        assert found.reason.startswith("it used more memory than it had asked for (OUT_OF_MEMORY)")
    else:  # the shell that runs the script was killed, or saw it
        assert found.exit_code in (None, 128 + signal.SIGKILL)
        assert found.reason.startswith("the job failed (FAILED)")


def test_no_socket_but_on_loopback(slurm_plain: Slurm) -> None:
    """The cluster under test is nobody else's."""
    for name, daemon in slurm_plain.daemons.items():
        for process in (psutil.Process(daemon.pid), *psutil.Process(daemon.pid).children(True)):
            for socket_ in process.net_connections("inet"):
                assert not socket_.laddr or socket_.laddr.ip == "127.0.0.1", (name, socket_)
    assert os.environ.get("SLURM_CONF") != str(slurm_plain.conf)
