"""From what is due to hints on the queue: claims under leases, as many as the slots allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gangamon.domain.command import BATCH_SIZE
from gangamon.domain.lane import Lane
from gangamon.errors import BadInput
from gangamon.protocols import Backend, JobStore, Polite, TaskQueue

#: Members of one claim of the fetch queue: files are small far more often than not.
FETCHES = 10


@dataclass(frozen=True)
class Capacity:
    """How much may be claimed at once. Slots bound the queue's length: back-pressure."""

    fetch_slots: int
    stage_slots: int
    lease: float
    poll_threads: int = 8


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
            members, slots, polite = self._bounds(queue)
            lease = self._capacity.lease
            while claim := self._store.claim(queue, members, lease, slots, polite):
                self._queue.send(claim)
                sent += 1
        return sent

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
            return max(1, limits.jobs // BATCH_SIZE), limits.slots, polite
        if kind == "fetch":
            return FETCHES, self._capacity.fetch_slots, None
        return 1, self._capacity.stage_slots, None
