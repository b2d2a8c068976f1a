"""What happened over time: states, transitions and lags, in this process's memory, bounded."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from typing import Any

from gangamon.client import JobUpdate
from gangamon.domain.status import JobStatus
from gangamon.views.text import quantile

#: Seconds of one point, and points kept: two hours.
STEP = 10.0
POINTS = 720

#: Lags of one lane kept for a point, and lanes.
SAMPLES = 500
LANES = 24

#: A job's end is first told with one of these.
_ENDING = frozenset({JobStatus.COMPLETING, JobStatus.FAILED, JobStatus.KILLED})


class Trends:
    """Written by one thread; ``points`` may be read by others."""

    def __init__(self) -> None:
        self._points: deque[dict[str, Any]] = deque(maxlen=POINTS)
        self._moved: Counter[str] = Counter()
        self._lags: dict[str, list[float]] = defaultdict(list)
        self._due = 0.0

    def note(self, lane: str, at: float, job: JobUpdate) -> None:
        """A transition, committed ``at`` (seconds since the epoch)."""
        self._moved[job.status.value] += 1
        if job.ended_at is None or job.status not in _ENDING:
            return
        if lane in self._lags or len(self._lags) < LANES:
            lags = self._lags[lane]
            if len(lags) < SAMPLES:
                lags.append(max(0.0, at - job.ended_at))

    def sample(self, now: float, states: Mapping[str, int]) -> dict[str, Any] | None:
        """The new point, if one is due; ``now``: seconds since the epoch. ``lags``: lane -> p50,
        p95, largest; ``moved``: transitions since the last point by new status."""
        if now < self._due:
            return None
        self._due = now - now % STEP + STEP
        point = {
            "at": round(now, 1),
            "states": dict(states),
            "moved": dict(self._moved),
            "lags": {lane: _summary(lags) for lane, lags in self._lags.items() if lags},
        }
        self._moved, self._lags = Counter(), defaultdict(list)
        self._points.append(point)
        return point

    def points(self) -> list[dict[str, Any]]:
        return list(self._points)


def _summary(lags: list[float]) -> list[float | None]:
    lags.sort()
    found = (quantile(lags, 0.5), quantile(lags, 0.95), lags[-1])
    return [None if value is None else round(value, 3) for value in found]
