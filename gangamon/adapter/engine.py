"""One step after the other: hear, look, hand over, listen, apply. One thread does it all."""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gangamon.adapter.auto import teardown
from gangamon.adapter.auto.automatic import Automatic
from gangamon.adapter.auto.diskspace import DiskSpace
from gangamon.adapter.auto.foreign import Foreign
from gangamon.adapter.guard import Guard
from gangamon.adapter.handover.enqueuer import Enqueuer
from gangamon.adapter.service.autostart import Autostart
from gangamon.adapter.service.exchange import BLOCK, Exchange
from gangamon.adapter.service.link import Link
from gangamon.adapter.show.applier import Applier
from gangamon.adapter.show.credentials import Credentials
from gangamon.adapter.show.finisher import Finisher
from gangamon.adapter.watch.following import Following
from gangamon.adapter.watch.ownership import Ownership
from gangamon.adapter.watch.reader import Reader
from gangamon.adapter.watch.roster import Roster
from gangamon.adapter.watch.watched import PATIENCE, Watched
from gangamon.errors import StoreUnavailable

#: Seconds in which a session that ends hands over what it did not submit itself.
CLOSE = 2.0


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
        self._credentials, self._foreign = Credentials(link), Foreign(reader)
        self._backends: set[str] = set()
        self._checks: set[int | None] = set()
        self.automatic = Automatic(reader, alive, place)
        self._disk, self._autostart = DiskSpace(), autostart
        self._guard = Guard(reader, self.roster, ownership)
        self._exchange = Exchange(
            link,
            self.roster,
            self._enqueuer,
            self.applier,
            self._finisher,
            self.automatic,
            self._credentials,
            self._guard,
        )

    def step(self, following: Following) -> None:
        """``following``: the jobs whose statuses may change. What this session submits is handed
        over in any case."""
        self._exchange.following = following
        self.hear()
        self._scan(following)
        self._look()
        self._rest(following)
        try:
            if self._link.ready():
                self._autostart.answered()
                self._exchange.talk()
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
            self.applier.busy
            or self.applier.writer.busy
            or self._finisher.busy
            or self._enqueuer.busy
            or self.automatic.busy
        )

    def close(self) -> None:
        """The session ends: what it submitted last goes into the spool, and out if possible."""
        self.automatic.close()
        for watched in self.automatic.step():
            watched.look_at = 0.0
        deadline = time.monotonic() + CLOSE
        self._exchange.following = Following()
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
        self.applier.writer.close()
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
        self._guard(watched, self._exchange.end)

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
        """(kind, master); of "check" the master may be None: all. ("spool", None): the prompt has
        put a command there. None only wakes the thread."""
        if item is None:
            return
        kind, master = item
        self._scan_at = 0.0
        if kind == "check":
            self._checks.add(master)
        elif kind == "spool":
            self._link.look()
        else:
            self.roster.heard(master)

    def _scan(self, following: Following) -> None:
        now = time.monotonic()
        if now < self._scan_at:
            return
        self._scan_at = now + self._scan_interval
        chosen = following.chosen
        statuses = self._reader.statuses()
        # The hooks speak before a status is set: who is submitted by now was heard of by now, and
        # nobody may be taken for a job of an earlier session.
        self.hear()
        self.roster.scan(following, statuses)
        for watched in self.roster.overtaken:
            self._guard(watched, self.applier.put_right)
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
                self._guard(watched, self._hand_over)

    def _hand_over(self, watched: Watched) -> None:
        self.automatic.prepare(watched)
        self._enqueuer.look(watched)
        self._exchange.decide(watched)

    def _rest(self, following: Following) -> None:
        """What Ganga's own monitoring does beside, or did."""
        if following:
            self._disk.look()
            self.applier.settle()
        self.applier.writer.look()
        for watched in self.automatic.step():
            watched.look_at, watched.quiet_until = 0.0, 0.0
        self._credentials.list_missing(self.roster)
        self._foreign.look(master for master in self.roster.foreign if master in following)
        backends = {watched.backend for watched in self.roster} | self._foreign.active
        teardown.tear_down(self._backends - backends)
        self._backends = backends
