"""The Dirac backend against real services of DIRAC 9.1."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from gangamon.backends.dirac import DiracBackend
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Seen, Unreachable
from gangamon.domain.status import JobStatus
from gangamon.errors import BackendUnreachable, CredentialMissing
from gangamon.grid.dirac.process import PROGRAMS
from gangamon.protocols import PollItem
from gangamon.testing.conformance import (
    BackendCase,
    BackendConformance,
    NativeCodesConformance,
)
from gangamon.testing.factories import poll_item
from tests.integration.backends.dirac import Dirac
from tests.support.waiting import until

HOME = f"{getpass.getuser()}:repository"
SUBMITTED, RUNNING = JobStatus.SUBMITTED, JobStatus.RUNNING
COMPLETED, FAILED = JobStatus.COMPLETED, JobStatus.FAILED

#: (Status, MinorStatus, ApplicationStatus, site) -> the meaning.
LIVES = {
    "waits": ("Waiting", "Pilot Agent Submission", "", "", SUBMITTED),
    "scouted": ("Scouting", "", "", "", SUBMITTED),
    "runs": ("Running", "Application", "step 1", "LCG.CERN.ch", RUNNING),
    "stalled": ("Stalled", "", "", "", RUNNING),
    "uploads": ("Completing", "Uploading Output Data", "", "", RUNNING),
    "pending": ("Completed", "Pending Requests", "", "", RUNNING),
    "well": ("Done", "Execution Complete", "All went well", "LCG.CERN.ch", COMPLETED),
    "exit 3": ("Failed", "Application Finished", "'x' Exited With Status 3", "", FAILED),
    "too long": ("Failed", "Job has exceeded maximum wall clock time", "", "", FAILED),
    "not uploaded": ("Failed", "Uploading Output Data", "", "", FAILED),
    "lost": ("Failed", "Job stalled: pilot not running", "", "", FAILED),
    "never began": ("Killed", "Marked for termination", "", "", FAILED),
    "killed": ("Killed", "Marked for termination", "", "", FAILED),
    "deleted": ("Deleted", "Checking accounting", "", "", FAILED),
}


def item(job: int | str, **fields: object) -> PollItem:
    return poll_item(str(job), "/none", native_id=str(job), home=HOME, **fields)


def lane(site: Dirac) -> Lane:
    return Lane("Dirac", str(site.diracosrc), site.proxy)


def poll(site: Dirac, jobs: Iterable[int]) -> Mapping[int, Observation]:
    items = [item(job) for job in jobs]
    answers = DiracBackend().poll(lane(site), items)
    return {int(i.fqid): answers[i.key] for i in items}


def told(site: Dirac, jobs: Iterable[int]) -> bool:
    """Whether nothing stands between us and what its services know of these."""
    try:
        answers = DiracBackend().second_source(lane(site), [item(job) for job in jobs])
    except BackendUnreachable:
        return False
    return not any(isinstance(answer, Unreachable) for answer in answers.values())


def seen(site: Dirac, job: int) -> Seen:
    found = poll(site, [job])[job]
    assert isinstance(found, Seen), found
    return found


@pytest.fixture(scope="module", autouse=True)
def no_programs() -> Iterator[None]:
    """None is left behind."""
    yield
    PROGRAMS.close()


@pytest.fixture(scope="module")
def jobs(dirac_site: Dirac) -> Mapping[str, int]:
    """Jobs that stay as they are."""
    found = dict(zip(LIVES, dirac_site.jobs(len(LIVES)), strict=True))
    for name, (status, minor, application, site, _) in LIVES.items():
        if status in ("Done", "Failed") or name == "killed":
            dirac_site.hand("status", [found[name]], "Running", "Application")
        dirac_site.hand("status", [found[name]], status, minor, application, site)
    dirac_site.hand("parameter", found["well"], "NormCPUTime(s)", "12.5")
    return found


class TestConformance(BackendConformance, NativeCodesConformance):
    @pytest.fixture
    def case(self, dirac_site: Dirac, jobs: Mapping[str, int]) -> Iterator[BackendCase]:
        severed = []

        def sever() -> None:
            severed.append(True)
            dirac_site.kill_services()

        yield BackendCase(
            backend=DiracBackend(),
            lane=lane(dirac_site),
            known=[replace(item(job), home="") for job in jobs.values()],
            missing=replace(item(999999), home=""),
            sever=sever,
        )
        if severed:
            dirac_site.start_services()
            # Services that have just begun may refuse their first connections.
            until(lambda: told(dirac_site, jobs.values()), 120, "every story is told again")

    @pytest.fixture
    def unmapped(self, dirac_site: Dirac) -> PollItem:
        (job,) = dirac_site.jobs(1)
        dirac_site.write(job, "Dreaming")
        return replace(item(job), home="")


def test_every_life(dirac_site: Dirac, jobs: Mapping[str, int]) -> None:
    found = poll(dirac_site, jobs.values())
    meanings = {name: getattr(found[job], "status", found[job]) for name, job in jobs.items()}
    assert meanings == {name: life[-1] for name, life in LIVES.items()}


def test_what_ganga_shows(dirac_site: Dirac, jobs: Mapping[str, int]) -> None:
    well = seen(dirac_site, jobs["well"])
    assert well.attributes == {
        "status": "Done",
        "statusInfo": "Execution Complete",
        "extraInfo": "All went well",
        "actualCE": "LCG.CERN.ch",
        "normCPUTime": "12.5",
    }
    assert (well.native_status, well.site, well.restarts) == ("Done", "LCG.CERN.ch", 0)
    now = time.time()
    assert well.started_at and well.ended_at
    assert now - 3600 < well.started_at <= well.ended_at < now + 60
    waits = seen(dirac_site, jobs["waits"])
    assert (waits.site, waits.attributes["actualCE"]) == ("", "ANY")
    assert waits.started_at is waits.ended_at is None


def test_an_end_has_its_reason(dirac_site: Dirac, jobs: Mapping[str, int]) -> None:
    three = seen(dirac_site, jobs["exit 3"])
    assert three.exit_code == 3
    assert three.reason == (
        "the job failed (Failed): Application Finished, 'x' Exited With Status 3"
    )
    assert seen(dirac_site, jobs["too long"]).reason.endswith("maximum wall clock time")
    assert seen(dirac_site, jobs["never began"]).reason.startswith("killed in DIRAC (Killed)")


def test_started_over_by_dirac(dirac_site: Dirac) -> None:
    (job,) = dirac_site.jobs(1)
    dirac_site.hand("status", [job], "Running", "Application")
    assert seen(dirac_site, job).restarts == 0
    dirac_site.hand("reschedule", job)
    again = seen(dirac_site, job)
    assert (again.status, again.restarts) == (SUBMITTED, 1)
    dirac_site.hand("status", [job], "Running", "Application")
    assert (seen(dirac_site, job).status, seen(dirac_site, job).restarts) == (RUNNING, 1)


def test_another_users_job_tells_nothing(dirac_site: Dirac) -> None:
    ours, theirs = dirac_site.jobs(1)[0], dirac_site.jobs(1, name="x", owner="stranger")[0]
    dirac_site.write(theirs, "Done")
    found = poll(dirac_site, [ours, theirs])
    assert isinstance(found[ours], Seen)
    other = found[theirs]
    assert isinstance(other, Unreachable)
    assert "stranger" in other.reason


def test_what_jobdb_has_lost(dirac_site: Dirac) -> None:
    """Absent in the poll; its story tells the end; where that is gone too, nothing does."""
    forgotten, removed = dirac_site.jobs(2)
    for job in (forgotten, removed):
        dirac_site.hand("status", [job], "Running", "Application", "", "LCG.CERN.ch")
        dirac_site.hand("status", [job], "Done", "Execution Complete")
    dirac_site.hand("forget", [forgotten])
    dirac_site.hand("remove", [removed])
    assert {type(o) for o in poll(dirac_site, [forgotten, removed]).values()} == {Absent}
    items = [item(forgotten), item(removed)]
    answers = DiracBackend().second_source(lane(dirac_site), items)
    story, nothing = (answers[i.key] for i in items)
    assert isinstance(story, Seen)
    assert (story.status, story.native_status) == (COMPLETED, "Done")
    assert story.started_at and story.ended_at and story.started_at <= story.ended_at
    assert isinstance(nothing, Absent)
    assert nothing.second


def test_a_thousand_in_one_query(dirac_site: Dirac) -> None:
    ids = dirac_site.jobs(1000)
    dirac_site.write(ids[500], "Done")
    found = poll(dirac_site, ids)
    assert len(found) == 1000
    ends = [job for job, o in found.items() if isinstance(o, Seen) and o.status is COMPLETED]
    assert ends == [ids[500]]


# --- credentials ------------------------------------------------------------------------------


def test_no_proxy(dirac_site: Dirac, jobs: Mapping[str, int]) -> None:
    nowhere = replace(lane(dirac_site), credential=f"{dirac_site.folder}/none")
    with pytest.raises(CredentialMissing, match="No such file"):
        DiracBackend().poll(nowhere, [item(jobs["well"])])


def test_an_expired_proxy_and_a_new_one(
    dirac_site: Dirac, jobs: Mapping[str, int], tmp_path: Path
) -> None:
    """Within a minute of its end it counts as expired; renewed in its place it is used at once, by
    the same program."""
    path = str(tmp_path / "proxy")
    dirac_site.make_proxy(path)
    where = replace(lane(dirac_site), credential=path)
    backend, i = DiracBackend(), item(jobs["well"])
    assert isinstance(backend.poll(where, [i])[i.key], Seen)
    os.unlink(path)
    dirac_site.make_proxy(path, seconds=30)
    with pytest.raises(CredentialMissing, match="expired"):
        backend.poll(where, [i])
    os.unlink(path)
    dirac_site.make_proxy(path)
    assert isinstance(backend.poll(where, [i])[i.key], Seen)


def test_a_proxy_that_dirac_refuses(dirac_site: Dirac, jobs: Mapping[str, int]) -> None:
    """Of somebody that DIRAC does not know: as good as none."""
    path = f"{dirac_site.folder}/wrong"
    dirac_site.make_proxy(path, whose="stranger")
    with pytest.raises(CredentialMissing):
        DiracBackend().poll(replace(lane(dirac_site), credential=path), [item(jobs["well"])])


def test_a_strangers_proxy(dirac_site: Dirac, jobs: Mapping[str, int]) -> None:
    asked = replace(item(jobs["well"]), home="nobody:repository")
    if getpass.getuser() == "nobody":
        pytest.fail("the tests run as nobody")
    with pytest.raises(CredentialMissing, match="does not belong to nobody"):
        DiracBackend().poll(lane(dirac_site), [asked])


# --- outages ----------------------------------------------------------------------------------


def _programs() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [p for p in children if any("program.py" in word for word in p.cmdline())]


def test_services_that_die_and_come_back(dirac_site: Dirac, jobs: Mapping[str, int]) -> None:
    before = poll(dirac_site, jobs.values())
    dirac_site.kill_services()
    try:
        with pytest.raises(BackendUnreachable):
            poll(dirac_site, jobs.values())
        with pytest.raises(BackendUnreachable):
            DiracBackend().second_source(lane(dirac_site), [item(jobs["well"])])
    finally:
        dirac_site.start_services()
    until(lambda: told(dirac_site, jobs.values()), 120, "every story is told again")
    assert poll(dirac_site, jobs.values()) == before


def test_services_that_hang(dirac_site: Dirac, jobs: Mapping[str, int]) -> None:
    """The query ends in its time; the program that waits for DIRAC is killed; then it goes on."""
    before = poll(dirac_site, jobs.values())
    old = {p.pid for p in _programs()}
    assert old
    backend = DiracBackend()
    backend.limits = replace(backend.limits, timeout=5.0)
    dirac_site.pause("services")
    try:
        with pytest.raises(BackendUnreachable, match="no answer in time"):
            backend.poll(lane(dirac_site), [item(jobs["well"])])
    finally:
        dirac_site.resume("services")
    assert poll(dirac_site, jobs.values()) == before
    assert old - {p.pid for p in _programs()}


def test_a_program_that_is_killed(dirac_site: Dirac, jobs: Mapping[str, int]) -> None:
    before = poll(dirac_site, jobs.values())
    for process in _programs():
        process.kill()
        process.wait()
    until(lambda: not _programs(), 60, "it is gone")
    assert poll(dirac_site, jobs.values()) == before


def test_a_database_that_dies(dirac_site: Dirac, jobs: Mapping[str, int]) -> None:
    """The service answers, with an error: nothing is learnt, and no job is Absent."""
    before = poll(dirac_site, jobs.values())
    dirac_site.pause("mariadbd")
    backend = DiracBackend()
    backend.limits = replace(backend.limits, timeout=5.0)
    try:
        with pytest.raises(BackendUnreachable):
            backend.poll(lane(dirac_site), [item(jobs["well"])])
    finally:
        dirac_site.resume("mariadbd")
    assert poll(dirac_site, jobs.values()) == before
