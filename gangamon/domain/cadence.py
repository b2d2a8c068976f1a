"""When to ask again: polite to the backend, in time for the user. All times in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cadence:
    """Bounds of a lane's interval.

    ``floor``: never more often. ``cap``: never less often; it must stay below the backend's
    memory of ended jobs (Slurm ``MinJobAge``). ``growth``: factor while nothing changes.
    ``retry_base``, ``retry_cap``: backoff while the backend cannot be asked.
    """

    floor: float = 5.0
    cap: float = 60.0
    growth: float = 1.5
    retry_base: float = 2.0
    retry_cap: float = 300.0

    def interval(self, last: float | None, query: float, changed: bool) -> float:
        """The next interval from the last one, the last query's duration and whether a job moved.

        Five times the query's duration, so that a slow backend is asked less often; but the cap
        has the last word, for beyond it ended jobs may be forgotten.
        """
        wanted = self.floor if changed or last is None else last * self.growth
        return min(max(wanted, self.floor, 5.0 * query), max(self.cap, self.floor))

    def backoff(self, failures: int, jitter: float) -> float:
        """The wait after ``failures`` (>= 1) failed queries; ``jitter`` uniform in [0, 1)."""
        wait = min(self.retry_cap, self.retry_base * 2.0 ** min(failures - 1, 16))
        return wait * (0.5 + jitter)
