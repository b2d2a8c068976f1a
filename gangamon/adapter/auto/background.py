"""Work that would hold up the adapter's thread: one piece at a time, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Background:
    """Started and asked by the adapter's thread only."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def mine(self) -> bool:
        """Whether its thread is calling."""
        return self._thread is threading.current_thread()

    def start(self, work: Callable[[], None]) -> None:
        """``work`` catches its own exceptions. Not while it is busy."""
        # A daemon: a disk or a backend that hangs must not hold up the end of the session for ever.
        self._thread = threading.Thread(target=work, name=self._name, daemon=True)
        self._thread.start()

    def join(self, timeout: float) -> bool:
        """Whether nothing is under way, after at most ``timeout`` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)
        return not self.busy
