"""``advance``: the only place where the status of a job is decided. Pure and total."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from gangamon.domain.effect import Stage
from gangamon.domain.job import HISTORY_LENGTH, MOST_RESTARTS, Entry, Evidence, Job
from gangamon.domain.observation import (
    Absent,
    Fetched,
    Observation,
    Scalar,
    Seen,
    Unreachable,
    Withdrawn,
)
from gangamon.domain.status import FINAL, LEGAL, POLLED, RANK, JobStatus

#: Seconds after a job's attributes were shown in which they change with a transition only: what
#: changes with each poll (DIRAC's application status) costs each job an update a minute at most.
TELL_EVERY = 60.0


class InvalidTransition(Exception):
    """A pair outside the table was about to be taken. Carries the job's story: it is a bug."""

    def __init__(self, job: Job, status: JobStatus) -> None:
        story = " -> ".join(f"{e.status}@{e.attempt}.{e.restart}" for e in job.history)
        super().__init__(f"job {job.fqid}: {job.status} -> {status} is not legal; story: {story}")


@dataclass(frozen=True)
class AbsencePolicy:
    """When absence counts. ``absences`` good answers without the job over ``grace`` seconds
    lead to the second source; where that knows nothing either, the job is stale, and after
    ``lost_after`` seconds of absence it is failed as lost (None: never). Between two good answers
    at most ``gap`` seconds count: an outage of the backend is no absence of its jobs."""

    absences: int = 3
    grace: float = 60.0
    lost_after: float | None = 86400.0
    gap: float = 600.0


class Step(NamedTuple):
    """The job after an observation, and what must now be done."""

    job: Job
    effects: tuple[Stage, ...] = ()

    def moved(self, before: Job) -> bool:
        """Whether this is a transition and not only new facts."""
        return self.job is not before and not self.job.same_version(before)

    def told(self, before: Job) -> Mapping[str, Scalar]:
        """What is to be shown of the job's attributes though it has not moved: those that are
        new, or other than they were."""
        old, new = before.attributes, self.job.attributes
        if new is old or self.moved(before):
            return {}
        return {name: value for name, value in new.items() if name not in old or old[name] != value}


def needs_second_source(job: Job, policy: AbsencePolicy) -> bool:
    """Whether enough good answers missed the job for long enough to ask the second source."""
    return job.absences >= policy.absences and job.absent_for >= policy.grace


def advance(job: Job, observation: Observation, policy: AbsencePolicy, now: float) -> Step:
    """The step that follows from one observation. ``now``: seconds since the epoch.

    Guarantees: the version grows or stays; a status changes only along ``LEGAL``; a final
    status carries evidence; ``Unreachable`` changes nothing. An unmapped code moves no job on; that
    the backend started the job over counts whatever code it has.
    """
    if job.status in FINAL:
        return Step(job)
    if isinstance(observation, Seen):
        return _seen(job, observation, now)
    if isinstance(observation, Unreachable):
        return Step(job)
    if isinstance(observation, Absent):
        return _absent(job, observation, policy, now)
    if isinstance(observation, Fetched):
        return _fetched(job, observation, now)
    return _withdrawn(job, observation, now)


def _seen(job: Job, seen: Seen, now: float) -> Step:
    restarts = min(seen.restarts, MOST_RESTARTS)
    if restarts < job.restart:
        return Step(job)  # an answer from before the backend started the job over
    restarted = restarts > job.restart
    if job.status not in POLLED and not restarted:
        return Step(job)  # completing: the backend has had its say
    if not restarted and _known(job, seen, now):
        return Step(job)
    before = job
    job = job.but(
        native_status=seen.native_status,
        unmapped=seen.status is None,
        site=seen.site or job.site,
        absences=0,
        absent_at=None,
        absent_for=0.0,
        stale=False,
        attributes={**job.attributes, **seen.attributes},
    )
    if restarted:
        job = job.but(verdict=None, evidence=None)
        if job.status is not JobStatus.SUBMITTED:
            job = _move(job, JobStatus.SUBMITTED, seen.source, now, restart=restarts)
        else:
            job = _record(job.but(restart=restarts), job.status, seen.source, now)
    meaning = seen.status
    if meaning is None or (RANK[meaning] <= RANK[job.status]):
        return Step(job if restarted else _shown(job, before, now))
    if meaning is JobStatus.RUNNING:
        return Step(_move(job, JobStatus.RUNNING, seen.source, now))
    evidence = Evidence(
        source=seen.source,
        native_status=seen.native_status,
        exit_code=seen.exit_code,
        reason=seen.reason,
        started_at=seen.started_at,
        ended_at=seen.ended_at,
    )
    if meaning is JobStatus.KILLED:
        return Step(_move(job.but(evidence=evidence), JobStatus.KILLED, seen.source, now))
    # Failed jobs are fetched too: their logs are what the user needs most.
    job = job.but(evidence=evidence, verdict=meaning)
    return Step(_move(job, JobStatus.COMPLETING, seen.source, now), (Stage.FETCH,))


def _rests(job: Job, now: float) -> bool:
    """Whether its attributes were shown only just now."""
    last = max(job.told_at, job.history[-1].at if job.history else 0.0)
    return bool(last) and now - last < TELL_EVERY


def _shown(job: Job, before: Job, now: float) -> Job:
    """A job that did not move: its attributes are what was shown of them, and no more."""
    if job.attributes == before.attributes:
        return job
    return job.but(attributes=before.attributes) if _rests(before, now) else job.but(told_at=now)


def _known(job: Job, seen: Seen, now: float) -> bool:
    """Whether nothing of it is new, or may be shown yet: so it is with most answers, and a copy
    costs."""
    return (
        job.native_status == seen.native_status
        and job.unmapped == (seen.status is None)
        and (seen.status is None or RANK[seen.status] <= RANK[job.status])
        and (not seen.site or job.site == seen.site)
        and not (job.absences or job.absent_for or job.stale)
        and job.absent_at is None
        and (
            seen.attributes == job.attributes
            or seen.attributes.items() <= job.attributes.items()
            or _rests(job, now)
        )
    )


def _absent(job: Job, absent: Absent, policy: AbsencePolicy, now: float) -> Step:
    if job.status not in POLLED:
        return Step(job)
    if absent.second:
        job = job.but(stale=True)
        if policy.lost_after is None or job.absent_for < policy.lost_after:
            return Step(job)
        evidence = Evidence(
            source=absent.source,
            native_status=job.native_status,
            reason=f"lost: in no answer for {job.absent_for:.0f} s, unknown to {absent.source}",
            absences=job.absences,
        )
        return Step(_move(job.but(evidence=evidence), JobStatus.FAILED, absent.source, now))
    since = now if job.absent_at is None else job.absent_at
    span = job.absent_for + min(max(0.0, now - since), policy.gap)
    return Step(job.but(absences=job.absences + 1, absent_at=now, absent_for=span))


def _fetched(job: Job, fetched: Fetched, now: float) -> Step:
    if job.status is not JobStatus.COMPLETING or job.verdict is None or job.evidence is None:
        return Step(job)
    status, evidence = job.verdict, job.evidence
    if fetched.puts:
        job = job.but(puts=fetched.puts)
    if fetched.left_out:
        job = job.but(left_out=fetched.left_out)
    elif not fetched.ok and status is not JobStatus.COMPLETED:
        # Its own reason stays: that its logs did not come is told beside it.
        job = job.but(left_out=(f"all: {fetched.reason}",))
    if not fetched.ok and status is JobStatus.COMPLETED:
        status = JobStatus.FAILED
        evidence = replace(evidence, reason=f"outputs: {fetched.reason}")
    elif fetched.ok and status is JobStatus.COMPLETED and fetched.checks:
        job = job.but(checks=fetched.checks)
        if failed := next((check for check in fetched.checks if not check.ok), None):
            status = JobStatus.FAILED
            evidence = replace(evidence, reason=f"{failed.kind}: {failed.reason}")
    return Step(_move(job.but(evidence=evidence), status, "fetch", now))


def _withdrawn(job: Job, withdrawn: Withdrawn, now: float) -> Step:
    evidence = Evidence(source="ganga", native_status=job.native_status, reason=withdrawn.reason)
    # The owner's word stands above the table: Ganga has taken this step already.
    return Step(_record(job.but(evidence=evidence), withdrawn.status, "ganga", now))


def _move(job: Job, status: JobStatus, source: str, now: float, restart: int | None = None) -> Job:
    if status not in LEGAL[job.status]:
        raise InvalidTransition(job, status)
    if restart is not None:
        job = job.but(restart=restart)
    return _record(job, status, source, now)


def _record(job: Job, status: JobStatus, source: str, now: float) -> Job:
    entry = Entry(job.attempt, job.restart, status, now, source)
    # A transition shows the attributes too: when they were shown before is of no use any more.
    return job.but(status=status, history=(*job.history, entry)[-HISTORY_LENGTH:], told_at=0.0)
