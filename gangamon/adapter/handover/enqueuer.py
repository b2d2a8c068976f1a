"""From Ganga's jobs to commands: what must be watched, and what Ganga has taken back."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from typing import Any

from gangamon.adapter.handover import processors, specs
from gangamon.adapter.service.link import Link, new_id
from gangamon.adapter.watch.reader import Reader, Subjobs
from gangamon.adapter.watch.watched import ENDED, POLLED, Watched
from gangamon.domain.command import BATCH_SIZE, UNSPLIT, Enqueue, JobSpec, Withdraw
from gangamon.domain.status import JobStatus

#: Subjobs read or changed between two hand-overs of the GIL, and seconds of each.
SLICE, PAUSE = 25, 0.002

#: While a submission goes on, fewer jobs than fill a batch wait so many seconds for others: a batch
#: for every few jobs would cost the service more than it brings.
HOLD = 5.0

#: Ganga's statuses of a subjob that is yet to be submitted.
AHEAD = ("new", "submitting")

#: Seconds until a look that found something not ready is repeated; and the least pause between two
#: looks at a master, as a multiple of the first one's duration.
AGAIN, AGAIN_FACTOR = 1.0, 5.0


class Enqueuer:
    """Compares a master's subjobs with what the service knows of them, and sends the difference."""

    def __init__(self, reader: Reader, link: Link) -> None:
        self._reader, self._link = reader, link
        self.busy = False
        #: Id of a command by which it is handed over -> master, while it may still be refused.
        self.senders: dict[str, int] = {}

    def look(self, watched: Watched) -> None:
        """One pass over a master's subjobs. Raises Gone, Locked."""
        self.busy = True
        try:
            self._pass(watched)
        finally:
            self.busy = False

    def _pass(self, watched: Watched) -> None:
        begun = time.monotonic()
        master = self._reader.master(watched.id)
        subjobs = Subjobs(master)
        watched.look_at = None
        watched.credential = getattr(master.backend, "credential_requirements", None)
        found = _Found()
        if len(subjobs):
            statuses = subjobs.statuses()
            if "completing" in statuses and not watched.here:
                _interrupted(subjobs, statuses)
            watched.counts = Counter(statuses)
            for sub, status in enumerate(statuses):
                if sub % SLICE == SLICE - 1:
                    time.sleep(PAUSE)
                known = sub in watched.attempts
                if status in POLLED and (subjobs.loaded(sub) or not known):
                    self._polled(watched, master, subjobs[sub], sub, found)
                elif status in ENDED:
                    _ended(watched, status, sub, found)
        elif master.status in POLLED:
            self._polled(watched, master, master, UNSPLIT, found)
        self._send(watched, master, subjobs, found)
        ended = time.monotonic()
        # Hooks may call for a look many times a second while the user submits.
        watched.quiet_until = ended + AGAIN_FACTOR * (ended - begun)
        if found.again:
            watched.look_at = max(ended + AGAIN, watched.quiet_until)

    def _polled(self, watched: Watched, master: Any, job: Any, sub: int, found: _Found) -> None:
        attempt = int(job.info.submit_counter)
        if watched.attempts.get(sub, 0) >= attempt > 0:
            if watched.shown.get(sub) != attempt or job.status != "submitted":
                return
            # Taken back by its backend's reset() (DiracBase.py:686): its outputs are gone, and the
            # service has ended this attempt, so that only another can be watched.
            job.info.increment()
            attempt += 1
        # IBackend.master_submit sets 'submitted' before it counts the submission.
        spec = specs.job_spec(watched, master, job, sub, attempt) if attempt > 0 else None
        if spec is None:
            found.again = True
        else:
            found.specs.append(spec)

    def _send(self, watched: Watched, master: Any, subjobs: Subjobs, found: _Found) -> None:
        orphans = tuple(found.orphans)
        if orphans and orphans != watched.orphans:
            found.again = True  # a submission may be under way: believe it when it stays so
        elif orphans:
            for sub in orphans:
                self._orphan(master, subjobs[sub], sub, found)
        watched.orphans = orphans
        jobs = self._ripe(watched, found)
        if jobs:
            self._enqueue(watched, master, subjobs, jobs)
        for status, subs in found.withdrawn.items():
            self.withdraw(watched, tuple(subs), status)

    def _ripe(self, watched: Watched, found: _Found) -> list[JobSpec]:
        """What to hand over now: all but the last few, if more are on their way."""
        growing = any(watched.counts[status] for status in AHEAD)
        if not growing or time.monotonic() - watched.sent_at >= HOLD:
            return found.specs
        whole = len(found.specs) - len(found.specs) % BATCH_SIZE
        found.again = found.again or whole < len(found.specs)
        return found.specs[:whole]

    def _orphan(self, master: Any, job: Any, sub: int, found: _Found) -> None:
        """It ended in Ganga and the service never knew it; the master's end waits for all."""
        attempt = max(1, int(job.info.submit_counter))
        found.specs.append(JobSpec(sub, attempt, JobStatus.SUBMITTED, str(job.backend.id), {}))
        found.withdrawn[ENDED[job.status]].append(sub)

    def _enqueue(
        self, watched: Watched, master: Any, subjobs: Subjobs, jobs: list[JobSpec]
    ) -> None:
        first = subjobs[jobs[0].sub] if len(subjobs) else master
        lane = specs.lane(watched, master, first)
        watched.lane, watched.sent_at = str(lane), time.monotonic()
        common: dict[str, Any] = {
            "repository": self._link.repository,
            **specs.head(watched, master, len(subjobs), lane),
            "mergers": tuple(s for _, s in processors.mergers(master)) if len(subjobs) else (),
            "checkers": tuple(s for _, s in processors.checkers(master)),
            "notifiers": tuple(s for _, s in processors.notifiers(master)),
        }
        if watched.fresh and not watched.attempts and all(job.attempt == 1 for job in jobs):
            # jobs.clean() starts Ganga's numbers anew: what the service may know under this one is
            # another job, whose statuses would be shown for it.
            why = "its number is now another job's"
            watched.awaited = self._withdraw(watched, (), "removed", why)
            self.senders[watched.awaited] = watched.id
        for batch in specs.chunks(jobs, BATCH_SIZE):
            command = Enqueue(id=new_id(), jobs=batch, **common)
            self.senders[self._link.submit(command)] = watched.id
            watched.attempts.update({job.sub: job.attempt for job in batch})

    def withdraw(self, watched: Watched, subs: tuple[int, ...], status: str) -> None:
        """Ganga took these subjobs back, or the whole master (no subs)."""
        if not watched.attempts:
            return
        self._withdraw(watched, subs, status, f"{status} in the Ganga session")
        watched.ended.update({sub: watched.attempts[sub] for sub in subs})

    def _withdraw(self, watched: Watched, subs: tuple[int, ...], status: str, reason: str) -> str:
        as_in_ganga = JobStatus(ENDED.get(status, "killed"))
        return self._link.submit(
            Withdraw(new_id(), self._link.repository, watched.id, subs, as_in_ganga, reason)
        )


class _Found:
    """What one look found."""

    def __init__(self) -> None:
        self.specs: list[JobSpec] = []
        self.withdrawn: dict[str, list[int]] = defaultdict(list)
        self.orphans: list[int] = []
        self.again = False


def _interrupted(subjobs: Subjobs, statuses: list[str]) -> None:
    """Ganga's own monitoring was cut off while it fetched their outputs: back to running, as by
    Ganga (MonitoringService.py:167). Their outputs are fetched anew over what is there."""
    for sub, status in enumerate(statuses):
        if status == "completing":
            subjobs[sub].status = statuses[sub] = "running"


def _ended(watched: Watched, status: str, sub: int, found: _Found) -> None:
    known = watched.attempts.get(sub)
    if known is not None:
        watched.shown[sub] = known
    if known is None:
        found.orphans.append(sub)
    elif watched.ended.get(sub) != known:
        found.withdrawn[ENDED[status]].append(sub)
