"""What the store hands out and takes in: records, all frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gangamon.domain.command import CheckerSpec, JobSpec, MergerSpec, NotifierSpec
from gangamon.domain.job import Job
from gangamon.domain.lane import Lane
from gangamon.domain.status import JobStatus
from gangamon.domain.transition import Step


@dataclass(frozen=True)
class Claim:
    """Members of one queue taken under a lease. ``members``: batch ids or job references."""

    token: str
    queue: str
    members: tuple[str, ...]
    jobs: int


@dataclass(frozen=True)
class Brought:
    """Outputs of a master's jobs: how many jobs', files and bytes; ``seconds`` from the first job's
    to the last one's. What is resubmitted counts again."""

    jobs: int = 0
    files: int = 0
    bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Master:
    """A master job's record. ``phase``: open, merge, check, notify, done. ``counts``: subjobs by
    status (a job that was not split counts as its own only subjob). ``wish``: seconds between two
    queries that its owner wants, None: no wish. ``observe``: see ``Enqueue``."""

    owner: str
    repository: str
    id: int
    attempt: int
    total: int
    name: str
    lane: Lane
    workspace: str
    mergers: tuple[MergerSpec, ...]
    roots: tuple[str, ...]
    phase: str
    status: JobStatus | None
    counts: Mapping[JobStatus, int]
    results: Mapping[str, Any]
    wish: float | None = None
    checkers: tuple[CheckerSpec, ...] = ()
    observe: bool = False
    notifiers: tuple[NotifierSpec, ...] = ()
    brought: Brought = field(default_factory=Brought)

    def output(self, sub: int) -> str:
        """The output directory of a subjob, or of the job itself (sub < 0)."""
        inner = f"/{sub}" if sub >= 0 else ""
        return f"{self.workspace}{inner}/output"

    def fqid(self, sub: int) -> str:
        return f"{self.id}.{sub}" if sub >= 0 else str(self.id)


@dataclass(frozen=True)
class Batch:
    """A batch as claimed: its master and its jobs (spec and present state), by sub id. ``every``:
    seconds between the last query about it and the one that is due, None: none was made yet."""

    id: str
    master: Master
    specs: Mapping[int, JobSpec]
    jobs: Mapping[int, Job]
    every: float | None = None


@dataclass(frozen=True)
class Change:
    """One job's step, against the job as it was read: applied only if it still is so."""

    sub: int
    before: Job
    step: Step


@dataclass(frozen=True)
class Outcome:
    """What an answer means for one member of a claim: steps to apply, and the seconds until it is
    due once more, None: never. ``phase``: from 0 to below 1, where in each of those intervals."""

    member: str
    master: Master
    changes: Sequence[Change]
    again: float | None
    phase: float = 0.0


@dataclass(frozen=True)
class Committed:
    """``applied``: transitions that took place; ``refused``: those whose job had moved on;
    ``due``: the stages that this commit made due, by queue."""

    applied: int
    refused: int
    due: tuple[str, ...] = ()


@dataclass(frozen=True)
class Written:
    """Files that a stage has put into its job's output directory, and their bytes."""

    files: int = 0
    bytes: int = 0


NOTHING = Written()


@dataclass(frozen=True)
class Polite:
    """What a lane's backend bears, shared by all workers of all hosts. ``endpoint_slots``:
    queries at the same time over all lanes of the endpoint. ``rate``: queries a second (0: no
    budget); ``burst``: queries at once that a full budget bears."""

    endpoint_slots: int = 4
    rate: float = 0.0
    burst: int = 1


@dataclass(frozen=True)
class Fetchable:
    """A job whose outputs are to be brought."""

    master: Master
    sub: int
    job: Job
    spec: JobSpec


@dataclass(frozen=True)
class Asked:
    """What was asked of a lane: how many queries, their seconds in all, those of the slowest."""

    queries: int
    seconds: float
    slowest: float


@dataclass(frozen=True)
class Lag:
    """From a job's end at the backend to the commit that noticed it. ``interval``: seconds between
    the queries about it that were in force; None if it was the first."""

    seconds: float
    interval: float | None = None


@dataclass(frozen=True)
class Rescued:
    """A member of an expired lease. ``what``: back (due again), split (a batch that kept killing
    its workers, now two), dead (set aside), gone (nothing of it is asked about)."""

    queue: str
    member: str
    what: str


@dataclass(frozen=True)
class Lease:
    """A claim under way. ``by``: NODE:TASK PROCESS of who works on it, '' while it waits for a
    worker; ``members``: how many are not given back yet; ``jobs``: how many it was for.
    ``expires``: seconds since the epoch, Redis's clock."""

    queue: str
    by: str
    members: int
    jobs: int
    expires: float


@dataclass(frozen=True)
class DeadLetter:
    """A job (O:R:M:SUB) or a stage (its member) set aside. ``at``: seconds since the epoch."""

    name: str
    queue: str
    reason: str
    at: float


@dataclass(frozen=True)
class LaneRecord:
    """What is known of a lane. ``interval``: seconds now in force; ``query``: seconds of the last
    good query; ``failures``: failed queries in a row; ``asked_at``: the last good answer;
    ``paused``: why nothing is asked; ``probe_at``: when a paused lane is tried (None: not before it
    is resumed); ``open_until``: the breaker; ``batches``: in the lane when it was last claimed
    from. Times in seconds since the epoch, Redis's clock."""

    interval: float | None = None
    query: float = 0.0
    failures: int = 0
    asked_at: float | None = None
    error: str = ""
    paused: str = ""
    probe_at: float | None = None
    open_until: float | None = None
    batches: int = 0
