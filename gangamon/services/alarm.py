"""What is to be done at a time: for what cannot wait for the next tick."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)


class Alarm:
    """One thread per process, begun with the first call, as threads do not fork."""

    def __init__(self) -> None:
        self._due: dict[str, tuple[float, Callable[[], object]]] = {}
        self._changed = threading.Condition()
        self._pid = 0

    def set(self, name: str, seconds: float, call: Callable[[], object]) -> None:
        """Call in so many seconds. Of two calls of one name the sooner one is made. What it raises
        is logged."""
        with self._changed:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                self._due = {}
                threading.Thread(target=self._run, name="alarm", daemon=True).start()
            at = time.monotonic() + seconds
            if name not in self._due or at < self._due[name][0]:
                self._due[name] = (at, call)
                self._changed.notify()

    def _run(self) -> None:
        while True:
            call = self._next()
            try:
                call()
            except Exception as error:  # noqa: BLE001 - the next tick does it
                log.warning("%s: %s", type(error).__name__, error)

    def _next(self) -> Callable[[], object]:
        """Waits until something is due, and takes it out."""
        with self._changed:
            while True:
                name = min(self._due, key=lambda one: self._due[one][0], default=None)
                wait = None if name is None else self._due[name][0] - time.monotonic()
                if name is not None and wait is not None and wait <= 0:
                    return self._due.pop(name)[1]
                self._changed.wait(wait)
