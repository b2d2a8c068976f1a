"""Telling users of ends: at least once, with the same id if a crash makes it happen again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from gangamon.domain.command import CheckerSpec
from gangamon.domain.job import Job
from gangamon.domain.observation import Check
from gangamon.domain.status import JobStatus
from gangamon.errors import GangamonError
from gangamon.protocols import Event, Master, Notifier

log = logging.getLogger(__name__)


def tell(notifier: Callable[[str], Notifier], master: Master, event: Event) -> list[str]:
    """Have the job's notifiers tell of an end; why not, for each that could not. None holds the
    job up."""
    problems = []
    for spec in master.notifiers:
        try:
            made = notifier(spec.kind)
            if made.wanted(spec, event):
                made.tell(spec, event)
        except GangamonError as error:
            problems.append(f"{spec.kind}: {error}")
        except Exception as error:
            log.exception("%s of job %s failed", spec.kind, event.fqid)
            problems.append(f"{spec.kind}: {type(error).__name__}: {error}")
    for problem in problems:
        log.warning("job %s: not told: %s", event.fqid, problem)
    return problems


def subjob_event(master: Master, job: Job) -> Event:
    return Event(
        f"{master.repository}:{job.fqid}@{job.attempt}.{job.restart}",
        job.fqid,
        master.name,
        job.status,
        {},
        job.evidence.reason if job.evidence else "",
    )


def master_event(master: Master, status: JobStatus) -> Event:
    counts: Mapping[JobStatus, int] = {} if master.total == 1 else master.counts
    return Event(
        f"{master.repository}:{master.id}@{master.attempt}",
        str(master.id),
        master.name,
        status,
        counts,
    )


def decided(wanted: Sequence[CheckerSpec], said: Sequence[Check]) -> bool:
    """Whether the checkers of a job that would be completed have all spoken, up to the first that
    fails it: where one is left to the session, that decides, and tells."""
    return len(said) == len(wanted) or bool(said and not said[-1].ok)
