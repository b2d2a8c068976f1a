"""Giving a repository's jobs back to Ganga's own monitoring, one step after the other."""

from __future__ import annotations

import time
from collections.abc import Iterable

from GangaCore.Utility.logging import getLogger

from gangamon.adapter.engine import Engine
from gangamon.adapter.service.link import Link, new_id
from gangamon.adapter.watch.following import Following
from gangamon.adapter.watch.reader import Gone, Locked, Reader, Subjobs
from gangamon.adapter.watch.roster import WANTED
from gangamon.adapter.watch.watched import ENDED, Watched
from gangamon.domain.command import Withdraw
from gangamon.domain.status import FINAL, JobStatus
from gangamon.errors import DiskFull, StoreUnavailable

logger = getLogger("gangamon")

#: Seconds to reach the service; and until what it has ended is merged, and all is acknowledged.
REACH, PATIENCE = 5.0, 30.0

_WHY = "given back to Ganga's own monitoring"


class Leaving:
    """In this order: what the service has ended is shown as ever; all else is withdrawn."""

    def __init__(self, engine: Engine, link: Link, reader: Reader, following: Following) -> None:
        self._engine, self._link, self._reader = engine, link, reader
        self._following = following
        self._since = 0.0
        self._asked = False

    def begin(self) -> None:
        self._since, self._asked = time.monotonic(), False

    def step(self) -> bool:
        """Whether nothing of this session is left with the service, as far as is known here."""
        self._engine.survey()
        self.settle()
        try:
            if self._link.ready():
                return self._talk()
        except StoreUnavailable:
            self._link.lost()
        if time.monotonic() - self._since < REACH:
            self._engine.wait()
            return False
        self._withdraw(w.id for w in self._engine.roster if w.attempts)
        return True

    def idle(self) -> None:
        """Ganga has the jobs: what still lies in the spool is sent, and whatever the service holds
        all the same is taken back."""
        self._engine.hear()
        self.settle()
        try:
            if self._link.ready():
                if not self._asked:
                    self._ask()
                self._link.flush()
                self._link.read(0.25)
                return
        except StoreUnavailable:
            self._link.lost()
        self._engine.wait()

    def finish(self) -> None:
        """The table is emptied; jobs all of whose subjobs have ended get Ganga's own end."""
        for watched in list(self._engine.roster):
            self._engine.roster.drop(watched)
        for master, status in self._reader.statuses().items():
            if status in WANTED:
                self._roll_up(master)

    def _roll_up(self, number: int) -> None:
        """Ganga does it when a subjob ends, and these have: as in its own loop, it merges here."""
        try:
            master = self._reader.master(number)
            statuses = Subjobs(master).statuses() if len(Subjobs(master)) else []
            if statuses and all(status in ENDED for status in statuses):
                master.updateMasterJobStatus()
        except (Gone, Locked):
            pass
        except Exception as error:  # noqa: BLE001 - user code runs in Ganga's transitions
            logger.error("job %s: %s", number, error)

    # ------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """What was shown of subjobs that are not loaded yet."""
        if self._following:
            self._engine.applier.settle()

    def _talk(self) -> bool:
        self._link.flush()
        self._link.read(0.05)
        late = time.monotonic() - self._since > PATIENCE
        if self._link.settled or late:
            waiting = [w for w in list(self._engine.roster) if self._stays(w, late)]
            if not waiting and not self._asked:
                self._ask()
                return False
            return not waiting and (self._link.settled or late)
        return False

    def _stays(self, watched: Watched, late: bool) -> bool:
        """Whether the service is about to end a master; else it is shown, or withdrawn."""
        view = self._link.snapshot(watched.id)
        if view is None or not self._link.ours(view.record):
            self._engine.roster.drop(watched)
            return False
        over = all(job.status in FINAL for job in view.jobs.values())
        undecided = over and self._engine.automatic.keeps(watched)
        if (view.final is not None or undecided) and not late:
            watched.attempts = {sub: job.attempt for sub, job in view.jobs.items()}
            self._engine.show(watched)
            if self._engine.roster.get(watched.id) is None:
                return False
        if (over or self._engine.automatic.holds(watched)) and not late:
            return True
        self._withdraw([watched.id])
        self._engine.roster.drop(watched)
        return False

    def _ask(self) -> None:
        """What the service holds besides, of earlier sessions or handed over this very moment."""
        self._withdraw(self._link.unfinished())
        self._asked = True

    def _withdraw(self, masters: Iterable[int]) -> None:
        for master in masters:
            try:
                self._link.submit(
                    Withdraw(new_id(), self._link.repository, master, (), JobStatus.KILLED, _WHY)
                )
            except DiskFull as error:
                logger.error("gangamon: %s", error)
