"""Each beat and worker says that it runs, and with what: for the doctor and the metrics."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Protocol

from gangamon import __version__
from gangamon.errors import TransientError

log = logging.getLogger(__name__)

#: Seconds between two words; who has not said one for a minute counts as gone.
EVERY = 15.0


class Store(Protocol):
    def note_process(self, node: str, version: str, settings: Mapping[str, float]) -> None: ...


class Presence(threading.Thread):
    """Of this process until it ends. ``store``: of its own, for a pool's process may fork while it
    speaks. ``settings``: those in which all processes of a cell must agree."""

    def __init__(self, store: Store, node: str, settings: Mapping[str, float]) -> None:
        super().__init__(name="presence", daemon=True)
        self._store = store
        self._node = node
        self._settings = settings

    def run(self) -> None:
        wait = threading.Event()
        while True:
            try:
                self._store.note_process(self._node, __version__, self._settings)
            except TransientError as error:
                log.debug("not said that %s runs: %s", self._node, error)
            wait.wait(EVERY)
