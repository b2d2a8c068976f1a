"""What the updates have changed is written soon after they came, not at Ganga's next flush.

Ganga's flusher looks every 30 s ([Registry] AutoFlusherWaitTime). Subjobs whose statuses the
adapter has changed are written after a second, in a thread of their own and with rests; the
master's XML, which may be large and tells little more, follows with Ganga's flush, or when the
master has ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from GangaCore.Utility.logging import getLogger

from gangamon.adapter.auto.background import Background
from gangamon.adapter.repository import flush

logger = getLogger("gangamon")

#: Seconds from the first change until it is written; and between two passes over the same
#: subjobs, as a multiple of what the writing of their index took.
DELAY, INDEX_FACTOR = 1.0, 10.0

#: Seconds that a closing session waits for the file that is being written.
PATIENT = 5.0


class Writer:
    """``alive``: whether the session goes on. Any thread may ``note``; all else is done by the
    adapter's."""

    def __init__(self, alive: Callable[[], bool]) -> None:
        self._alive = alive
        self._noted: dict[int, Any] = {}
        self._ended: dict[int, Any] = {}
        self._lock = threading.Lock()
        self._due = 0.0
        self._index_seconds = 0.0
        self._background = Background("gangamon-writer")

    def note(self, master: Any, ended: bool = False) -> None:
        """Subjobs of this master have changed; or it has ``ended``."""
        if not flush.patch.applied:
            return  # Ganga's own flush would hold up the prompt: it comes when Ganga wants it
        with self._lock:
            if not self._noted and not self._ended:
                self._due = time.monotonic() + max(DELAY, INDEX_FACTOR * self._index_seconds)
            (self._ended if ended else self._noted)[master.id] = master

    def look(self) -> None:
        """Begin to write what is due."""
        if self._background.busy or not self._alive():
            return
        with self._lock:
            if not (self._noted or self._ended) or time.monotonic() < self._due:
                return
            noted, ended = list(self._noted.values()), list(self._ended.values())
            self._noted.clear()
            self._ended.clear()
        self._background.start(lambda: self._write(noted, ended))

    @property
    def busy(self) -> bool:
        return self._background.busy

    def close(self) -> None:
        """The session ends, and Ganga writes what is left; a file that is begun is finished."""
        self._background.join(PATIENT)

    def _write(self, noted: list[Any], ended: list[Any]) -> None:
        self._index_seconds = 0.0
        for master, over in (*((m, False) for m in noted), *((m, True) for m in ended)):
            registry = master._getRegistry()
            if registry is None or not registry.hasStarted():
                continue  # removed
            try:
                flusher = flush.flusher(registry)
                self._index_seconds += flusher.changed(master, self._alive)
                if over and self._alive():
                    registry._flush(master)
            except Exception as error:  # noqa: BLE001 - it stays changed, and Ganga's flush follows
                logger.error("gangamon: job %s is not written yet: %s", master.id, error)
