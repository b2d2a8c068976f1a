"""What Ganga sees: a monitoring component with the interface of its own (8.7.12)."""

from __future__ import annotations

import asyncio
import inspect
import queue
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from GangaCore.Core.GangaThread import GangaThread
from GangaCore.Utility.Config import getConfig
from GangaCore.Utility.logging import getLogger

from gangamon.adapter import identity
from gangamon.adapter.engine import Engine
from gangamon.adapter.link import Link
from gangamon.adapter.options import Options
from gangamon.adapter.reader import Reader
from gangamon.settings import Settings

logger = getLogger("gangamon")

#: Seconds a closing session waits for the adapter's thread, unless it is inside a transition.
JOIN = 2.0


class Monitoring(GangaThread):
    """One thread; everything else returns at once.

    Not registered with Ganga's thread pool: the pool would wait, and at last ask the user, for a
    thread that may be waiting for a network; ``join`` knows how long is right.
    """

    def __init__(
        self,
        registry_slice: Any,
        settings: Settings,
        options: Options,
        make_client: Callable[..., Any],
    ) -> None:
        super().__init__("Gangamon", auto_register=False, critical=False)
        self.daemon = True
        self.alive, self.enabled = True, False
        self.heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_lock = threading.Lock()
        gangadir = str(getConfig("Configuration")["gangadir"])
        place = identity.directory(gangadir)
        self.repository = identity.repository_id(place)
        roots = (str(place.parent), str(getConfig("Local")["location"] or tempfile.gettempdir()))
        self.link = Link(
            lambda: make_client(settings, place / "spool"),
            self.repository,
            roots,
            _tell,
            options.NoticeAfter,
        )
        self.engine = Engine(
            Reader(registry_slice), self.link, self.heard, lambda: self.alive, options.ScanInterval
        )

    @property
    def lags(self) -> deque[float]:
        """Seconds from the end of a job at its backend to its final status in this session."""
        return self.engine.applier.lags

    # --- what Ganga calls -------------------------------------------------------------------

    def enable(self) -> bool:
        if not self.alive:
            logger.error("Cannot start monitoring: it has already been stopped")
            return False
        self.enabled = True
        self.heard.put(None)
        return True

    def disable(self) -> bool:
        if not self.alive:
            logger.error("Cannot disable monitoring: it has already been stopped")
            return False
        self.enabled = False
        return True

    def runMonitoring(self, jobs: Any = None) -> bool:  # noqa: N802 (Ganga's name)
        """Let the statuses of this session's jobs follow the service; returns at once.

        ``jobs`` is accepted as by Ganga's own; all jobs are followed in any case.
        """
        return self.enable()

    def stop(self) -> None:
        self.enabled = self.alive = False
        super().stop()
        self.heard.put(None)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)

    def join(self, timeout: float | None = None) -> None:
        """Waits for the end of a transition; for the network no longer than some seconds."""
        deadline = time.monotonic() + (JOIN if timeout is None else timeout)
        while self.is_alive() and (self.engine.busy or time.monotonic() < deadline):
            super().join(0.05)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """A running asyncio loop, as some backends want one for what the user types."""
        with self._loop_lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=self._loop.run_forever, name="gangamon-asyncio", daemon=True
                ).start()
            return self._loop

    def run_monitoring_task(self, monitoring_task: Any, jobs: Any) -> None:
        """Ganga's own asking of a backend, if somebody calls for it by hand."""
        if not self.enabled:
            return
        if inspect.iscoroutinefunction(monitoring_task):
            asyncio.run_coroutine_threadsafe(monitoring_task(jobs), self.loop)
        else:
            self.loop.call_soon_threadsafe(
                self.loop.run_in_executor, None, lambda: monitoring_task(jobs=jobs)
            )

    # --- what the patches ask ---------------------------------------------------------------

    def watches(self, master: int) -> bool:
        return master in self.engine.roster

    def mine(self) -> bool:
        return threading.current_thread() is self

    def notice(self, master: int) -> None:
        if not self.mine():
            self.heard.put(("roll-up", master))

    # --- the thread -------------------------------------------------------------------------

    def run(self) -> None:
        last = ""
        while self.alive:
            try:
                self.engine.step(self.enabled)
            except Exception as error:  # the thread must live as long as Ganga
                text = f"{type(error).__name__}: {error}"
                if text != last:
                    logger.error("gangamon: %s", text, exc_info=True)
                last = text
                time.sleep(1.0)
        try:
            self.engine.close()
        except Exception as error:  # noqa: BLE001 - Ganga is closing around us
            logger.debug("gangamon: at the end: %s", error)


def _tell(up: bool, away: float) -> None:
    if up:
        logger.warning("gangamon: the service is back after %.0f s", away)
    else:
        logger.warning(
            "gangamon: the service does not answer: job statuses stand still until it does "
            "('gangamon up' starts it); what you submit is kept and sent then"
        )
