"""The talk with the service: commands out, updates in, and what follows for the jobs."""

from __future__ import annotations

import time
from collections import defaultdict
from functools import partial
from typing import Any

from GangaCore.Utility.logging import getLogger

from gangamon.adapter.auto.automatic import Automatic
from gangamon.adapter.guard import RETRY, Guard
from gangamon.adapter.handover.enqueuer import Enqueuer
from gangamon.adapter.service.link import Link, new_id
from gangamon.adapter.show.applier import Applier
from gangamon.adapter.show.credentials import Credentials
from gangamon.adapter.show.finisher import Finisher
from gangamon.adapter.watch.following import Following
from gangamon.adapter.watch.roster import Roster
from gangamon.adapter.watch.watched import PATIENCE, Watched
from gangamon.domain.command import UNSPLIT, Refresh, Withdraw
from gangamon.domain.status import FINAL, JobStatus

logger = getLogger("gangamon")

#: Longest wait of one turn for updates, seconds: what a hook may wait for attention.
BLOCK = 0.25


class Exchange:
    """See the methods in the order of ``talk``. ``following``: the jobs whose statuses may
    change."""

    def __init__(
        self,
        link: Link,
        roster: Roster,
        enqueuer: Enqueuer,
        applier: Applier,
        finisher: Finisher,
        automatic: Automatic,
        credentials: Credentials,
        guard: Guard,
    ) -> None:
        self._link, self._roster, self._enqueuer = link, roster, enqueuer
        self._applier, self._finisher, self._automatic = applier, finisher, automatic
        self._credentials, self._guard = credentials, guard
        self.following = Following()
        self._epoch = ""

    def talk(self) -> None:
        """One turn. Raises StoreUnavailable."""
        following = self.following
        if self._link.epoch != self._epoch:
            self._new_epoch()
        self._link.flush()
        if self._link.settled:
            self._enqueuer.senders.clear()
            for watched in self._roster:
                watched.awaited = ""
        self._resolve(following)
        updates = self._link.read(BLOCK if self._applier.backlog.over else 0.0)
        if self._link.missed():
            self._roster.unresolve()
        self._take(updates, following)
        self._finish(following)
        self._refresh()
        self._credentials.look(self._roster)

    def _new_epoch(self) -> None:
        """Another life of the store, or the first seen: what it knew may be gone."""
        self._link.register()
        if self._epoch:
            self._roster.unresolve()
        self._epoch = self._link.epoch

    def _resolve(self, following: Following) -> None:
        now = time.monotonic()
        for watched in list(self._roster):
            followed = watched.id in following
            if (watched.resolved and not (watched.missed and followed)) or now < watched.resolve_at:
                continue
            if self._automatic.holds(watched):
                continue
            if not self._link.settled:
                return  # commands on their way would make the view a stale one
            self._guard(watched, partial(self._compare, followed=followed))

    def _compare(self, watched: Watched, followed: bool) -> None:
        """Take over the service's view: its attempts, and the updates missed."""
        view = self._link.snapshot(watched.id)
        if view is not None and view.record.observe:
            self._forget(watched)  # looked at again when that is settled
            return
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
            self._apply(watched, self._roster.differing(watched, jobs))
        watched.resolved, watched.look_at = True, 0.0
        if view is not None and view.final is not None:
            watched.finish_at = 0.0

    def _forget(self, watched: Watched) -> None:
        """A session in shadow mode left it: what was only observed is handed over anew."""
        why = "it was only observed"
        self._link.submit(
            Withdraw(
                new_id(),
                self._link.repository,
                watched.id,
                (),
                JobStatus.KILLED,
                why,
                observed=True,
            )
        )

    def _take(self, updates: list[Any], following: Following) -> None:
        jobs: dict[int, list[Any]] = defaultdict(list)
        notes: dict[int, list[Any]] = defaultdict(list)
        for update in updates:
            if update.epoch != self._link.epoch:
                if self._link.moved_on():
                    return
                continue  # from an earlier life of the store
            if update.ack is not None and not update.ack.ok:
                self._refused(update)
            if update.ack is not None:
                self._another(update.ack.command_id, jobs, notes)
            if update.jobs:
                jobs[update.master].extend(update.jobs)
            if update.noted:
                notes[update.master].extend(update.noted)
            watched = self._roster.get(update.master) if update.final is not None else None
            if watched is not None and not watched.awaited:
                watched.finish_at = 0.0
        for master, changes in jobs.items():
            watched = self._roster.get(master)
            if watched is not None and watched.awaited:
                continue
            if watched is not None and (watched.missed or master not in following):
                # Also if it is followed again: what was missed comes first, and is judged with it.
                watched.missed = True
            elif watched is not None and watched.resolved:
                self._guard(watched, partial(self._apply, updates=changes))
        for master, told in notes.items():
            watched = self._roster.get(master)
            known = watched is not None and watched.resolved and not watched.awaited
            if watched is not None and known and master in following:
                self._guard(watched, partial(self._applier.note, updates=told))

    def _another(
        self, command_id: str, jobs: dict[int, list[Any]], notes: dict[int, list[Any]]
    ) -> None:
        """What was said before of a job that has been forgotten is not of the one that has its
        number now."""
        watched = self._roster.get(self._enqueuer.senders.get(command_id, -1))
        if watched is not None and watched.awaited == command_id:
            watched.awaited = ""
            jobs.pop(watched.id, None)
            notes.pop(watched.id, None)

    def _apply(self, watched: Watched, updates: list[Any]) -> None:
        self._applier.apply(watched, updates)
        self.decide(watched)

    def _refused(self, update: Any) -> None:
        logger.warning("gangamon refused a command: %s", update.ack.reason)
        watched = self._roster.get(self._enqueuer.senders.get(update.ack.command_id, -1))
        if watched is not None:
            watched.refusals += 1
            watched.resolved = False
            if watched.refusals >= PATIENCE:
                logger.warning("gangamon: job %s is not monitored", watched.id)

    def _finish(self, following: Following) -> None:
        now = time.monotonic()
        for watched in list(self._roster):
            due = watched.finish_at is not None and now >= watched.finish_at
            due = due and not self._automatic.holds(watched)
            if due and watched.resolved and watched.id in following:
                self._guard(watched, self.end)

    def end(self, watched: Watched) -> None:
        view = self._link.snapshot(watched.id)
        watched.finish_at = None
        if view is None:
            watched.resolved = False
            return
        if watched.shown.get(UNSPLIT, 0) == watched.attempts.get(UNSPLIT):
            return  # taken back: what the service says is of its last attempt
        self._applier.apply(watched, view.jobs.values())
        if (later := self._automatic.judge(watched, view)) is not None:
            watched.finish_at = later  # not the end: some of it is submitted again
            return
        if self._applier.over(watched):
            self._automatic.let_go(watched)
        if self._finisher.finish(watched, view):
            self._automatic.forget(watched)
            self._roster.drop(watched, over=True)
        elif self._applier.over(watched):
            watched.finish_at = time.monotonic() + RETRY  # should its record be missed

    def _refresh(self) -> None:
        """The user wants to know now: the service asks as soon as the lane's budget allows."""
        for watched in self._roster:
            if watched.check and watched.resolved:
                watched.check = False
                if watched.attempts:
                    self._link.submit(Refresh(new_id(), self._link.repository, watched.id))

    def decide(self, watched: Watched) -> None:
        """Whether what has failed is submitted again: the service may be waiting to be told."""
        if watched.id in self.following:
            self._automatic.judge(watched)
        if self._applier.over(watched) and self._automatic.keeps(watched):
            watched.finish_at = 0.0
