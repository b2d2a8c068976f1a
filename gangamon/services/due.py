"""From what is due to hints on the queue: claims under leases, as many as the slots allow."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gangamon.domain.command import BATCH_SIZE
from gangamon.domain.lane import Lane
from gangamon.errors import BadInput
from gangamon.protocols import Backend, JobStore, TaskQueue

#: Members of one claim of the fetch queue: files are small far more often than not.
FETCHES = 10


@dataclass(frozen=True)
class Capacity:
    """How much may be claimed at once. Slots bound the queue's length: back-pressure."""

    fetch_slots: int
    stage_slots: int
    lease: float


class Dispatcher:
    """Claims what is due and sends a hint for each claim. Safe to run anywhere, any time."""

    def __init__(
        self,
        store: JobStore,
        queue: TaskQueue,
        backend: Callable[[str], Backend],
        capacity: Capacity,
    ) -> None:
        self._store = store
        self._queue = queue
        self._backend = backend
        self._capacity = capacity

    def push(self, queues: Iterable[str]) -> int:
        """Claim and send all that is due in ``queues``, up to their slots; claims sent."""
        sent = 0
        for queue in dict.fromkeys(queues):
            members, slots = self._bounds(queue)
            while claim := self._store.claim(queue, members, self._capacity.lease, slots):
                self._queue.send(claim)
                sent += 1
        return sent

    def _bounds(self, queue: str) -> tuple[int, int]:
        kind, _, rest = queue.partition(".")
        if kind == "poll":
            try:
                limits = self._backend(Lane.parse(rest).backend).limits
            except BadInput:
                return 1, 0  # its plugin is not installed here: another host may have it
            return max(1, math.ceil(limits.jobs / BATCH_SIZE)), limits.slots
        if kind == "fetch":
            return FETCHES, self._capacity.fetch_slots
        return 1, self._capacity.stage_slots
