"""The services over a store in memory (fakeredis: the same Lua), with all else scripted."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import fakeredis
import redis

from gangamon import postprocess, settings
from gangamon.client import Client
from gangamon.domain.command import Command, MergerSpec
from gangamon.domain.job import Job
from gangamon.domain.status import JobStatus
from gangamon.domain.wire import to_wire
from gangamon.errors import BadInput
from gangamon.protocols import Backend, Claim, Journal
from gangamon.services.check import Check
from gangamon.services.due import Capacity, Dispatcher
from gangamon.services.fetch import Fetch
from gangamon.services.intake import Intake
from gangamon.services.leases import LeaseKeeper
from gangamon.services.merge import Merge
from gangamon.services.notify import Notify
from gangamon.services.poll import Poll
from gangamon.services.tick import Tick
from gangamon.store.inbox import ClientStore
from gangamon.store.journal import FileJournal
from gangamon.store.redis import RedisStore
from gangamon.views import jobs as views
from tests.support.backend import (
    ScriptedBackend,
    ScriptedFetcher,
    ScriptedMerger,
    ScriptedNotifier,
)
from tests.support.commands import LANE, OWNER, REPOSITORY, enqueue, register, the_master
from tests.support.waiting import until

POLL = f"poll.{LANE}"
FETCH = f"fetch.{OWNER}"
MERGE = f"merge.{OWNER}"
CHECK = f"check.{OWNER}"
NOTIFY = f"notify.{OWNER}"


class SetClock:
    """A clock that stands until it is moved."""

    def __init__(self, at: float = 1000.0) -> None:
        self.at = at

    def now(self) -> float:
        return self.at


class Sent:
    """A TaskQueue that keeps the claims; a test works them when it wants."""

    def __init__(self) -> None:
        self.claims: list[Claim] = []

    def send(self, claim: Claim) -> None:
        self.claims.append(claim)

    def take(self, queue: str) -> Claim:
        """The oldest claim of a queue."""
        claim = next(c for c in self.claims if c.queue == queue)
        self.claims.remove(claim)
        return claim

    def queues(self) -> list[str]:
        return [claim.queue for claim in self.claims]


class Rig:
    """All services, wired as ``workers.app`` does. The roots are ``folder``."""

    def __init__(
        self,
        folder: Path,
        lease: float = 3600.0,
        notify: str = "",
        webhook: str = "",
        connection: redis.Redis | None = None,
    ) -> None:
        self.folder = folder
        self.redis = connection or fakeredis.FakeRedis(decode_responses=True, protocol=2)
        self.store = RedisStore("", "gm", connection=self.redis)
        self.inbox = ClientStore("", "gm", connection=self.redis)
        self.clock = SetClock()
        self.sent = Sent()
        self.backend = ScriptedBackend()
        self.fetcher = ScriptedFetcher()
        self.merger = ScriptedMerger()
        self.notifier = ScriptedNotifier()
        self.problems: list[str] = []
        self.journal: Journal = FileJournal(folder / "journal")
        self.keeper = LeaseKeeper(self.store, lease)
        self.dispatcher = Dispatcher(self.store, self.sent, self.load, Capacity(4, 4, lease))
        self.intake = self.new_intake(self.journal)
        self.tick = Tick(self.store, self.intake, self.dispatcher)
        self.poll = Poll(self.store, self.keeper, self.dispatcher, self.load, self.clock)
        self.fetch = Fetch(
            self.store,
            self.keeper,
            self.dispatcher,
            lambda _: self.fetcher,
            postprocess.checker,
            3,
            self.clock,
            notifier=lambda _: self.notifier,
        )
        self.merge = Merge(self.store, self.keeper, self.dispatcher, lambda _: self.merger)
        self.check = Check(
            self.store,
            self.keeper,
            self.dispatcher,
            lambda _: self.problems,
            postprocess.checker,
        )
        self.notify = Notify(
            self.store, self.keeper, self.dispatcher, notify, webhook, lambda _: self.notifier
        )

    def new_intake(self, journal: Journal, store: RedisStore | None = None) -> Intake:
        return Intake(
            store or self.store,
            journal,
            lambda: ["Local"],
            lambda: ["TextMerger"],
            postprocess.checkers,
            self.clock,
            lambda: ["Notifier"],
        )

    def load(self, name: str) -> Backend:
        if name != "Local":
            raise BadInput([f"backend: got {name!r}; accepted: Local"])
        return self.backend

    # --- commands ---------------------------------------------------------------------------

    def send(self, *commands: Command | Mapping[str, Any] | str, owner: str = OWNER) -> None:
        """Append to the inbox, as a client would, or as none should."""
        bodies: list[str] = []
        for command in commands:
            if isinstance(command, str):
                bodies.append(command)
            else:
                body = command if isinstance(command, Mapping) else to_wire(command)
                bodies.append(json.dumps(body))
        self.inbox.send(owner, bodies)

    def begin(self, jobs: int, mergers: tuple[MergerSpec, ...] = (), **given: Any) -> None:
        """Take in one master with so many subjobs, of which nothing is claimed yet."""
        self.store.register(OWNER, register(str(self.folder)))
        command = enqueue(jobs, mergers=mergers, workspace=f"{self.folder}/7", **given)
        assert not self.store.enqueue(OWNER, "", command)

    # --- work -------------------------------------------------------------------------------

    def claim(self, queue: str) -> Claim:
        """What is sent of a queue, waiting until it is due."""

        def sent() -> Claim | None:
            self.dispatcher.push([queue])
            return self.sent.take(queue) if queue in self.sent.queues() else None

        found = until(
            sent,
            60,
            f"{queue} is due",
            lambda: f"waiting, claims: {self.depth(queue)}; sent: {self.sent.queues()}",
        )
        assert found is not None
        return found

    def ask(self) -> int:
        """One query of the lane, as soon as it is due."""
        self.hurry(POLL)
        return self.poll.run(self.claim(POLL).token, "w1")

    def hurry(self, queue: str) -> None:
        """All that waits in a queue is due now."""
        for owner in (None, *map(str, self.redis.zrange(self.store.keys.of("ring", queue), 0, -1))):
            due = self.store.keys.of("due", queue, owner) if owner else self.store.keys.due(queue)
            for member in self.redis.zrange(due, 0, -1):
                self.redis.zadd(due, {str(member): 0})

    def fetch_all(self) -> None:
        while self.redis.zcard(self.store.keys.due(FETCH)) or FETCH in self.sent.queues():
            self.hurry(FETCH)
            self.fetch.run(self.claim(FETCH).token, "w1")

    # --- what came of it --------------------------------------------------------------------

    def job(self, sub: int = 0) -> Job:
        return self.store.jobs(the_master(self.store), [sub])[sub]

    def statuses(self) -> list[JobStatus]:
        jobs = self.store.jobs(the_master(self.store), None)
        return [jobs[sub].status for sub in sorted(jobs)]

    def depth(self, queue: str) -> tuple[int, int]:
        """(waiting, claims under way)."""
        return self.inbox.depth(queue)

    def updates(self, kind: str, repository: str = REPOSITORY) -> list[dict[str, str]]:
        found = self.inbox.updates(OWNER, repository, "0", 10_000, 0)
        return [dict(fields) for _, fields in found if fields["k"] == kind]

    def answers(self, repository: str = REPOSITORY) -> list[tuple[str, str]]:
        """(command id, why not) of each acknowledgement."""
        return [(ack["id"], ack["why"]) for ack in self.updates("a", repository)]


def content(store: RedisStore, masters: Sequence[int] = (7,)) -> dict[int, object]:
    """All that the store knows of some masters, to compare with what it knew before."""
    found: dict[int, object] = {}
    for number in masters:
        master = store.master(OWNER, REPOSITORY, number)
        if master is None:
            found[number] = None
            continue
        jobs = store.jobs(master, None)
        counts = {status: n for status, n in master.counts.items() if n}
        base = store.keys.master(OWNER, REPOSITORY, number)
        specs = store._redis.hgetall(f"{base}:spec")
        fields = (master.total, master.name, master.lane, master.workspace, master.mergers)
        found[number] = (fields, master.roots, counts, jobs, specs)
    return found


def client_of(rig: Rig, folder: Path) -> Client:
    """A client of OWNER's that reads the rig's store."""
    nowhere = "redis://127.0.0.1:1/0"
    environ = {
        "GANGAMON_STATE_DIR": str(folder / "state"),
        "GANGAMON_OWNER": OWNER,
        "GANGAMON_CONFIG": os.devnull,
        "GANGAMON_REDIS_URL": nowhere,
    }
    made = Client(settings.load(environ))
    made._store = ClientStore(nowhere, "gm", connection=rig.redis)
    return made


def why(rig: Rig, folder: Path, sub: int = 0) -> str:
    """What ``gangamon why`` prints of a subjob, or (-1) of the master."""
    client = client_of(rig, folder)
    found = views.look(client, REPOSITORY, 7, sub)
    assert found is not None
    return "\n".join(views.why(client, found))
