"""All that is counted of one cell at one moment: what metrics and ``gangamon top`` show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gangamon.domain.status import JobStatus
from gangamon.protocols.records import LaneRecord, Written


@dataclass(frozen=True)
class QueueCensus:
    """A queue: members ``waiting``, ``claims`` under way, and for how many seconds the oldest
    member has been due (0: none is)."""

    waiting: int = 0
    claims: int = 0
    overdue: float = 0.0


@dataclass(frozen=True)
class Budget:
    """A lane's token bucket: queries that it may make at once now, queries a second that it gets
    back, and how many a full one holds."""

    tokens: float
    rate: float
    burst: int


@dataclass(frozen=True)
class Histogram:
    """``counts``: observations by upper bound (inf: above the last), each counted once;
    ``sum``: of all."""

    counts: Mapping[float, int]
    sum: float

    @property
    def total(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True)
class LaneCensus:
    """A lane. ``jobs``: those it has now, by status, ended ones until they are pruned. All else is
    counted for as long as the store lives: ``taken`` (jobs taken in), ``moved`` (transitions, by
    the new status), ``ended`` (master jobs, by status), queries with their seconds, failed ones,
    detection lags in seconds and in intervals in force, and what was fetched and merged."""

    record: LaneRecord
    queue: QueueCensus
    budget: Budget | None
    jobs: Mapping[JobStatus, int]
    taken: int
    moved: Mapping[JobStatus, int]
    ended: Mapping[JobStatus, int]
    queries: int
    query_seconds: float
    failures: int
    lag: Histogram
    lag_intervals: Histogram
    fetched: Written
    merged: Written


@dataclass(frozen=True)
class ProcessRecord:
    """A beat or a worker that runs, by its own word. ``node``: its name, NAME@HOST. ``skew``: its
    host's clock less Redis's, seconds. ``version``: of gangamon. ``settings``: those in which all
    processes of a cell must agree."""

    node: str
    skew: float
    version: str
    settings: Mapping[str, float]

    @property
    def kind(self) -> str:
        return self.node.partition("@")[0]


@dataclass(frozen=True)
class Census:
    """``at``: seconds since the epoch, Redis's clock, as all times in a LaneRecord. ``tick_age``:
    seconds since the last tick, None: there was none. ``stages``: (stage, owner) -> its queue.
    ``inboxes``: owner -> commands that wait. ``messages``: Celery queue -> messages that wait.
    ``leases``, ``expired``: leases under way, and those not yet taken back. ``rescued``: members of
    expired leases by what became of them (see Rescued). ``processes``: those that said within the
    last minute that they run. ``server``: what Redis says of itself
    (INFO); empty where it does not let us ask."""

    at: float
    epoch: str
    tick_age: float | None
    lanes: Mapping[str, LaneCensus]
    stages: Mapping[tuple[str, str], QueueCensus]
    inboxes: Mapping[str, int]
    messages: Mapping[str, int]
    leases: int
    expired: int
    rescued: Mapping[str, int]
    dead: int
    processes: Sequence[ProcessRecord]
    server: Mapping[str, str]
