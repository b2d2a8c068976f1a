"""Shadow mode: the service watches the jobs that Ganga's own monitoring watches, and what both say
is compared. Nothing is applied, and the service does nothing but ask."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from GangaCore.Utility.logging import getLogger

from gangamon.adapter.guard import RETRY
from gangamon.adapter.handover import specs
from gangamon.adapter.handover.enqueuer import PAUSE, SLICE
from gangamon.adapter.service.autostart import Autostart
from gangamon.adapter.service.link import Link, new_id
from gangamon.adapter.shadow import findings, jobs
from gangamon.adapter.watch.following import Following
from gangamon.adapter.watch.reader import Gone, Reader
from gangamon.adapter.watch.roster import UNFINISHED
from gangamon.adapter.watch.watched import POLLED, Watched
from gangamon.domain.command import BATCH_SIZE, UNSPLIT, Enqueue, JobSpec, Withdraw
from gangamon.domain.shadow import GANGA, GANGAMON, Comparison, Finding
from gangamon.domain.status import FINAL, JobStatus
from gangamon.errors import DiskFull, StoreUnavailable
from gangamon.services import shadow

logger = getLogger("gangamon")

#: Longest wait of one turn for updates, seconds.
BLOCK = 0.25

#: A look at a master's subjobs may take this part of the session's time.
SHARE = 0.05


class _Observed:
    """A master that is compared. ``shown``: sub -> Ganga's status, last seen."""

    def __init__(self, master: int, here: bool) -> None:
        self.watched = Watched(master, here=here, resolved=True)
        self.shown: dict[int, str] = {}
        self.look_at = 0.0
        self.refused = False


class Onlooker:
    """``bound``: seconds that one monitor may be late before it is told of. Only the adapter's
    thread calls it, but for ``summary``."""

    def __init__(
        self,
        reader: Reader,
        link: Link,
        place: Path,
        bound: float,
        interval: float,
        autostart: Autostart,
    ) -> None:
        self._reader, self._link, self._autostart = reader, link, autostart
        self._interval, self._scan_at = interval, 0.0
        self._bound, self._comparison = bound, Comparison(bound)
        self._findings = findings.Findings(reader, link, place)
        self._table: dict[int, _Observed] = {}
        self._handed: set[int] = set()
        self._senders: dict[str, int] = {}
        self._old = set(reader.statuses())
        self._warned: set[str] = set()
        #: Master -> when to look again whether it can be compared (monotonic time).
        self._aside: dict[int, float] = {}
        self._epoch = ""

    def summary(self) -> shadow.Summary:
        """Of this session. Raises OSError."""
        return self._findings.summary()

    # --- the steps ----------------------------------------------------------------------------

    def step(self, following: Following) -> None:
        """``following``: the jobs that Ganga's monitoring is to follow; no others are compared."""
        self._scan(following)
        try:
            if self._link.ready():
                self._autostart.answered()
                self._talk()
                return
        except StoreUnavailable:
            self._link.lost()
        if self._table:
            self._autostart.look()
        time.sleep(BLOCK)

    def drop(self) -> None:
        """Another monitor has the jobs now."""
        self._table.clear()
        self._comparison = Comparison(self._bound)

    def close(self) -> None:
        """The session ends: the service forgets what it was told."""
        for master in sorted(self._handed):
            self._withdraw(master, (), JobStatus.KILLED, "the session has ended")
        found = self.summary()
        if found.jobs or found.behind:
            for line in shadow.short(found):
                logger.warning("gangamon shadow: %s", line)

    # --- what Ganga shows ---------------------------------------------------------------------

    def _scan(self, following: Following) -> None:
        now = time.monotonic()
        if now < self._scan_at:
            return
        self._scan_at = now + self._interval
        statuses = self._reader.statuses()
        new = [
            master
            for master, status in statuses.items()
            if status in POLLED
            and master in following
            and master not in self._table
            and now >= self._aside.get(master, 0.0)
        ]
        held = jobs.held_elsewhere(self._reader) if new else frozenset()
        for master in new:
            if master not in held and self._known(master):
                self._table[master] = _Observed(master, master not in self._old)
            else:
                self._aside[master] = now + RETRY
        for master, observed in list(self._table.items()):
            if master not in statuses or master not in following:
                self._leave(master)
            elif now >= observed.look_at:
                self._look(master, observed, statuses[master])

    def _known(self, master: int) -> bool:
        """Whether gangamon can ask its backend."""
        try:
            jobs.load(self._reader, master)
            backend = self._reader.backend(master)
        except Gone:
            return False
        if backend in self._link.backends():
            return True
        if backend not in self._warned:
            self._warned.add(backend)
            logger.warning(
                "gangamon shadow: no plugin for the backend %s: its jobs are not compared", backend
            )
        return False

    def _look(self, master: int, observed: _Observed, status: str) -> None:
        begun = time.monotonic()
        try:
            raw = jobs.load(self._reader, master)
            given: list[JobSpec] = []
            for sub, shown in jobs.statuses(raw):
                if shown != observed.shown.get(sub):
                    if len(given) % SLICE == SLICE - 1:
                        time.sleep(PAUSE)
                    spec = self._changed(observed, raw, sub, shown)
                    given += [spec] if spec is not None else []
            if given and not observed.refused:
                self._hand_over(observed, raw, given)
        except Gone:
            self._leave(master)
            return
        except Exception as error:  # noqa: BLE001 - one job stops no other
            logger.warning("gangamon shadow: job %s is not compared: %s", master, error)
            observed.refused = True
            self._comparison.forget(self._comparison.of(master))
        ended = time.monotonic()
        observed.look_at = ended + (ended - begun) / SHARE
        if status not in UNFINISHED and not self._comparison.of(master):
            del self._table[master]

    def _changed(self, observed: _Observed, raw: Any, sub: int, shown: str) -> JobSpec | None:
        """A status that is new; what is to be handed over for it."""
        fqid, status = _fqid(observed.watched.id, sub), jobs.status_of(shown)
        before = jobs.status_of(observed.shown.get(sub, ""))
        if status is None:
            return None
        back = before in (None, JobStatus.SUBMITTING, *FINAL) or shown == "submitted"
        spec = None
        if shown in POLLED and back:  # submitted, perhaps again
            attempt = int(jobs.job(raw, sub).info.submit_counter)
            if attempt <= 0 or not (
                spec := specs.job_spec(observed.watched, raw, jobs.job(raw, sub), sub, attempt)
            ):
                return None  # its backend is not done with it: looked at again
            if (
                self._comparison.attempt(fqid) == attempt
                or observed.watched.attempts.get(sub) == attempt
            ):
                spec = None  # as it was handed over; of an attempt that has ended nothing is left
        observed.shown[sub] = shown
        if spec is not None:
            self._comparison.begin(fqid, spec.attempt, status, time.time())
            return spec
        self._hear(GANGA, observed, sub, observed.watched.attempts.get(sub, 0), status)
        if status is JobStatus.KILLED and sub in observed.watched.attempts:
            self._withdraw(observed.watched.id, (sub,), status, "killed in Ganga")
        return None

    def _hand_over(self, observed: _Observed, raw: Any, given: list[JobSpec]) -> None:
        watched = observed.watched
        total = len(raw.subjobs)
        first = jobs.job(raw, given[0].sub)
        head = specs.head(watched, raw, total, specs.lane(watched, raw, first))
        if watched.id not in self._handed:
            self._handed.add(watched.id)
            why = "it is observed anew"
            self._withdraw(watched.id, (), JobStatus.KILLED, why)
        for batch in specs.chunks(given, BATCH_SIZE):
            command = Enqueue(
                new_id(), self._link.repository, mergers=(), jobs=batch, observe=True, **head
            )
            self._senders[self._link.submit(command)] = watched.id
            watched.attempts.update({spec.sub: spec.attempt for spec in batch})

    def _withdraw(self, master: int, subs: tuple[int, ...], status: JobStatus, why: str) -> None:
        try:
            self._link.submit(
                Withdraw(new_id(), self._link.repository, master, subs, status, why, observed=True)
            )
        except DiskFull as error:
            logger.warning("gangamon shadow: %s", error)

    def _leave(self, master: int) -> None:
        """It is removed, or not followed any more."""
        self._table.pop(master, None)
        self._comparison.forget(self._comparison.of(master))
        if master in self._handed:
            self._handed.discard(master)
            self._withdraw(master, (), JobStatus.KILLED, "not followed any more")

    # --- what the service says ----------------------------------------------------------------

    def _talk(self) -> None:
        """Raises StoreUnavailable."""
        if self._link.epoch != self._epoch:
            self._link.register()
            if self._epoch:  # what the store knew is gone, or comes back from the journal
                self._again(self._table)
            self._epoch = self._link.epoch
        self._link.flush()
        updates = self._link.read(BLOCK)
        if self._link.missed():
            self._again(self._table)
        for update in updates:
            if update.epoch != self._link.epoch:
                if self._link.moved_on():
                    return
                continue
            if update.ack is not None and not update.ack.ok:
                self._refused(update.ack)
            observed = self._table.get(update.master)
            if observed is not None:
                self._said(observed, update.jobs)
        late = self._comparison.overdue(time.time())
        if late:
            self._late(late)

    def _said(self, observed: _Observed, told: Iterable[Any]) -> None:
        found = [
            finding
            for job in told
            if (finding := self._hear(GANGAMON, observed, job.sub, job.attempt, job.status, False))
        ]
        self._findings.tell(found)

    def _again(self, masters: Iterable[int]) -> None:
        """The service's view of these as it is now, for updates may have been missed. Raises
        StoreUnavailable."""
        for master in list(masters):
            view, observed = self._link.snapshot(master), self._table.get(master)
            if observed is None:
                continue
            if view is not None:
                self._said(observed, view.jobs.values())
            elif self._link.settled:  # taken away by somebody: handed over anew
                self._comparison.forget(self._comparison.of(master))
                observed.shown.clear()
                observed.watched.attempts.clear()

    def _refused(self, ack: Any) -> None:
        observed = self._table.get(self._senders.get(ack.command_id, -1))
        if observed is not None and not observed.refused:
            observed.refused = True
            self._comparison.forget(self._comparison.of(observed.watched.id))
            logger.warning(
                "gangamon shadow: job %s is not compared: %s", observed.watched.id, ack.reason
            )

    # --- what follows -------------------------------------------------------------------------

    def _hear(
        self,
        who: str,
        observed: _Observed,
        sub: int,
        attempt: int,
        status: JobStatus,
        tell: bool = True,
    ) -> Finding | None:
        fqid = _fqid(observed.watched.id, sub)
        finding = self._comparison.hear(who, fqid, attempt, status, time.time())
        if finding is not None and tell:
            self._findings.tell([finding])
        return finding

    def _late(self, found: list[Finding]) -> None:
        """Whoever is late for long: unless it is only that nobody has looked. Raises
        StoreUnavailable."""
        masters = {findings.master(finding) for finding in found}
        held = jobs.held_elsewhere(self._reader)
        self._again(m for m in masters if m not in held)
        for master in masters & held:
            self._leave(master)
        still = [f for f in found if self._comparison.differs(f)]
        self._findings.tell(still)


def _fqid(master: int, sub: int) -> str:
    return str(master) if sub == UNSPLIT else f"{master}.{sub}"
