"""The facade for sessions, command lines and pages: commands in, updates and views out.

A client writes no state. It appends commands to its owner's inbox; the service takes them in,
and its acknowledgement in the update stream frees the spool.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gangamon import backends, instance, postprocess
from gangamon.backends import examine
from gangamon.client.updates import Ack, MasterView, Update, as_update, final_of, parse
from gangamon.domain.command import Command, Enqueue, unknown
from gangamon.domain.job import Job
from gangamon.domain.lane import Lane
from gangamon.domain.status import JobStatus
from gangamon.domain.wire import Faults, from_wire, to_wire
from gangamon.errors import BadInput, NotPermitted, StoreUnavailable
from gangamon.protocols import Census, DeadLetter, Finding, Lag, LaneRecord, Lease, Master
from gangamon.settings import Settings
from gangamon.store import acl
from gangamon.store.inbox import ClientStore
from gangamon.store.lanes import LAGS
from gangamon.store.spool import Spool

#: Seconds after which a command that is neither acknowledged nor waiting is sent again.
RESEND = 5.0

#: Commands sent in one go.
CHUNK = 200


class Follower:
    """Reads one repository's updates in order, from a position on.

    ``missed``: updates may have been trimmed before they were read (a reader that slept for very
    long): snapshots tell what they said. It stays set until the reader clears it.
    """

    def __init__(self, client: Client, repository: str, position: str) -> None:
        self.position = position
        self.missed = False
        self._client = client
        self._repository = repository

    def read(self, block: float = 0.0, count: int = 50) -> list[Update]:
        """The next updates; waits up to ``block`` seconds (below 4) for the first.

        Acknowledgements free the spool before they are returned. Raises StoreUnavailable.
        """
        entries = self._client.store.updates(
            self._client.owner, self._repository, self.position, count, min(block, 4.0)
        )
        if len(entries) == count:  # far behind: only then something can be missed
            store, owner = self._client.store, self._client.owner
            self.missed |= store.trimmed(owner, self._repository, self.position)
        updates = []
        for entry, fields in entries:
            update = parse(fields)
            if update.ack is not None:
                self._client.settle(update.ack)
            updates.append(update)
            self.position = entry
        return updates


class Client:
    """Every call returns or raises StoreUnavailable within some seconds, whatever is away."""

    def __init__(self, settings: Settings, spool_dir: Path | None = None) -> None:
        self.settings = settings
        self.owner = settings.owner
        self._spool = Spool(spool_dir or settings.state_dir / "spool")
        self._sent: dict[str, tuple[str, float]] = {}
        self._store: ClientStore | None = None

    @property
    def store(self) -> ClientStore:
        """The store where the service now runs; it may have moved since the last call."""
        url = instance.redis_url(self.settings)
        if not url:
            raise StoreUnavailable(
                f"no gangamon runs for state_dir {self.settings.state_dir}: start it with "
                "`gangamon up`, or set redis.url"
            )
        if self._store is None or self._store.url != url:
            self._store = ClientStore(url, self.settings.redis_prefix)
            self._sent = {}
        return self._store

    @staticmethod
    def new_id() -> str:
        return uuid.uuid4().hex

    @staticmethod
    def backends() -> tuple[str, ...]:
        """Names of the backends that gangamon has a plugin for."""
        return tuple(backends.names())

    @staticmethod
    def mergers() -> tuple[str, ...]:
        """Names of the mergers that gangamon can run."""
        return postprocess.kinds()

    @staticmethod
    def merger_of(extension: str) -> str:
        """Which of them merges files that end so; empty: none."""
        return postprocess.for_extension(extension)

    @staticmethod
    def checkers() -> tuple[str, ...]:
        """Likewise."""
        return postprocess.checkers()

    @staticmethod
    def notifiers() -> tuple[str, ...]:
        """Likewise."""
        return postprocess.notifiers()

    @staticmethod
    def redis_acl(prefix: str, owners: Sequence[str]) -> list[acl.Rule]:
        """The Redis users of a cell, one for each role. BadInput."""
        return acl.rules(prefix, owners)

    def examine(self, lane: Lane) -> Iterator[Finding]:
        """Try a lane's backend for real, from this process. BadInput: there is no such backend, or
        its limits are no good."""
        backend = backends.configured(backends.load(lane.backend), self.settings.backends)
        return examine.examine(backend, lane, self.owner)

    # --- commands in ------------------------------------------------------------------------

    def submit(self, command: Command) -> str:
        """Check a command and put it into the spool; its id. Needs no Redis. BadInput."""
        body = to_wire(command)
        try:
            checked = from_wire(json.loads(json.dumps(body)))
        except Faults as error:
            raise BadInput(error.faults) from error
        if isinstance(checked, Enqueue):
            self._check(checked)
        self._spool.put(command.id, body)
        return command.id

    def flush(self) -> int:
        """Send what the spool holds, in order; how many commands are not acknowledged yet."""
        pending = self._spool.pending()
        if not pending:
            return 0
        store, now = self.store, time.monotonic()
        old = [i for i, (_, at) in self._sent.items() if now - at > RESEND]
        waiting = store.waiting(self.owner, [self._sent[i][0] for i in old])
        for command_id in old:
            entry, _ = self._sent.pop(command_id)
            if entry in waiting:
                self._sent[command_id] = (entry, now)
        fresh = [(i, path) for i, path in pending if i not in self._sent][:CHUNK]
        bodies = [(i, _read(path)) for i, path in fresh]
        bodies = [(i, body) for i, body in bodies if body]
        if bodies:
            entries = store.send(self.owner, [body for _, body in bodies])
            self._sent.update({i: (e, now) for (i, _), e in zip(bodies, entries, strict=True)})
        return len(pending)

    def pending(self) -> int:
        return len(self._spool.pending())

    def settle(self, ack: Ack) -> None:
        """An acknowledgement arrived: the command need not be kept."""
        self._sent.pop(ack.command_id, None)
        self._spool.remove(ack.command_id)

    def wait(self, command_id: str, repository: str, timeout: float) -> Ack | None:
        """Send the spool and wait for one command's acknowledgement; None after ``timeout``."""
        return self._acks(self.follow(repository), {command_id}, timeout).get(command_id)

    def perform(
        self, commands: Sequence[Command], repository: str, timeout: float
    ) -> Mapping[str, Ack]:
        """Submit commands and send the spool; the acknowledgements that came within ``timeout``, by
        command id. The others stay in the spool. BadInput; StoreUnavailable, before anything is
        submitted if the service is away; NotPermitted: they are not kept."""
        follower = self.follow(repository)
        wanted = {self.submit(command) for command in commands}
        try:
            return self._acks(follower, wanted, timeout)
        except NotPermitted:
            for command_id in wanted:
                self._spool.remove(command_id)
            raise

    def _acks(self, follower: Follower, wanted: set[str], timeout: float) -> dict[str, Ack]:
        deadline = time.monotonic() + timeout
        found: dict[str, Ack] = {}
        while len(found) < len(wanted) and (left := deadline - time.monotonic()) > 0:
            self.flush()
            for update in follower.read(block=min(left, 0.5)):
                if update.ack is not None and update.ack.command_id in wanted:
                    found[update.ack.command_id] = update.ack
        return found

    def _check(self, command: Enqueue) -> None:
        faults = []
        if command.lane.backend not in (known := backends.names()):
            faults.append(
                f"lane: unknown backend {command.lane.backend!r}; accepted: "
                + ", ".join(sorted(known))
            )
        faults += unknown(
            command, postprocess.kinds(), postprocess.checkers(), postprocess.notifiers()
        )
        if faults:
            raise BadInput(faults)

    # --- updates and views out --------------------------------------------------------------

    def follow(self, repository: str, since: str = "$") -> Follower:
        if since == "$":
            since = self.store.position(self.owner, repository)
        return Follower(self, repository, since)

    def position(self, repository: str) -> str:
        """From where the next updates are read."""
        return self.store.position(self.owner, repository)

    def news(
        self, since: Mapping[str, str], block: float, count: int
    ) -> Mapping[str, Sequence[tuple[str, Update]]]:
        """(position, update) of what is new in several repositories (repository -> position), by
        one call, up to ``count`` of each; waits up to ``block`` seconds (below 4) for the first.
        Acknowledgements free the spool. Raises StoreUnavailable."""
        answer = self.store.news(self.owner, since, count, min(block, 4.0))
        found: dict[str, list[tuple[str, Update]]] = {}
        for repository, entries in answer.items():
            mine = found.setdefault(repository, [])
            for entry, fields in entries:
                update = parse(fields)
                if update.ack is not None:
                    self.settle(update.ack)
                mine.append((entry, update))
        return found

    def epoch(self) -> str:
        return self.store.newest_epoch()

    def repositories(self) -> Sequence[str]:
        return self.store.repositories(self.owner)

    def masters(self, repository: str) -> list[Master]:
        """All master jobs of a repository that the service holds, by id."""
        return list(self.records(repository, self.store.masters(self.owner, repository)))

    def records(self, repository: str, numbers: Sequence[int]) -> Sequence[Master]:
        """The records of these masters, in this order, without those that are not known."""
        return self.store.records(self.owner, repository, numbers)

    def numbers(self, repository: str) -> Sequence[int]:
        """Which master jobs of a repository the service holds."""
        return self.store.masters(self.owner, repository)

    def master(self, repository: str, number: int) -> Master | None:
        """One master's record; None if the service does not know it."""
        return self.store.master(self.owner, repository, number)

    def snapshot(self, repository: str, master: int) -> MasterView | None:
        """A master and all of its jobs; None if the service does not know it."""
        store = self.store
        position, epoch = store.position(self.owner, repository), store.newest_epoch()
        record = store.master(self.owner, repository, master)
        if record is None:
            return None
        jobs = store.jobs(record, None)
        record = store.master(self.owner, repository, master) or record
        return MasterView(
            record=record,
            jobs={sub: as_update(sub, job) for sub, job in jobs.items()},
            final=final_of(record.attempt, record.status, record.results),
            position=position,
            epoch=epoch,
        )

    def job(self, repository: str, master: int, sub: int) -> Job | None:
        """One job with its evidence and history; None if the service does not know it."""
        record = self.store.master(self.owner, repository, master)
        return self.store.jobs(record, [sub]).get(sub) if record else None

    def jobs(self, master: Master, subs: Sequence[int]) -> Mapping[int, Job]:
        """Some jobs of a master, with their evidence and history."""
        return self.store.jobs(master, subs)

    def states(self, master: Master) -> Mapping[int, tuple[int, int, JobStatus]]:
        """(attempt, restart, status) of all jobs of a master, by sub id in order."""
        return self.store.states(master)

    def native_ids(self, master: Master, subs: Sequence[int]) -> Mapping[int, str]:
        """What the backend calls these subjobs."""
        return self.store.native_ids(master, subs)

    def queues(self) -> Sequence[str]:
        return self.store.queues()

    def leases(self, limit: int) -> Sequence[Lease]:
        """Claims under way, those that expire first."""
        return self.store.leases(limit)

    def lanes(self) -> Mapping[str, LaneRecord]:
        return {name: self.store.lane(name) for name in self.store.lanes()}

    def lane(self, name: str) -> LaneRecord:
        return self.store.lane(name)

    def lags(self, lane: str, last: int = LAGS) -> Sequence[float]:
        """The last detection lags of a lane: end at the backend to commit, seconds."""
        return self.store.lags(lane, last)

    def detections(self, lane: str) -> Sequence[Lag]:
        """The same, each with the interval that was in force."""
        return self.store.detections(lane)

    def budget(self, lane: str) -> tuple[float, int] | None:
        """(queries a second, queries at once) that a lane's budget allows; None: no budget."""
        return self.store.budget(lane)

    def slowest(self, lane: str) -> Mapping[int, float]:
        """Minute since the epoch -> seconds of its slowest query, the last two hours."""
        return self.store.slowest(lane)

    def owners(self, lane: str) -> Sequence[str]:
        """Who has or had jobs in a lane."""
        return self.store.owners(lane)

    def clock(self) -> float:
        """Seconds since the epoch, by the store's clock: that of the times in a LaneRecord."""
        return self.store.clock()

    def calls(self, lane: str) -> Mapping[int, tuple[int, float]]:
        """Minute since the epoch -> (queries, seconds they took), the last two hours."""
        return self.store.calls(lane)

    def depth(self, queue: str) -> tuple[int, int]:
        """(members waiting, claims under way) of a queue, e.g. ``poll.LANE``."""
        return self.store.depth(queue)

    def dead(self) -> Sequence[DeadLetter]:
        """What was set aside, oldest first; taken back by a Retry command."""
        return self.store.dead(self.owner)

    def census(self) -> Census:
        """All that is counted of the whole cell, of every owner. Raises StoreUnavailable."""
        return self.store.census()

    def tick_age(self) -> float | None:
        return self.store.tick_age()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:  # acknowledged meanwhile, by another session
        return ""
