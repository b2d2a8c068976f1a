"""A clock that stands still until it is told."""

from __future__ import annotations


class ManualClock:
    """``protocols.Clock``; seconds since the epoch."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> float:
        """The new time. A clock that goes back would test nothing: ValueError."""
        if seconds < 0:
            raise ValueError(f"seconds: got {seconds}; accepted: 0 or more")
        self._now += seconds
        return self._now
