"""What the simulated system was asked: counts, and how much at the same time."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from gangamon.testing.simulator.world import DOWNLOAD


class Stats:
    """A query is one of the list or the accounting; a download is none. ``minutes``: queries in
    each minute of the wall clock since the first."""

    def __init__(self) -> None:
        self.queries: Counter[str] = Counter()
        self.minutes: Counter[int] = Counter()
        self.faults: Counter[str] = Counter()
        self.ids = 0
        self.rows = 0
        self.bytes = 0
        self.refused = 0
        self._now: Counter[bool] = Counter()
        self._most: Counter[bool] = Counter()
        self._first: float | None = None
        self._last = 0.0

    def begin(self, source: str, ids: int) -> None:
        """A question has come in; ``end`` follows whatever becomes of it."""
        self.queries[source] += 1
        kind = source == DOWNLOAD
        self._now[kind] += 1
        self._most[kind] = max(self._most[kind], self._now[kind])
        if kind:
            return
        self.ids += ids
        self._last = time.monotonic()
        if self._first is None:
            self._first = self._last
        self.minutes[int((self._last - self._first) / 60)] += 1

    def end(self, source: str) -> None:
        self._now[source == DOWNLOAD] -= 1

    def as_dict(self) -> dict[str, Any]:
        span = self._last - (self._first or 0.0)
        return {
            "queries": dict(self.queries),
            "minutes": [self.minutes[m] for m in range(max(self.minutes, default=-1) + 1)],
            "span": span,
            "concurrent": self._now[False],
            "concurrent_max": self._most[False],
            "downloading": self._now[True],
            "downloading_max": self._most[True],
            "ids": self.ids,
            "rows": self.rows,
            "downloads": self.queries[DOWNLOAD],
            "bytes": self.bytes,
            "faults": dict(self.faults),
            "refused": self.refused,
            "cpu": time.process_time(),
        }
