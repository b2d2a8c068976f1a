"""What Ganga sees: a monitoring component with the interface of its own (8.7.12)."""

from __future__ import annotations

import asyncio
import inspect
import queue
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from GangaCore import GANGA_SWAN_INTEGRATION
from GangaCore.Core.GangaThread import GangaThread
from GangaCore.Utility.Config import getConfig
from GangaCore.Utility.logging import getLogger

from gangamon.adapter import identity
from gangamon.adapter.engine import Engine
from gangamon.adapter.handover import rates
from gangamon.adapter.loop import Loop
from gangamon.adapter.options import SHADOW, Options
from gangamon.adapter.repository.records import Records
from gangamon.adapter.service.autostart import NOT_COMPARED, STAND_STILL, Autostart
from gangamon.adapter.service.link import Link
from gangamon.adapter.service.switch import Switch
from gangamon.adapter.shadow.onlooker import Onlooker
from gangamon.adapter.show.applier import made
from gangamon.adapter.watch.following import Following, masters
from gangamon.adapter.watch.ownership import Ownership
from gangamon.adapter.watch.reader import Reader
from gangamon.errors import GangamonError
from gangamon.settings import Settings

logger = getLogger("gangamon")

#: Seconds a closing session waits for the adapter's thread, unless it is inside a transition.
JOIN = 2.0

#: Steps in a row, one each second, that fail before Ganga's own monitoring has the session's jobs.
PATIENCE = 5


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
        stock: Callable[[], Any],
        fresh: bool = False,
    ) -> None:
        """``fresh``: no session has handed a job of this repository over yet."""
        super().__init__("Gangamon", auto_register=False, critical=False)
        self.daemon = True
        self.alive = True
        self.following = Following()
        self.heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._loop: Loop | None = None
        self._loop_lock = threading.Lock()
        gangadir = str(getConfig("Configuration")["gangadir"])
        place = identity.directory(gangadir)
        self.repository = identity.repository_id(place)
        shadow = options.chosen == SHADOW
        autostart = Autostart(
            settings,
            options.Autostart,
            logger.warning,
            note=logger.info,
            meaning=NOT_COMPARED if shadow else STAND_STILL,
        )
        roots = (str(place.parent), str(getConfig("Local")["location"] or tempfile.gettempdir()))
        self.link = Link(
            lambda: make_client(settings, place / "spool"),
            self.repository,
            roots,
            autostart.tell,
            options.NoticeAfter,
            rates.wishes,
        )
        self.reader = reader = Reader(registry_slice)
        interval = rates.scan_interval(options.ScanInterval, Options.ScanInterval)
        self.engine = Engine(
            reader,
            self.link,
            self.heard,
            lambda: self.alive,
            interval,
            Ownership(place / "masters.lock", GANGA_SWAN_INTEGRATION),
            autostart,
            place,
        )
        self.engine.applier.backlog.records = Records(place / "pending", made)

        onlooker = None
        if shadow:
            onlooker = Onlooker(reader, self.link, place, options.ShadowBound, interval, autostart)
        self.switch = Switch(
            place,
            self.engine,
            self.link,
            reader,
            self.following,
            stock,
            options.chosen,
            onlooker,
            fresh,
        )

    @property
    def lags(self) -> deque[float]:
        """Seconds from the end of a job at its backend to its final status in this session."""
        return self.engine.applier.lags

    # --- what Ganga calls -------------------------------------------------------------------

    @property
    def enabled(self) -> bool:
        """Whether any job's status may change; Ganga's tasks run only while it is True."""
        return bool(self.following)

    def enable(self) -> bool:
        if not self.alive:
            logger.error("Cannot start monitoring: it has already been stopped")
            return False
        self.following.everything()
        if self.switch.stock is not None:
            return bool(self.switch.stock.enable())
        self.heard.put(None)
        return True

    def disable(self) -> bool:
        if not self.alive:
            logger.error("Cannot disable monitoring: it has already been stopped")
            return False
        self.following.nothing()
        if self.switch.stock is not None:
            return bool(self.switch.stock.disable())
        return True

    def runMonitoring(self, jobs: Any = None) -> bool:  # noqa: N802 (Ganga's name)
        """Let statuses follow the service, which is to look at these jobs now; returns at once.

        ``jobs``: a job, an id, a slice, or a list of these; None: all jobs. If all are followed
        already, that stays; else only these are, until the last of them is over.
        """
        if not self.alive:
            logger.error("Cannot run the monitoring: it has already been stopped")
            return False
        chosen = None if jobs is None else masters(jobs)
        if chosen is None:
            self.following.everything()
        else:
            self.following.these(chosen)
        if self.switch.stock is not None:
            return bool(self.switch.stock.runMonitoring(jobs))
        self.refresh(chosen)
        return True

    def refresh(self, masters: Collection[int] | None) -> None:
        """The service is to look at these masters now, or at all; returns at once."""
        for master in (None,) if masters is None else sorted(masters):
            self.heard.put(("check", master))

    def stop(self) -> None:
        self.alive = False
        self.following.nothing()
        super().stop()
        self.switch.stop()
        self.heard.put(None)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)

    def join(self, timeout: float | None = None) -> None:
        """Waits for the end of a transition; for the network no longer than some seconds."""
        deadline = time.monotonic() + (JOIN if timeout is None else timeout)
        while self.is_alive() and (self.engine.busy or time.monotonic() < deadline):
            super().join(0.05)
        if self.switch.stock is not None:
            self.switch.stock.join()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """A running asyncio loop, as some backends want one for what the user types."""
        if self.switch.stock is not None:
            return self.switch.stock.loop
        with self._loop_lock:
            if self._loop is None:
                self._loop = Loop()
                self._loop.begin()
            return self._loop

    def run_monitoring_task(self, monitoring_task: Any, jobs: Any) -> None:
        """Ganga's own asking of a backend, if somebody calls for it by hand."""
        if self.switch.stock is not None:
            self.switch.stock.run_monitoring_task(monitoring_task, jobs)
            return
        if not self.enabled:
            return
        self.loop.create_task(_asked(monitoring_task, jobs))

    # --- what the patches ask ---------------------------------------------------------------

    def watches(self, master: int) -> bool:
        return master in self.engine.roster

    def mine(self) -> bool:
        return threading.current_thread() is self or self.engine.automatic.mine()

    def notice(self, master: int) -> None:
        if not self.mine():
            self.heard.put(("roll-up", master))

    # --- the thread -------------------------------------------------------------------------

    def run(self) -> None:
        last, failures = "", 0
        while self.alive:
            try:
                self.switch.step()
                failures = 0
            except Exception as error:
                text = f"{type(error).__name__}: {error}"
                # A disk that is full, or a mount that is gone, may be there again.
                failures = 0 if isinstance(error, (GangamonError, OSError)) else failures + 1
                if text != last:
                    logger.error("gangamon: %s", text)
                    logger.debug("gangamon: %s", text, exc_info=True)
                last = text
                if failures == PATIENCE:
                    self.switch.give_up(text)
                time.sleep(1.0)
        try:
            self.switch.close()
        except Exception as error:  # noqa: BLE001 - Ganga is closing around us
            logger.debug("gangamon: at the end: %s", error)


async def _asked(task: Any, jobs: Any) -> None:
    try:
        if inspect.iscoroutinefunction(task):
            await task(jobs)
        else:
            await asyncio.get_running_loop().run_in_executor(None, partial(task, jobs=jobs))
    except Exception as error:
        logger.warning("gangamon: %s", error, exc_info=True)
