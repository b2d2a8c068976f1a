"""One step after the other: hear, look, hand over, listen, apply. One thread does it all."""

from __future__ import annotations

import math
import queue
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from GangaCore.Utility.logging import getLogger

from gangamon.adapter import teardown
from gangamon.adapter.applier import Applier
from gangamon.adapter.automatic import Automatic
from gangamon.adapter.autostart import Autostart
from gangamon.adapter.credentials import Credentials
from gangamon.adapter.diskspace import DiskSpace
from gangamon.adapter.enqueuer import Enqueuer
from gangamon.adapter.finisher import Finisher
from gangamon.adapter.following import Following
from gangamon.adapter.foreign import Foreign
from gangamon.adapter.link import Link, new_id
from gangamon.adapter.ownership import Ownership
from gangamon.adapter.reader import Gone, Locked, Reader
from gangamon.adapter.roster import Roster
from gangamon.adapter.watched import Watched
from gangamon.domain.command import UNSPLIT, Refresh
from gangamon.domain.status import FINAL
from gangamon.errors import BadInput, DiskFull, StoreUnavailable

logger = getLogger("gangamon")

#: Longest wait of one step, seconds: what a hook may wait for attention.
BLOCK = 0.25

#: Seconds until a job that another session owns, or whose end failed, is tried again.
RETRY = 30.0

#: Seconds in which a session that ends hands over what it did not submit itself.
CLOSE = 2.0

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
        ownership: Ownership,
        autostart: Autostart,
        place: Path,
    ) -> None:
        self._reader, self._link, self._heard, self._alive = reader, link, heard, alive
        self._enqueuer = Enqueuer(reader, link)
        self.applier = Applier(reader, alive)
        self._finisher = Finisher(reader, self.applier)
        self.roster = Roster(reader, link, self._enqueuer, ownership)
        self._scan_interval, self._scan_at = scan_interval, 0.0
        self._ownership = ownership
        self._credentials, self._foreign = Credentials(link), Foreign(reader)
        self._backends: set[str] = set()
        self._checks: set[int | None] = set()
        self.automatic = Automatic(reader, alive, place)
        self._told_locked = False
        self._applying = Following()
        self._disk, self._autostart = DiskSpace(), autostart
        self._epoch = ""

    def step(self, following: Following) -> None:
        """``following``: the jobs whose statuses may change. What this session submits is handed
        over in any case."""
        self._applying = following
        self.hear()
        self._scan(following)
        self._look()
        self._rest(following)
        try:
            if self._link.ready():
                self._autostart.answered()
                self._talk(following)
                return
        except StoreUnavailable:
            self._link.lost()
        if any(True for _ in self.roster):
            self._autostart.look()
        self.wait()

    @property
    def busy(self) -> bool:
        """Whether something is under way, not waiting for a network, that must not be cut off."""
        return (
            self.applier.busy or self._finisher.busy or self._enqueuer.busy or self.automatic.busy
        )

    def close(self) -> None:
        """The session ends: what it submitted last goes into the spool, and out if possible."""
        self.automatic.close()
        for watched in self.automatic.step():
            watched.look_at = 0.0
        deadline = time.monotonic() + CLOSE
        self._applying = Following()
        self.hear()
        self._scan_at = 0.0
        self._scan(Following())
        for watched in self.roster:
            watched.quiet_until, watched.sent_at = 0.0, -math.inf
            watched.look_at = 0.0 if watched.look_at is not None else None
        self._look(deadline)
        teardown.tear_down(self._backends)
        if not self._link.up and any(True for _ in self.roster):
            self._autostart.look()
        self.end()

    def end(self) -> None:
        """What has been said is sent if possible, and what has begun is not cut off."""
        try:
            if self._link.up:
                self._link.flush()
        except StoreUnavailable:
            pass
        self.automatic.close()

    # --- for the way back to Ganga's own monitoring, see ``leaving`` ---------------------------

    def survey(self) -> None:
        """Every master that is watched, or should be, into the table."""
        everything = Following()
        everything.everything()
        self.hear()
        self._scan(everything)

    def show(self, watched: Watched) -> None:
        """A master that is over for the service: its end, as ever."""
        self._careful(watched, self._end)

    # --- hear and look ----------------------------------------------------------------------

    def hear(self) -> None:
        while not self._heard.empty():
            self._note(self._heard.get())

    def wait(self) -> None:
        try:
            self._note(self._heard.get(timeout=BLOCK))
        except queue.Empty:
            return

    def _note(self, item: Any) -> None:
        """(kind, master); of "check" the master may be None: all. None only wakes the thread."""
        if item is None:
            return
        kind, master = item
        self._scan_at = 0.0
        if kind == "check":
            self._checks.add(master)
        else:
            self.roster.heard(master)

    def _scan(self, following: Following) -> None:
        now = time.monotonic()
        if now < self._scan_at:
            return
        self._scan_at = now + self._scan_interval
        chosen = following.chosen
        self.roster.scan(following)
        if chosen and not self.roster.unfinished & chosen:
            following.over(chosen)  # as by Ganga: all that was to be followed is over
        if self._checks:
            for watched in self.roster:
                watched.check |= None in self._checks or watched.id in self._checks
            self._checks.clear()

    def _look(self, deadline: float = math.inf) -> None:
        """After ``deadline`` only at what was submitted here."""
        now = time.monotonic()
        for watched in list(self.roster):
            if not watched.here and time.monotonic() > deadline:
                continue
            due = watched.look_at is not None and now >= max(watched.look_at, watched.quiet_until)
            due = due and not self.automatic.holds(watched)
            if due and watched.resolved and watched.refusals < PATIENCE:
                self._careful(watched, self._hand_over)

    def _hand_over(self, watched: Watched) -> None:
        self.automatic.prepare(watched)
        self._enqueuer.look(watched)
        self._decide(watched)

    def _decide(self, watched: Watched) -> None:
        """Whether what has failed is submitted again: the service may be waiting to be told."""
        if watched.id in self._applying:
            self.automatic.judge(watched)
        if self.applier.over(watched) and self.automatic.keeps(watched):
            watched.finish_at = 0.0

    def _rest(self, following: Following) -> None:
        """What Ganga's own monitoring does beside, or did."""
        if following:
            self._disk.look()
            self.applier.settle()
        for watched in self.automatic.step():
            watched.look_at, watched.quiet_until = 0.0, 0.0
        self._credentials.list_missing(self.roster)
        self._foreign.look(master for master in self.roster.foreign if master in following)
        backends = {watched.backend for watched in self.roster} | self._foreign.active
        teardown.tear_down(self._backends - backends)
        self._backends = backends

    # --- talk with the service --------------------------------------------------------------

    def _talk(self, following: Following) -> None:
        if self._link.epoch != self._epoch:
            self._new_epoch()
        self._link.flush()
        if self._link.settled:
            self._enqueuer.senders.clear()
        self._resolve(following)
        updates = self._link.read(BLOCK)
        if self._link.missed():
            self.roster.unresolve()
        self._take(updates, following)
        self._finish(following)
        self._check()
        self._credentials.look(self.roster)

    def _new_epoch(self) -> None:
        """Another life of the store, or the first seen: what it knew may be gone."""
        self._link.register()
        if self._epoch:
            self.roster.unresolve()
        self._epoch = self._link.epoch

    def _resolve(self, following: Following) -> None:
        now = time.monotonic()
        for watched in list(self.roster):
            followed = watched.id in following
            if (watched.resolved and not (watched.missed and followed)) or now < watched.resolve_at:
                continue
            if self.automatic.holds(watched):
                continue
            if not self._link.settled:
                return  # commands on their way would make the view a stale one
            self._careful(watched, partial(self._compare, followed=followed))

    def _compare(self, watched: Watched, followed: bool) -> None:
        """Take over the service's view: its attempts, and the updates missed."""
        view = self._link.snapshot(watched.id)
        jobs = dict(view.jobs) if view is not None else {}
        watched.attempts = {sub: update.attempt for sub, update in jobs.items()}
        watched.lane = str(view.record.lane) if view is not None else ""
        watched.versions.clear()
        watched.ended.clear()
        if watched.again:  # all of it had ended here, too: what is submitted now was taken back
            watched.shown = {s: u.attempt for s, u in jobs.items() if u.status in FINAL}
            watched.again = False
        watched.missed = not followed
        if followed:
            self._apply(watched, self.roster.differing(watched, jobs))
        watched.resolved, watched.look_at = True, 0.0
        if view is not None and view.final is not None:
            watched.finish_at = 0.0

    def _take(self, updates: list[Any], following: Following) -> None:
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
            if watched is not None and master not in following:
                watched.missed = True
            elif watched is not None and watched.resolved:
                self._careful(watched, partial(self._apply, updates=changes))

    def _apply(self, watched: Watched, updates: list[Any]) -> None:
        self.applier.apply(watched, updates)
        self._decide(watched)

    def _refused(self, update: Any) -> None:
        logger.warning("gangamon refused a command: %s", update.ack.reason)
        watched = self.roster.get(self._enqueuer.senders.get(update.ack.command_id, -1))
        if watched is not None:
            watched.refusals += 1
            watched.resolved = False
            if watched.refusals >= PATIENCE:
                logger.warning("gangamon: job %s is not monitored", watched.id)

    def _finish(self, following: Following) -> None:
        now = time.monotonic()
        for watched in list(self.roster):
            due = watched.finish_at is not None and now >= watched.finish_at
            due = due and not self.automatic.holds(watched)
            if due and watched.resolved and watched.id in following:
                self._careful(watched, self._end)

    def _end(self, watched: Watched) -> None:
        view = self._link.snapshot(watched.id)
        watched.finish_at = None
        if view is None:
            watched.resolved = False
            return
        if watched.shown.get(UNSPLIT, 0) == watched.attempts.get(UNSPLIT):
            return  # taken back: what the service says is of its last attempt
        self.applier.apply(watched, view.jobs.values())
        if (later := self.automatic.judge(watched, view)) is not None:
            watched.finish_at = later  # not the end: some of it is submitted again
            return
        if self.applier.over(watched):
            self.automatic.let_go(watched)
        if self._finisher.finish(watched, view):
            self.automatic.forget(watched)
            self.roster.drop(watched, over=True)
        elif self.applier.over(watched):
            watched.finish_at = time.monotonic() + RETRY  # should its record be missed

    def _check(self) -> None:
        """The user wants to know now: the service asks as soon as the lane's budget allows."""
        for watched in self.roster:
            if watched.check and watched.resolved:
                watched.check = False
                if watched.attempts:
                    self._link.submit(Refresh(new_id(), self._link.repository, watched.id))

    def _careful(self, watched: Watched, act: Callable[[Watched], None]) -> None:
        """One job must not stop the others."""
        try:
            if not self._ownership.take(watched.id):
                raise Locked(f"job {watched.id} is another session's")
            if watched.left:
                self._reader.reload(watched.id)
                watched.left = False
            act(watched)
        except Locked as error:
            if not self._told_locked:
                self._told_locked = True
                logger.warning(
                    "gangamon: %s; its status is changed there, and read here when that session "
                    "ends (others like it are not told)",
                    error,
                )
            watched.resolved, watched.resolve_at = False, time.monotonic() + RETRY
            watched.left = True
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
