"""The store: the truth, written by atomic verbs; and the journal behind it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gangamon.domain.command import (
    CheckerSpec,
    Enqueue,
    JobSpec,
    MergerSpec,
    NotifierSpec,
    Register,
    Withdraw,
)
from gangamon.domain.effect import Stage
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
class Merging:
    """How far a master's merge is. ``bytes``: merged, hidden still; ``files``, ``whole``: how many,
    and how many bytes, go in (0: not known yet); ``seconds``: in which the bytes above ``first``
    came."""

    bytes: int = 0
    files: int = 0
    whole: int = 0
    first: int = 0
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
    merging: Merging = field(default_factory=Merging)

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


class JobStore(Protocol):
    """The truth. Every write is one atomic verb. Raises StoreUnavailable when away.

    Times given are in seconds; the store's own clock decides what is due and what expired.
    """

    def epoch(self) -> str:
        """This life's id; begins one if the store is empty."""
        ...

    def journaled(self, journal: str) -> str:
        """A journal's mark as last noted here, '' if none was."""
        ...

    def note_journaled(self, journal: str, mark: str) -> None: ...

    def inbox(self, limit: int) -> Sequence[tuple[str, str, Mapping[str, Any]]]:
        """(owner, entry id, raw command) of what waits, oldest first within each owner."""
        ...

    def register(self, owner: str, command: Register) -> None: ...

    def roots(self, owner: str, repository: str) -> tuple[str, ...] | None: ...

    def enqueue(self, owner: str, entry: str, command: Enqueue) -> Sequence[str]:
        """Take in one batch. Faults (same job and attempt with other content): nothing done."""
        ...

    def withdraw(self, owner: str, entry: str, command: Withdraw) -> None:
        """Forget a whole master job. What still runs for it finds it gone."""
        ...

    def ended(self, older: float, limit: int) -> Sequence[tuple[str, str, int]]:
        """(owner, repository, id) of masters that ended more than so many seconds ago."""
        ...

    def prune(self, owner: str, repository: str, master: int, older: float) -> bool:
        """Forget a master that ended more than ``older`` seconds ago; False if it did not."""
        ...

    def my_turn(self, what: str, seconds: float) -> bool:
        """True to one caller of all in so many seconds."""
        ...

    def acknowledge(
        self, owner: str, entry: str, command_id: str, repository: str, why: str = ""
    ) -> None:
        """Take a command out of the inbox and answer it: done, or refused with the reason."""
        ...

    def taken(self, owner: str, command_id: str) -> bool:
        """Whether a command of this id was taken in before (``enqueue`` looks by itself)."""
        ...

    def refresh(self, owner: str, repository: str, master: int) -> None:
        """Make the batches of a master due now."""
        ...

    def hasten(self, queue: str, members: Sequence[str]) -> Sequence[str]:
        """Make waiting members of a lane's queue due now; those that wait in it, and so are."""
        ...

    def queues(self) -> Sequence[str]:
        """Names of queues that may hold something due."""
        ...

    def claim(
        self, queue: str, members: int, lease: float, slots: int, polite: Polite | None = None
    ) -> Claim | None:
        """Take up to ``members`` due members of a queue; None if none is due or no slot free."""
        ...

    def ripe(self, queue: str, slots: int, polite: Polite) -> float | None:
        """Seconds until something of a lane's queue may be claimed: it is due then, and what the
        lane bears allows it. None: nothing waits, or a query must end or the lane be resumed."""
        ...

    def fetchable(self, members: Sequence[str]) -> Mapping[str, Fetchable]:
        """What the members of a fetch queue stand for, by member, without those that were
        withdrawn, resubmitted or done meanwhile."""
        ...

    def begin(self, token: str, worker: str, lease: float) -> Claim | None:
        """Start work on a claim; None if it expired or another process has begun it. ``worker``
        is kept with it, see ``begun``."""
        ...

    def answered(self, token: str, queue: str) -> None:
        """The queries of a claim have been answered: its slots are free, its lease stays."""
        ...

    def next_in_line(self, queue: str) -> Sequence[str]:
        """The lane's queue, if any, that has waited longest for a slot of the same endpoint: to be
        pushed before this one when a slot is free. It is taken out of the line."""
        ...

    def begun(self) -> Mapping[str, str]:
        """Token -> worker of all claims that are worked on."""
        ...

    def leases(self, limit: int) -> Sequence[Lease]:
        """Claims under way, those that expire first."""
        ...

    def abandon(self, tokens: Iterable[str]) -> None:
        """End the leases of claims whose workers are known to be dead: the next ``rescue`` takes
        their members back."""
        ...

    def renew(self, tokens: Iterable[str], lease: float) -> None: ...

    def batches(self, ids: Sequence[str]) -> Sequence[Batch]: ...

    def master(self, owner: str, repository: str, master: int) -> Master | None: ...

    def records(self, owner: str, repository: str, masters: Sequence[int]) -> Sequence[Master]:
        """The same of many, in this order, without those that are not known."""
        ...

    def native_ids(self, master: Master, subs: Sequence[int]) -> Mapping[int, str]:
        """What the backend calls these subjobs, of those that were enqueued."""
        ...

    def jobs(self, master: Master, subs: Iterable[int] | None) -> Mapping[int, Job]:
        """The present state of some of a master's jobs (None: of all)."""
        ...

    def commit(
        self,
        token: str,
        member: str,
        master: Master,
        changes: Sequence[Change],
        again: float | None,
        aligned: bool = True,
        grow: float | None = None,
        brought: Written = NOTHING,
    ) -> Committed:
        """Apply steps and release one member; ``again``: seconds until it is due once more
        (on the grid of that interval if ``aligned``), None: never. Raises LeaseLost.

        An empty ``token`` is the owner's own word, ``member`` its command's id: nothing is
        released, and nothing is applied if that command was acknowledged before (another pass was
        faster, and the jobs may have been submitted anew since).

        ``grow``: seconds after which the master's merge is to take in what this brought, if it is
        open then; None: only when all its jobs have ended. ``brought``: counted if a step was
        applied."""
        ...

    def commit_all(self, token: str, outcomes: Sequence[Outcome]) -> Sequence[Committed | None]:
        """``commit`` of many members of one claim, aligned, each by itself but sent together; None
        for those that the claim no longer holds."""
        ...

    def commit_stage(
        self,
        token: str,
        member: str,
        master: Master,
        stage: Stage,
        result: Mapping[str, Any],
        final: JobStatus | None,
        written: Written = NOTHING,
    ) -> Committed:
        """Record a master stage's result and make the next due; after the last, ``final`` is
        the master's status. ``written``: counted. Raises LeaseLost."""
        ...

    def states(self, master: Master) -> Mapping[int, tuple[int, int, JobStatus]]:
        """(attempt, restart, status) of all of a master's jobs that are known, by sub id in order:
        much cheaper than ``jobs``."""
        ...

    def growing(self, master: Master, target: str) -> None:
        """Note where a merge grows while jobs run, for its removal if the master is withdrawn."""
        ...

    def note_merging(
        self, token: str, member: str, master: Master, done: int, whole: Written
    ) -> None:
        """Note for those who watch how many bytes are merged, and (NOTHING: that is not known) of
        what. Forgotten with the merge's end. Raises LeaseLost."""
        ...

    def woken(self, owner: str, repository: str, master: int) -> tuple[str, int]:
        """What was noted, '' if nothing was, or the merge has ended; and how many fetches have
        woken the member of the grow queue that is in hand."""
        ...

    def grown(self, token: str, member: str, count: int, more: float, wait: float | None) -> str:
        """Give a member of a grow queue back: due after ``wait`` seconds, or (None) after ``more``
        if it was woken more than ``count`` times, else when it is. The master's phase, '' if it is
        gone: if that is not open, nothing grows any more. Raises LeaseLost."""
        ...

    def postpone(self, token: str, queue: str, member: str, wait: float, reason: str = "") -> int:
        """Give a member back, due after ``wait`` seconds; how often in a row. ``reason``: for
        people, kept until it goes on. Raises LeaseLost."""
        ...

    def put_off(self, queue: str, member: str) -> tuple[int, str]:
        """How often in a row a member has been put off, and for what reason; (0, '')."""
        ...

    def seat(self, token: str, endpoint: str, slots: int, lease: float) -> bool:
        """Take one of the ``slots`` of a storage endpoint for a claim, in the place of the one that
        it has; '' gives that back. It is renewed, and ends, with the claim. False: none is free.
        Raises LeaseLost."""
        ...

    def drop(self, token: str, queue: str, member: str) -> None:
        """Give a member back for good: what it stands for is gone. Raises LeaseLost."""
        ...

    def tries(self, queue: str, member: str) -> int:
        """How often in a row a member has been put off."""
        ...

    def lane(self, name: str) -> LaneRecord: ...

    def note_query(
        self,
        name: str,
        at: float,
        interval: float,
        query: float,
        asked: Asked,
        lags: Sequence[Lag],
    ) -> None:
        """Keep what a good query taught about its lane: when it was, the interval from now on, its
        seconds, all that was asked for it, and the detection lags it ended. Closes the breaker."""
        ...

    def note_unasked(self, name: str) -> None:
        """A claim of a lane led to no query: the budget has it back."""
        ...

    def note_failure(self, name: str, error: str, asked: Asked) -> int:
        """A query failed; how many in a row."""
        ...

    def open_breaker(self, name: str, seconds: float) -> None:
        """Ask nothing for so long; then one probe."""
        ...

    def pause(self, name: str, why: str, probe_in: float | None) -> None:
        """Ask nothing until resumed, but for a probe after ``probe_in`` seconds, if given: that
        leaves a pause without one, its owner's, as it is."""
        ...

    def resume(self, name: str, probed: bool = False) -> None:
        """End a pause and the breaker; what waits is due now. ``probed``: a probe was good, which
        leaves a pause without probes as it is."""
        ...

    def owners(self, name: str) -> Sequence[str]: ...

    def set_aside(
        self, token: str, queue: str, member: str, master: Master, sub: int, reason: str
    ) -> None:
        """Take one job out of its batch: no query names it until it is retried."""
        ...

    def dead(self, owner: str) -> Sequence[DeadLetter]: ...

    def retry(self, letter: DeadLetter) -> bool:
        """Due again; False if it was not there any more."""
        ...

    def note_tick(self) -> None: ...

    def rescue(self) -> Sequence[Rescued]:
        """Take back the members of expired leases, and what became of each."""
        ...


class Journal(Protocol):
    """The service's durable record of what owners asked for."""

    def identity(self) -> str:
        """The same for all who append to it, wherever they run."""
        ...

    def append(self, records: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """(owner, raw command) of each; on disk (fsync) when this returns."""
        ...

    def tail(self) -> str:
        """A mark of the last record, '' if there is none: it changes with every append."""
        ...

    def replay(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """All records, in the order in which they were taken in."""
        ...

    def compact(self, without: Collection[str]) -> int:
        """Leave out commands of these ids, where nothing is appended any more; how many. The mark
        of the last record stays as it is."""
        ...
