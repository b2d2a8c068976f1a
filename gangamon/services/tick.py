"""The tick: take commands in, take back what dead workers and expired leases hold, send what is
due, prune. Idempotent."""

from __future__ import annotations

import logging
import threading

from gangamon.errors import DiskFull
from gangamon.protocols import JobStore
from gangamon.services import hands
from gangamon.services.due import Dispatcher
from gangamon.services.intake import Intake
from gangamon.services.prune import Prune

log = logging.getLogger(__name__)


class Tick:
    """One pass. Two at once, or one missed, change nothing but the time at which things happen."""

    def __init__(
        self, store: JobStore, intake: Intake, dispatcher: Dispatcher, prune: Prune | None = None
    ) -> None:
        self._store = store
        self._intake = intake
        self._dispatcher = dispatcher
        self._prune = prune
        self._running = threading.Lock()

    def run(self) -> int:
        """Claims sent. While another pass of this process is under way, there is nothing to do."""
        if not self._running.acquire(blocking=False):
            return 0
        try:
            return self._pass()
        finally:
            self._running.release()

    def _pass(self) -> int:
        self._store.epoch()
        if self._intake.behind():
            log.warning("the store was behind: %d commands of the journal", self._intake.rebuild())
        try:
            self._intake.run()
        except DiskFull as error:  # the journal's: commands wait, all else goes on
            log.warning("no commands taken in: %s", error)
        dead = {token: by for token, by in self._store.begun().items() if hands.is_dead(by)}
        if dead:
            log.warning("died with work in hand: %s", ", ".join(sorted(dead.values())))
            self._store.abandon(dead)
        if rescued := self._store.rescue():
            told = sorted({f"{r.queue} ({r.what})" for r in rescued})
            log.warning("took back expired claims: %s", ", ".join(told))
            for one in rescued:
                if one.what == "dead":
                    log.error("%s of %s is set aside: `gangamon dead`", one.member, one.queue)
        sent = self._dispatcher.push(self._store.queues())
        self._store.note_tick()
        if self._prune is not None:
            self._prune.run()
        return sent
