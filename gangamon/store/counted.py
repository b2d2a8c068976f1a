"""The fields of P:counted: what scripts and queries count, read back for a census.

A field is ``WHAT:LANE``, ``WHAT:LANE:STATUS`` or ``WHAT:LANE:BOUND``; names of lanes hold no ``:``.
Histograms are counted in fields of their bounds, an observation in one field only.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence

from gangamon.domain.status import JobStatus
from gangamon.protocols import Histogram, Lag, Written

#: Upper bounds of the detection lags: in seconds, and in intervals between two queries.
SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
INTERVALS = (0.25, 0.5, 0.75, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0)


def lag_counts(lane: str, lags: Sequence[Lag]) -> Mapping[str, float]:
    """What these lags add to which fields."""
    found: Counter[str] = Counter()
    for lag in lags:
        seconds = max(0.0, lag.seconds)  # the backend's clock may be ahead of ours
        _observe(found, "lag", lane, SECONDS, seconds)
        if lag.interval:
            _observe(found, "ratio", lane, INTERVALS, seconds / lag.interval)
    return found


def _observe(
    found: Counter[str], what: str, lane: str, bounds: Sequence[float], value: float
) -> None:
    place = bisect_left(bounds, value)
    bound = bounds[place] if place < len(bounds) else math.inf
    found[f"{what}:{lane}:{bound}"] += 1
    found[f"{what}_sum:{lane}"] += round(value, 4)  # type: ignore[assignment]


class Counted:
    """The fields as they were read."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    def count(self, what: str, lane: str) -> int:
        return int(self._fields.get(f"{what}:{lane}", 0))

    def seconds(self, what: str, lane: str) -> float:
        return float(self._fields.get(f"{what}:{lane}", 0))

    def by_status(self, what: str, lane: str) -> Mapping[JobStatus, int]:
        return {status: self.count(what, f"{lane}:{status}") for status in JobStatus}

    def jobs(self, lane: str) -> Mapping[JobStatus, int]:
        """Those it has. What a version that did not count took in, leaves below 0."""
        return {status: max(0, n) for status, n in self.by_status("jobs", lane).items()}

    def written(self, what: str, lane: str) -> Written:
        return Written(self.count(f"{what}_files", lane), self.count(f"{what}_bytes", lane))

    def lag(self, lane: str) -> Histogram:
        return self._histogram("lag", lane, SECONDS)

    def lag_intervals(self, lane: str) -> Histogram:
        return self._histogram("ratio", lane, INTERVALS)

    def rescued(self) -> Mapping[str, int]:
        return {what: self.count("rescued", what) for what in ("back", "split", "dead", "gone")}

    def _histogram(self, what: str, lane: str, bounds: Sequence[float]) -> Histogram:
        """Bounds of another version's fields count in the next of ours."""
        counts = dict.fromkeys((*bounds, math.inf), 0)
        start = f"{what}:{lane}:"
        for field, text in self._fields.items():
            if field.startswith(start):
                place = bisect_left(bounds, float(field[len(start) :]))
                counts[bounds[place] if place < len(bounds) else math.inf] += round(float(text))
        return Histogram(counts, self.seconds(f"{what}_sum", lane))
