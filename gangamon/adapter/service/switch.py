"""Which of the two monitors follows this session's jobs: the repository's flag decides, always.

Going back to Ganga's own: the service is told to forget every job (or the command lies in the
spool), before Ganga's loop is started. Going on again: Ganga's loop has ended before the first job
is handed over. What another session holds is Ganga's to guard, by its locks on master jobs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from GangaCore.Utility.logging import getLogger

from gangamon.adapter import options
from gangamon.adapter.engine import Engine
from gangamon.adapter.service.leaving import Leaving
from gangamon.adapter.service.link import Link
from gangamon.adapter.shadow.onlooker import Onlooker
from gangamon.adapter.watch.following import Following
from gangamon.adapter.watch.reader import Reader
from gangamon.errors import BadInput, GangamonError
from gangamon.services import mode
from gangamon.services.mode import GANGA, GANGAMON, MODES
from gangamon.settings import hostname

logger = getLogger("gangamon")

#: Seconds between two looks at the flag.
LOOK = 1.0

_PROMPT = "gangamon_mode() at a prompt"


class Switch:
    """``stock``: makes Ganga's own monitoring component. ``chosen``: [Gangamon] mode of this
    session. ``onlooker``: compares while Ganga has the jobs, if that mode is shadow. ``fresh``: the
    service cannot have any of the jobs yet."""

    def __init__(
        self,
        place: Path,
        engine: Engine,
        link: Link,
        reader: Reader,
        following: Following,
        stock: Callable[[], Any],
        chosen: str,
        onlooker: Onlooker | None = None,
        fresh: bool = False,
    ) -> None:
        self._place, self._engine, self._following = place, engine, following
        self._make, self._chosen = stock, chosen
        self._willing = chosen == options.GANGAMON
        self._fresh = fresh and not self._willing
        self.onlooker = onlooker
        self._leaving = Leaving(engine, link, reader, following)
        self._wish, self._by = "", _PROMPT
        self._flag, self._look_at = mode.Mode(), 0.0
        self._told = False
        self._lock, self._stopped = threading.Lock(), False
        #: Ganga's own component while it follows the jobs; None while gangamon does.
        self.stock: Any = None

    # --- the prompt ---------------------------------------------------------------------------

    def set(self, wanted: str) -> str:
        """Change the mode for good, if ``wanted`` is not empty; returns it at once, and what it
        brings is done later. BadInput, DiskFull."""
        if wanted and wanted not in MODES:
            raise BadInput([f"mode: got {wanted!r}; accepted: {', '.join(MODES)}"])
        if wanted == GANGAMON and not self._willing:
            raise BadInput(
                [f"mode: this session was started with [Gangamon] mode = {self._chosen}"]
            )
        if wanted == GANGA and self.stock is None:
            self._wish, self._by = GANGA, _PROMPT  # the flag follows when what has ended is shown
        elif wanted == GANGA:
            mode.write(self._place, GANGA, _PROMPT)
        elif wanted:
            self._wish = ""
            mode.write(self._place, GANGAMON, _PROMPT)
            self._look_at = 0.0
        return wanted or self._wish or mode.read(self._place).mode

    def stop(self) -> None:
        """The session ends, and Ganga's component with it, also if it is just about to begin."""
        with self._lock:
            self._stopped = True
            if self.stock is not None:
                _stop(self.stock)

    # --- the adapter's thread -------------------------------------------------------------------

    def step(self) -> None:
        """In the place of the engine's step."""
        wanted = self._wanted()
        if wanted == GANGA:
            if self.stock is None and (self._fresh or self._leave()):
                self._begin()
            elif self.stock is not None and self.onlooker is not None:
                self._leaving.settle()
                self.onlooker.step(self._following)
            elif self.stock is not None:
                self._leaving.idle()
            return
        self._told = False
        if self.stock is not None:
            self._end()
        if self._willing:
            self._engine.step(self._following)
        else:
            self._leaving.idle()

    def close(self) -> None:
        """In the place of the engine's, at the end of the session."""
        wanted = self._wanted()
        if (
            self._wish
        ):  # not all is given back: the flag binds the service, the next session goes on
            mode.write(self._place, GANGA, self._by)
        if wanted == GANGAMON and self._willing:
            self._engine.close()
            return
        if self.onlooker is not None:
            self.onlooker.close()
        self._engine.end()

    def give_up(self, why: str) -> None:
        """Nothing goes on in this session: Ganga has its jobs, when what the service has ended is
        shown; the next session with gangamon takes them back."""
        if self.onlooker is not None and self.stock is not None:
            logger.warning("gangamon: shadow mode: nothing is compared any more: %s", why)
            self.onlooker = None
        elif self._willing and self.stock is None and not self._wish:
            logger.warning(
                "gangamon is off in this session, Ganga's own monitoring is used: %s", why
            )
            self._chosen, self._willing = options.OFF, False
            self._wish, self._by = GANGA, f"{options.BY[options.OFF]} on {hostname()}"

    def _wanted(self) -> str:
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK
            try:
                self._flag = mode.read(self._place)
            except OSError as error:
                logger.debug("gangamon: %s", error)  # as it was
        return self._wish or self._flag.mode

    def _leave(self) -> bool:
        if not self._told:
            self._told = True
            by = f" ({self._flag.by})" if self._flag.mode == GANGA and self._flag.by else ""
            logger.warning("gangamon: this repository's jobs go back to Ganga's monitoring%s", by)
            self._leaving.begin()
        return self._leaving.step()

    def _begin(self) -> None:
        if self._wish:
            try:
                self._flag = mode.write(self._place, GANGA, self._by)
            except GangamonError as error:
                if not self._willing:
                    raise  # there is no other way: tried again
                logger.error("gangamon: the mode stays as it is: %s", error)
                self._wish, self._told = "", False
                return
            self._wish = ""
        if not self._fresh:
            self._leaving.finish()
        with self._lock:
            if self._stopped:
                return
            stock = self._make()
            stock.start()
            if self._following:
                stock.enable()
            self.stock = stock
        if not self._fresh:
            logger.info("gangamon: Ganga's own monitoring has them now")
        if self.onlooker is not None:
            logger.warning(
                "gangamon: shadow mode: Ganga's own monitoring has the jobs, and what gangamon "
                "would say of them is compared: gangamon_shadow()"
            )
        self._fresh = False

    def _end(self) -> None:
        stock = self.stock
        stop(stock)
        try:
            stock._cleanup_dirty_jobs()  # what it was fetching is to be fetched
        except Exception as error:  # noqa: BLE001 - Ganga's own, and it changes
            logger.warning("gangamon: %s", error)
        self.stock = None
        if self.onlooker is not None:
            self.onlooker.drop()
        if self._willing:
            logger.info("gangamon: Ganga's own monitoring has ended, gangamon has the jobs")
        else:
            logger.warning(
                "gangamon has this repository's jobs again (%s); in this session, started with "
                "[Gangamon] mode = %s, their statuses stand still",
                self._flag.by,
                self._chosen,
            )


def stop(stock: Any) -> None:
    """End Ganga's own component, as its shutdown does; returns when its thread is gone."""
    _stop(stock)
    stock.join()


def _stop(stock: Any) -> None:
    if not stock.alive:
        return
    try:
        stock.stop()
    except AttributeError:  # its thread has not made its executor yet (MonitoringService.py:221)
        stock.loop.call_soon_threadsafe(stock.loop.stop)
