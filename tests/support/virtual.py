"""Virtual time: the real services over a store in memory, with clocks that jump from one event to
the next. What is measured depends on the code, and on no machine."""

from __future__ import annotations

import heapq
import itertools
import random
import types
from collections.abc import Callable, Mapping, Sequence

import fakeredis
import fakeredis.commands_mixins.server_mixin
import pytest

from gangamon.domain.lane import Lane
from gangamon.domain.observation import Observation, Seen
from gangamon.domain.status import JobStatus
from gangamon.protocols import Claim, Limits, PollItem
from gangamon.services import query
from gangamon.services.alarm import Alarm
from gangamon.services.due import Capacity, Dispatcher
from gangamon.services.leases import LeaseKeeper
from gangamon.services.poll import Poll
from gangamon.store.inbox import ClientStore
from gangamon.store.redis import RedisStore
from tests.support.commands import LANE, OWNER, enqueue, register, spec

LEASE = 1e9


class Time:
    """A clock for Redis and services, and what is to happen. It begins at a whole second."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.at = 1_800_000_000.0
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        shown = types.SimpleNamespace(time=self.now, monotonic=self.now)
        patch.setattr(fakeredis.commands_mixins.server_mixin, "time", shown)
        patch.setattr(query, "time", shown)

    def now(self) -> float:
        return self.at

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        heapq.heappush(self._events, (self.at + seconds, next(self._order), call))

    def run(self, seconds: float) -> None:
        """All that happens within so many seconds."""
        end = self.at + seconds
        while self._events and self._events[0][0] <= end:
            at, _, call = heapq.heappop(self._events)
            self.at = max(self.at, at)
            call()
        self.at = max(self.at, end)


class VirtualAlarm(Alarm):
    """The alarm of one process."""

    def __init__(self, time: Time) -> None:
        super().__init__()
        self._time = time
        self._set: dict[str, float] = {}

    def set(self, name: str, seconds: float, call: Callable[[], object]) -> None:
        at = self._time.at + seconds
        if at < self._set.get(name, float("inf")):
            self._set[name] = at
            self._time.after(seconds, lambda: self._ring(name, at, call))

    def _ring(self, name: str, at: float, call: Callable[[], object]) -> None:
        if self._set.get(name) == at:
            del self._set[name]
            call()


class Timed:
    """A backend that answers after ``cost`` seconds. ``costs``: those of its next answers, where
    they are others. ``ends``: when jobs end, by sub; those that are not in it never do. ``asked``:
    when each query came."""

    name = "Local"

    def __init__(self, time: Time, limits: Limits, cost: float) -> None:
        self.limits = limits
        self.costs: list[float] = []
        self.ends: dict[int, float] = {}
        self.asked: list[float] = []
        self._time, self._cost = time, cost

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        self.asked.append(self._time.at)
        self._time.run(self.costs.pop(0) if self.costs else self._cost)
        return {item.key: self._seen(int(item.fqid.partition(".")[2])) for item in items}

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        raise AssertionError("no job is ever absent")

    def _seen(self, sub: int) -> Seen:
        end = self.ends.get(sub)
        if end is not None and end <= self._time.at:
            return Seen("CD", JobStatus.COMPLETED, "timed", ended_at=end, exit_code=0)
        return Seen("R", JobStatus.RUNNING, "timed")


class Lanes:
    """One lane and so many worker processes, each with threads and an alarm of its own; and ticks.
    ``wire``: seconds that a message is under way."""

    def __init__(
        self,
        patch: pytest.MonkeyPatch,
        limits: Limits,
        *,
        processes: int = 1,
        cost: float = 0.02,
        tick: float = 1.0,
        wire: float = 0.01,
    ) -> None:
        self.time = Time(patch)
        self.backend = Timed(self.time, limits, cost)
        memory = fakeredis.FakeRedis(decode_responses=True, protocol=2)
        self.store = RedisStore("", "gm", connection=memory)
        self.client = ClientStore("", "gm", connection=memory)
        self._tick, self._wire = tick, wire
        self._workers = [self._worker() for _ in range(processes)]
        self._turn = itertools.count()
        self.store.register(OWNER, register("/data"))

    def _worker(self) -> tuple[Dispatcher, Poll]:
        capacity = Capacity(1, 1, LEASE)
        alarm = VirtualAlarm(self.time)
        dispatcher = Dispatcher(self.store, self, lambda _: self.backend, capacity, alarm)
        keeper = LeaseKeeper(self.store, LEASE)
        return dispatcher, Poll(self.store, keeper, dispatcher, lambda _: self.backend, self.time)

    def send(self, claim: Claim) -> None:
        """See TaskQueue. The processes take turns; their other queues are not worked."""
        if claim.queue.startswith("poll."):
            _, poll = self._workers[next(self._turn) % len(self._workers)]
            self.time.after(self._wire, lambda: poll.run(claim.token, "w"))

    def add(self, jobs: int, size: int) -> None:
        """A master of so many jobs, in batches. A native id is the number of the job."""
        for first in range(0, jobs, size):
            specs = [spec(n, native_id=str(n)) for n in range(first, min(first + size, jobs))]
            assert not self.store.enqueue(OWNER, "", enqueue(specs, f"e{first}", 7, jobs))

    def run(self, seconds: float) -> None:
        """Ticks come late, and never quite at the same distance."""
        dispatcher, _ = self._workers[0]
        luck = random.Random(1)

        def tick() -> None:
            dispatcher.push([f"poll.{LANE}"])
            self.time.after(self._tick * luck.uniform(1.0, 1.1), tick)

        self.time.after(0.0, tick)
        self.time.run(seconds)
