"""One step after the other: hear, look, hand over, listen, apply. One thread does it all."""

from __future__ import annotations

import queue
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

from GangaCore.Utility.logging import getLogger

from gangamon.adapter.applier import Applier
from gangamon.adapter.enqueuer import Enqueuer
from gangamon.adapter.finisher import Finisher
from gangamon.adapter.link import Link
from gangamon.adapter.reader import Gone, Locked, Reader
from gangamon.adapter.roster import Roster
from gangamon.adapter.watched import Watched
from gangamon.errors import BadInput, DiskFull, StoreUnavailable

logger = getLogger("gangamon")

#: Longest wait of one step, seconds: what a hook may wait for attention.
BLOCK = 0.25

#: Seconds until a job that another session owns, or whose end failed, is tried again.
RETRY = 30.0

#: Refused enqueues, or failed ends, after which a job is left alone.
PATIENCE = 3


class Engine:
    """See the methods in the order of ``step``."""

    def __init__(
        self,
        reader: Reader,
        link: Link,
        heard: queue.SimpleQueue[Any],
        alive: Callable[[], bool],
        scan_interval: float,
    ) -> None:
        self._reader, self._link, self._heard, self._alive = reader, link, heard, alive
        self._enqueuer = Enqueuer(reader, link)
        self.applier = Applier(reader, alive)
        self._finisher = Finisher(reader, self.applier)
        self.roster = Roster(reader, link, self._enqueuer)
        self._scan_interval, self._scan_at = scan_interval, 0.0
        self._epoch = ""

    def step(self, applying: bool) -> None:
        """``applying``: whether monitoring is enabled, so that statuses may change. What this
        session submits is handed over in any case."""
        self._hear()
        self._scan(applying)
        self._look()
        try:
            if self._link.ready():
                self._talk(applying)
                return
        except StoreUnavailable:
            self._link.lost()
        self._wait()

    @property
    def busy(self) -> bool:
        """Whether something is under way, not waiting for a network, that must not be cut off."""
        return self.applier.busy or self._finisher.busy or self._enqueuer.busy

    def close(self) -> None:
        """The session ends: what it submitted last goes into the spool, and out if possible."""
        self._hear()
        self._scan_at = 0.0
        self._scan(False)
        for watched in self.roster:
            watched.quiet_until = 0.0
            watched.look_at = 0.0 if watched.look_at is not None else None
        self._look()
        try:
            if self._link.up:
                self._link.flush()
        except StoreUnavailable:
            pass

    # --- hear and look ----------------------------------------------------------------------

    def _hear(self) -> None:
        while not self._heard.empty():
            item = self._heard.get()
            if item is not None:
                self._scan_at = 0.0
                self.roster.heard(item[1])

    def _wait(self) -> None:
        try:
            item = self._heard.get(timeout=BLOCK)
        except queue.Empty:
            return
        if item is not None:
            self._scan_at = 0.0
            self.roster.heard(item[1])

    def _scan(self, applying: bool) -> None:
        now = time.monotonic()
        if now >= self._scan_at:
            self._scan_at = now + self._scan_interval
            self.roster.scan(applying)

    def _look(self) -> None:
        now = time.monotonic()
        for watched in list(self.roster):
            due = watched.look_at is not None and now >= max(watched.look_at, watched.quiet_until)
            if due and watched.resolved and watched.refusals < PATIENCE:
                self._careful(watched, self._enqueuer.look)

    # --- talk with the service --------------------------------------------------------------

    def _talk(self, applying: bool) -> None:
        if self._link.epoch != self._epoch:
            self._new_epoch()
        self._link.flush()
        if self._link.settled:
            self._enqueuer.senders.clear()
        if not applying:
            self._miss(self._link.read(BLOCK))
            return
        self._resolve()
        updates = self._link.read(BLOCK)
        if self._link.missed():
            self.roster.unresolve()
        self._take(updates)
        self._finish()

    def _miss(self, updates: list[Any]) -> None:
        """Monitoring is disabled: acknowledgements count, the rest is caught up later."""
        for update in updates:
            watched = self.roster.get(update.master)
            if watched is not None:
                watched.resolved, watched.resolve_at = False, 0.0

    def _new_epoch(self) -> None:
        """Another life of the store, or the first seen: what it knew may be gone."""
        self._link.register()
        if self._epoch:
            self.roster.unresolve()
        self._epoch = self._link.epoch

    def _resolve(self) -> None:
        now = time.monotonic()
        for watched in list(self.roster):
            if watched.resolved or now < watched.resolve_at:
                continue
            if not self._link.settled:
                return  # commands on their way would make the view a stale one
            self._careful(watched, self._compare)

    def _compare(self, watched: Watched) -> None:
        """Take over the service's view: its attempts, and the updates missed."""
        view = self._link.snapshot(watched.id)
        jobs = dict(view.jobs) if view is not None else {}
        watched.attempts = {sub: update.attempt for sub, update in jobs.items()}
        watched.versions.clear()
        watched.ended.clear()
        self.applier.apply(watched, self.roster.differing(watched, jobs))
        watched.resolved, watched.look_at = True, 0.0
        if view is not None and view.final is not None:
            watched.finish_at = 0.0

    def _take(self, updates: list[Any]) -> None:
        jobs: dict[int, list[Any]] = defaultdict(list)
        for update in updates:
            if update.epoch != self._link.epoch:
                if self._link.moved_on():
                    return
                continue  # from an earlier life of the store
            if update.ack is not None and not update.ack.ok:
                self._refused(update)
            if update.jobs:
                jobs[update.master].extend(update.jobs)
            watched = self.roster.get(update.master) if update.final is not None else None
            if watched is not None:
                watched.finish_at = 0.0
        for master, changes in jobs.items():
            watched = self.roster.get(master)
            if watched is not None and watched.resolved:
                self._careful(watched, partial(self.applier.apply, updates=changes))

    def _refused(self, update: Any) -> None:
        logger.warning("gangamon refused a command: %s", update.ack.reason)
        watched = self.roster.get(self._enqueuer.senders.get(update.ack.command_id, -1))
        if watched is not None:
            watched.refusals += 1
            watched.resolved = False
            if watched.refusals >= PATIENCE:
                logger.warning("gangamon: job %s is not monitored", watched.id)

    def _finish(self) -> None:
        now = time.monotonic()
        for watched in list(self.roster):
            if watched.finish_at is not None and now >= watched.finish_at and watched.resolved:
                self._careful(watched, self._end)

    def _end(self, watched: Watched) -> None:
        view = self._link.snapshot(watched.id)
        watched.finish_at = None
        if view is None:
            watched.resolved = False
            return
        self.applier.apply(watched, view.jobs.values())
        if self._finisher.finish(watched, view):
            self.roster.drop(watched)
        elif self.applier.over(watched):
            watched.finish_at = time.monotonic() + RETRY  # should its record be missed

    def _careful(self, watched: Watched, act: Callable[[Watched], None]) -> None:
        """One job must not stop the others."""
        try:
            act(watched)
        except Locked:
            watched.resolved, watched.resolve_at = False, time.monotonic() + RETRY
        except Gone:
            self.roster.drop(watched)
        except BadInput as error:
            logger.warning("gangamon: job %s is not monitored: %s", watched.id, error)
            watched.refusals = PATIENCE
        except StoreUnavailable:
            raise
        except DiskFull as error:
            logger.error("gangamon: %s", error)
            watched.look_at = time.monotonic() + RETRY
        except Exception as error:  # noqa: BLE001 - user code runs in Ganga's transitions
            self._failed(watched, error)

    def _failed(self, watched: Watched, error: Exception) -> None:
        logger.error("job %s: %s", watched.id, error)
        watched.failures += 1
        if watched.failures < PATIENCE:
            watched.finish_at = watched.look_at = time.monotonic() + RETRY
