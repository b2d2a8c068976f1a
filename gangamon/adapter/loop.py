"""The asyncio loop that some backends want for what the user types (e.g. DIRAC's finalise_jobs)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any


class Loop(asyncio.SelectorEventLoop):
    """Tasks may be made in any thread: DiracBase calls ``monitoring_component.loop.create_task``
    in the user's (DiracBase.py:1383, Ganga 8.7.12). Ganga's own loop finds them when it next
    wakes, at most 2 s later; this one has nothing else to wake for."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.Thread(
            target=self.run_forever, name="gangamon-asyncio", daemon=True
        )

    def begin(self) -> None:
        self._thread.start()

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        if threading.current_thread() is self._thread:
            return super().call_soon(callback, *args, context=context)
        return self.call_soon_threadsafe(callback, *args, context=context)
