"""From the update stream to job statuses, in slices. Ganga stays the owner of its own word."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from GangaCore.GPIDev.Lib.Job.Job import Job
from GangaCore.Utility.logging import getLogger

from gangamon.adapter.handover.enqueuer import PAUSE
from gangamon.adapter.handover.processors import check_verdicts, told
from gangamon.adapter.repository.backlog import Backlog
from gangamon.adapter.repository.flush import patch
from gangamon.adapter.repository.writer import Writer
from gangamon.adapter.show import placed
from gangamon.adapter.show.times import master_times, stamp
from gangamon.adapter.show.verdicts import verdicts
from gangamon.adapter.watch.reader import Gone, Reader, Subjobs
from gangamon.adapter.watch.watched import POLLED, Watched
from gangamon.client import JobUpdate
from gangamon.domain.command import UNSPLIT
from gangamon.domain.job import Version
from gangamon.domain.observation import Check, Put
from gangamon.domain.rollup import rollup
from gangamon.domain.status import FINAL, RANK, JobStatus

logger = getLogger("gangamon")

#: Seconds after the last subjob's end until the master's end is asked for, should it be missed.
OVERDUE = 30.0

#: Seconds of work between two rests while updates are applied.
WORK = 0.008

#: Seconds of each of the adapter's steps for subjobs that are loaded in the background.
DRAIN = 0.25

_STATUSES = {status.value: status for status in JobStatus}
_OLDEST = Version(0, 0, 0)


class Applier:
    """Applies job updates to the jobs of one master at a time.

    ``lags``: seconds from the end of a job at its backend to its final status in this session.
    ``applied``: statuses that have changed by updates.
    """

    def __init__(self, reader: Reader, alive: Callable[[], bool]) -> None:
        self._reader, self._alive = reader, alive
        self.writer = Writer(alive)
        self.backlog = Backlog(self._transition, lambda update: shown(update.status), noted)
        self._restored = False
        self.lags: deque[float] = deque(maxlen=200_000)
        self.applied = 0
        self.busy = False

    def apply(self, watched: Watched, updates: Iterable[Any]) -> None:
        """Drop what is old, show the rest. Raises Gone, Locked."""
        wanted = [u for u in updates if _newer(watched, u)]
        if not wanted:
            return
        master = self._reader.master(watched.id)
        subjobs = Subjobs(master)
        if len(subjobs) and not watched.counts:
            watched.counts = Counter(subjobs.statuses())
        rested = time.monotonic()
        for update in wanted:
            if time.monotonic() - rested > WORK:
                time.sleep(PAUSE)
                rested = time.monotonic()
                if not self._alive():
                    break
            try:
                self._one(watched, master, subjobs, update)
            except Exception as error:  # noqa: BLE001 - user code runs in Ganga's transitions
                fqid = f"{watched.id}.{update.sub}" if update.sub >= 0 else str(watched.id)
                logger.error("job %s: %s", fqid, error)
                watched.look_at = 0.0  # the counts may be off
        self.roll_up(watched, master)

    def note(self, watched: Watched, updates: Iterable[Any]) -> None:
        """Show what is told of jobs that have not moved, of a subjob that is not in memory when it
        is loaded. Ganga's own flush writes it. Raises Gone, Locked."""
        master = self._reader.master(watched.id)
        subjobs = Subjobs(master)
        rested = time.monotonic()
        for update in updates:
            if time.monotonic() - rested > WORK:
                time.sleep(PAUSE)
                rested = time.monotonic()
                if not self._alive():
                    break
            if update.attempt != watched.attempts.get(update.sub):
                continue
            if update.sub == UNSPLIT:
                noted(master, update)
            elif not 0 <= update.sub < len(subjobs):
                continue
            elif subjobs.loaded(update.sub):
                noted(subjobs[update.sub], update)
            else:
                self.backlog.note(master, update)

    def put_right(self, watched: Watched) -> None:
        """A master that was running and is submitted again, see ``Roster.overtaken``. Raises Gone,
        Locked."""
        if UNSPLIT in watched.versions:
            watched.resolved, watched.resolve_at = False, 0.0  # its update is shown once more
        else:
            self.roll_up(watched, self._reader.master(watched.id))

    def settle(self) -> None:
        """Load some of the subjobs for which updates wait, for a moment."""
        if not self._restored:
            self._restored = True
            self.backlog.restore(self._load)
        if not self.backlog.over:
            self.backlog.drain(DRAIN)

    def _load(self, master: int) -> Any:
        try:
            return self._reader.master(master)
        except Gone:
            return None

    def _one(self, watched: Watched, master: Any, subjobs: Subjobs, update: Any) -> None:
        if not _newer(watched, update):
            return
        if update.sub >= len(subjobs) and update.sub != UNSPLIT:
            return
        found = None if subjobs.loaded(update.sub) else self.backlog.look(master, update.sub)
        if found is not None:
            job, old, attempt = None, found.status, found.attempt
        else:
            job = master if update.sub == UNSPLIT else subjobs[update.sub]
            old, attempt = job.status, int(job.info.submit_counter)
        if attempt != update.attempt:
            watched.look_at = 0.0  # resubmitted meanwhile
            return
        watched.versions[update.sub] = Version(update.attempt, update.restart, RANK[update.status])
        if update.status in FINAL:
            watched.ended[update.sub] = update.attempt
        if old not in POLLED and old != "completing":
            return  # the user, or Ganga, has ended it: that stands
        if job is None:
            self.backlog.put(master, update)
            new = _after(old, update)
        else:
            self._transition(job, update)
            new = job.status
        if new == old:
            return
        self.applied += 1
        if update.status in FINAL:
            watched.shown[update.sub] = update.attempt
            if update.ended_at is not None:
                self.lags.append(time.time() - update.ended_at)
        if update.sub != UNSPLIT:
            watched.counts[old] -= 1
            watched.counts[new] += 1

    def _transition(self, job: Any, update: Any) -> None:
        patch.applied_at = time.monotonic()
        transition(job, update)
        if job.master is not None:
            self.writer.note(job.master)

    def roll_up(self, watched: Watched, master: Any) -> None:
        """Ganga's roll-up from our own counters, once per batch, and never to an end: that comes
        when the service has merged."""
        status = self.rolled_up(watched)
        if self.over(watched) and watched.finish_at is None:
            watched.finish_at = time.monotonic() + OVERDUE
        if status is None or status in FINAL or master.status not in POLLED:
            return
        if shown(status) != master.status and shown(status) in POLLED:
            self.busy = True
            try:
                with master_times(master, Subjobs(master), {}):
                    master.updateStatus(shown(status))
            finally:
                self.busy = False

    def over(self, watched: Watched) -> bool:
        """Whether every subjob, or the job itself, has ended as far as the updates say."""
        if UNSPLIT in watched.attempts:
            return watched.ended.get(UNSPLIT) == watched.attempts[UNSPLIT]
        return self.rolled_up(watched) in FINAL

    def rolled_up(self, watched: Watched) -> JobStatus | None:
        """What Ganga's own subjob statuses make of the master; None if it has no subjobs."""
        return rollup({s: watched.counts[s.value] for s in _STATUSES.values()})


def _newer(watched: Watched, update: Any) -> bool:
    version = Version(update.attempt, update.restart, RANK[update.status])
    return bool(
        update.attempt == watched.attempts.get(update.sub) != watched.shown.get(update.sub)
        and version > watched.versions.get(update.sub, _OLDEST)
    )


def shown(status: JobStatus) -> str:
    """Outputs on their way are shown as running: Ganga fails at its next start whatever it finds
    'completing' (JobRegistry.check, 8.7.12), and refuses to remove it."""
    return "running" if status is JobStatus.COMPLETING else status.value


def transition(job: Any, update: Any) -> None:
    """Show an update of a loaded job, with Ganga's hooks if it has ended. What Ganga, or the user,
    has ended stays."""
    old = job.status
    if old not in POLLED and old != "completing":
        return
    _attributes(job, update.attributes)
    stamp(job, update)
    new = _after(old, update)
    if new == old:
        return
    if update.status in FINAL:
        said = told(job, new, update.checks, update.sub)
        if update.checks:
            # It was checked because it would be completed: Ganga's transition makes the same of it.
            said += check_verdicts(job, update.checks, update.sub)
            new = "completed"
        if new == "completed":
            said += placed.verdicts_of(job, update.puts)
        else:
            placed.failed(job, update.puts)
        with verdicts.holding(said):
            job.updateStatus(new, update_master=False)
    elif job.master is None:
        job.updateStatus(new)  # which says so at the prompt
    else:
        # No hooks hang on these transitions: this is what updateStatus would do.
        job.time.timenow(new)
        job.status = new


def noted(job: Any, update: Any) -> None:
    """Show attributes of a loaded job that has not moved. What has ended, or was submitted again
    meanwhile, stays as it is."""
    if job.status in POLLED and int(job.info.submit_counter) == update.attempt:
        _attributes(job, update.attributes)


def _after(old: str, update: Any) -> str:
    """The status that an update makes of ``old``, but for what Ganga's hooks make of it."""
    new = shown(update.status)
    if update.status in FINAL:
        # The end of a job that was not split comes with its master's record.
        return old if update.sub == UNSPLIT else new
    return new if new in Job.status_graph[old] else old


def _attributes(job: Any, attributes: Any) -> None:
    backend = job.backend
    for name, value in attributes.items():
        if backend._schema.hasAttribute(name) and getattr(backend, name) != value:
            setattr(backend, name, value)


def made(
    status: str, checks: Sequence[Any] = (), puts: Sequence[Any] = (), **fields: Any
) -> JobUpdate:
    """An update from its fields, as ``dataclasses.asdict`` gives them."""
    said = tuple(Check(**check) for check in checks)
    put = tuple(Put(p["number"], tuple(map(tuple, p["files"])), p["reason"]) for p in puts)
    return JobUpdate(status=JobStatus(status), checks=said, puts=put, **fields)
