"""From what is due to hints on the queue: claims under leases, as many as the slots allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gangamon.domain.command import BATCH_SIZE
from gangamon.domain.lane import Lane
from gangamon.errors import BadInput
from gangamon.protocols import Backend, JobStore, Limits, Polite, TaskQueue
from gangamon.services.alarm import Alarm

#: A lane is not looked at by an alarm more often than this, seconds; nor is one set for later: the
#: ticks until then come sooner.
SOONEST, LATEST = 0.01, 60.0

#: Members of one claim of the fetch queue: files are small far more often than not. One more claim
#: is asked for while one comes (fetchers/sessions.py), so that a far host is never waited for.
FETCHES = 10


@dataclass(frozen=True)
class Capacity:
    """How much may be claimed at once. The slots of a stage bound what waits for its workers:
    back-pressure, that of a lane what is asked at once (``Limits``)."""

    fetch_slots: int
    stage_slots: int
    lease: float
    poll_threads: int = 8


class Dispatcher:
    """Claims what is due and sends a hint for each claim. Safe to run anywhere, any time.

    With an ``alarm`` a lane is pushed again by itself as soon as something in it is due and its
    budget bears a query: its lag and its use of the budget do not depend on the ticks.
    """

    def __init__(
        self,
        store: JobStore,
        queue: TaskQueue,
        backend: Callable[[str], Backend],
        capacity: Capacity,
        alarm: Alarm | None = None,
    ) -> None:
        self._store = store
        self._queue = queue
        self._backend = backend
        self._capacity = capacity
        self._alarm = alarm

    def push(self, queues: Iterable[str]) -> int:
        """Claim and send all that is due in ``queues``, up to their slots; claims sent."""
        sent = 0
        for queue in dict.fromkeys(queues):
            members, slots, polite = self._bounds(queue)
            lease = self._capacity.lease
            while claim := self._store.claim(queue, members, lease, slots, polite):
                self._queue.send(claim)
                sent += 1
            if polite is not None and self._alarm is not None:
                self._wake(self._alarm, queue, slots, polite)
        return sent

    def _wake(self, alarm: Alarm, queue: str, slots: int, polite: Polite) -> None:
        wait = self._store.ripe(queue, slots, polite)
        if wait is not None and wait <= LATEST:
            alarm.set(queue, max(wait, SOONEST), lambda: self.push([queue]))

    def _bounds(self, queue: str) -> tuple[int, int, Polite | None]:
        kind, _, rest = queue.partition(".")
        if kind == "poll":
            try:
                limits = self._backend(Lane.parse(rest).backend).limits
            except BadInput:
                return 1, 0, None  # its plugin is not installed here: another host may have it
            # An endpoint that hangs must leave threads for the others.
            endpoint = min(limits.endpoint_slots, max(1, self._capacity.poll_threads // 2))
            polite = Polite(endpoint, limits.rate, limits.burst)
            return members_of(limits), limits.slots, polite
        if kind == "fetch":
            return FETCHES, self._capacity.fetch_slots, None
        if kind == "grow":  # few wait at a time: what has ended comes soon
            return 1, max(1, self._capacity.stage_slots // 4), None
        return 1, self._capacity.stage_slots, None


def members_of(limits: Limits) -> int:
    """Batches of one query."""
    return max(1, limits.jobs // BATCH_SIZE)
