"""How far a job is: by status, how fast, and when it may be over. Nothing of Ganga here."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from gangamon.adapter.watch.watched import ENDED

#: Seconds that a rate looks back.
WINDOW = 60.0

#: Ganga's statuses in the order in which they are shown; others follow.
_ORDER = ("new", "submitting", "submitted", "running", "completing", *ENDED)


@dataclass(frozen=True)
class Figures:
    """A job as this session shows it. ``job``: ``42`` or ``42.7``; ``status``: its own;
    ``counts``: its subjobs by status, of a job that was not split itself."""

    job: str
    status: str
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        """How many have ended."""
        return sum(self.counts.get(status, 0) for status in ENDED)

    @property
    def over(self) -> bool:
        """Whether the job itself has ended: a split one does when its outputs are merged."""
        return self.status in ENDED

    def by_status(self) -> dict[str, int]:
        """Those that are there, in the order of a job's life."""
        known = {status: self.counts[status] for status in _ORDER if self.counts.get(status)}
        return {**known, **{s: n for s, n in self.counts.items() if n and s not in known}}

    def told(self) -> str:
        return ", ".join(f"{count} {status}" for status, count in self.by_status().items())


@dataclass
class Rate:
    """Ends a second, over the last WINDOW seconds."""

    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, at: float, done: int) -> None:
        """``at``: seconds, monotonic. Fewer than before: some were submitted again, and what was
        seen before says nothing of them."""
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((at, done))
        while len(self._seen) > 2 and self._seen[1][0] <= at - WINDOW:
            self._seen.popleft()

    @property
    def per_second(self) -> float | None:
        """None: nothing has ended since it was first looked."""
        if len(self._seen) < 2:
            return None
        (begun, first), (now, last) = self._seen[0], self._seen[-1]
        return (last - first) / (now - begun) if last > first and now > begun else None

    def left(self, remaining: int) -> float | None:
        """Seconds until so many have ended, if it goes on so; None: that is not known."""
        rate = self.per_second
        return remaining / rate if rate else None
