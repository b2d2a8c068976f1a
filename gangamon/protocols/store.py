"""The store: the truth, written by atomic verbs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from gangamon.domain.command import Enqueue, Register, Withdraw
from gangamon.domain.effect import Stage
from gangamon.domain.job import Job
from gangamon.domain.status import JobStatus
from gangamon.protocols.records import (
    NOTHING,
    Asked,
    Batch,
    Change,
    Claim,
    Committed,
    DeadLetter,
    Fetchable,
    Lag,
    LaneRecord,
    Lease,
    Master,
    Outcome,
    Polite,
    Rescued,
    Written,
)


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
