"""What a simulation has shown: gathered from the update stream, and told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gangamon.client import Update
from gangamon.domain.job import Version
from gangamon.domain.status import FINAL, RANK, JobStatus


@dataclass
class Tally:
    """Follows the updates of one master. ``lags``: end at the backend to its update, seconds."""

    lags: list[float] = field(default_factory=list)
    transitions: int = 0
    statuses: dict[int, JobStatus] = field(default_factory=dict)
    final: JobStatus | None = None
    _versions: dict[int, Version] = field(default_factory=dict)
    _ends: set[tuple[int, int]] = field(default_factory=set)

    def add(self, update: Update) -> None:
        for job in update.jobs:
            version = Version(job.attempt, job.restart, RANK[job.status])
            if (before := self._versions.get(job.sub)) is not None and version <= before:
                continue
            self._versions[job.sub] = version
            self.statuses[job.sub] = job.status
            self.transitions += 1
            ended = job.status is JobStatus.COMPLETING or job.status in FINAL
            if ended and job.ended_at and (job.sub, job.restart) not in self._ends:
                self._ends.add((job.sub, job.restart))
                self.lags.append(max(0.0, update.at - job.ended_at))
        if update.final is not None:
            self.final = update.final.status

    def ended(self) -> int:
        return sum(status in FINAL for status in self.statuses.values())


@dataclass(frozen=True)
class Report:
    """``lags``: p50, p95 and p99 in seconds by lane. ``seconds``: that it was followed for.
    ``untold``: answers that led to nothing, judged at the end of the last job."""

    scenario: str
    jobs: int
    ended: int
    status: str
    seconds: float
    lags: dict[str, dict[str, float]]
    queries: int
    queries_per_minute: float
    concurrent_max: int
    downloads: int
    downloading_max: int
    bytes: int
    transitions: int
    faults: dict[str, int]
    untruths: list[str]
    untold: list[str]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        found = [
            f"{self.scenario}: {self.ended} of {self.jobs} jobs ended in {self.seconds:.1f} s"
            + (f": {self.status}" if self.status else "")
        ]
        for lane, lags in self.lags.items():
            text = ", ".join(f"{name} {lag:.2f} s" for name, lag in lags.items())
            found.append(f"  detection lag, lane {lane}: {text}")
        per_minute = f"{self.queries_per_minute:.1f} a minute"
        found.append(
            f"  queries: {self.queries}, {per_minute}, {self.concurrent_max} at once at most"
        )
        found.append(
            f"  downloads: {self.downloads}, {self.bytes} bytes, "
            f"{self.downloading_max} at once at most"
        )
        found.append(f"  transitions: {self.transitions}")
        if self.faults:
            text = ", ".join(f"{n} {kind}" for kind, n in sorted(self.faults.items()))
            found.append(f"  faulty answers: {text}")
        found.append(f"  untruths: {len(self.untruths) or 'none'}")
        found += [f"    {untruth}" for untruth in self.untruths]
        found.append(f"  answers without effect: {len(self.untold) or 'none'}")
        return [*found, *(f"    {one}" for one in self.untold)]


def percentiles(lags: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99, each a lag that was measured; none without any."""
    if not lags:
        return {}
    ordered = sorted(lags)
    last = len(ordered) - 1
    return {f"p{p}": ordered[min(last, int(p / 100 * len(ordered)))] for p in (50, 95, 99)}
