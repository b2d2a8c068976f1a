"""A backend that answers at once, so that what is left is what gangamon itself costs.

It is installed as every plugin is, by an entry point: ``install`` writes the metadata of a small
distribution into a directory, which the workers have on their path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gangamon.domain.cadence import Cadence
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Observation, Seen
from gangamon.domain.status import JobStatus
from gangamon.protocols import Limits, PollItem

MEANING = {
    "Waiting": JobStatus.SUBMITTED,
    "Running": JobStatus.RUNNING,
    "Killed": JobStatus.KILLED,
}


class InstantBackend:
    """The endpoint of a lane is a file that holds the native status of all its jobs."""

    name = "Instant"

    def __init__(self) -> None:
        # Long intervals: a job is due when the benchmark says so.
        self.limits = Limits(cadence=Cadence(floor=80000.0, cap=80000.0))

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        code = Path(lane.endpoint).read_text()
        status = MEANING[code]
        ended = 1.7e9 if status is JobStatus.KILLED else None
        started = None if status is JobStatus.SUBMITTED else 1.6e9
        return {
            item.key: Seen(
                code,
                status,
                "instant list",
                site="SITE.one.example",
                started_at=started,
                ended_at=ended,
                exit_code=None if ended is None else 137,
                reason="" if ended is None else "killed by its owner",
                attributes={"id": item.native_id, "status": code, "actualCE": "SITE.one.example"},
            )
            for item in items
        }

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        return {}


INSTANT = {"backends": "benchmarks.instant:InstantBackend"}


def install(folder: Path, name: str = "Instant", points: Mapping[str, str] = INSTANT) -> Path:
    """The directory to put on PYTHONPATH. ``points``: kind of plugin -> the class of that name."""
    made = folder / "gangamon_bench-0.dist-info"
    made.mkdir(parents=True)
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: gangamon-bench\nVersion: 0\n")
    (made / "entry_points.txt").write_text(
        "".join(f"[gangamon.{kind}]\n{name} = {place}\n" for kind, place in points.items())
    )
    return folder
