"""When to ask again: polite to the backend, in time for the user. All times in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cadence:
    """Bounds of a lane's interval.

    ``floor``: never more often. ``cap``: never less often; it must stay below the backend's
    memory of ended jobs (Slurm ``MinJobAge``). ``growth``: factor while nothing changes (1: none).
    ``retry_base``: the first wait while the backend cannot be asked; the longest is ``cap``.
    """

    floor: float = 5.0
    cap: float = 60.0
    growth: float = 1.5
    retry_base: float = 2.0

    def interval(self, last: float | None, query: float, changed: bool) -> float:
        """The next interval from the last one, the seconds that queries about the whole lane take
        and whether a job moved.

        Five times those seconds, so that a slow backend is asked less often; but the cap has the
        last word, for beyond it ended jobs may be forgotten. While that decides, an interval that
        is up to half longer stays: due times lie on the grid of the interval, and one that is
        always another has no grid.
        """
        wanted = self.floor
        if last is not None and not changed and self.growth > 1:
            wanted = max(self.floor, last * self.growth)
        if wanted < 5.0 * query:
            wanted = 5.0 * query
            if last is not None and wanted <= last <= 1.5 * wanted:
                wanted = last
        return min(wanted, max(self.cap, self.floor))

    def wished(self, wish: float | None, interval: float, query: float) -> float:
        """The interval of jobs whose owner wished one: theirs, as far as the backend bears it;
        None: the lane's ``interval``."""
        if wish is None:
            return interval
        return min(max(wish, self.floor, 5.0 * query), max(self.cap, self.floor))

    def backoff(self, failures: int, jitter: float) -> float:
        """The wait after ``failures`` (>= 1) failed queries; ``jitter`` uniform in [0, 1).

        Never beyond the cap: what ended just before the backend could not be asked is forgotten
        by then, and a healthy lane is asked no less often.
        """
        wait = self.retry_base * 2.0 ** min(failures - 1, 16) * (0.5 + jitter)
        longest = max(self.cap, self.floor)
        return wait if wait <= longest else longest * (0.5 + 0.5 * jitter)
