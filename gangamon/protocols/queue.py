"""The queue: hints, and the clock."""

from __future__ import annotations

from typing import Protocol

from gangamon.protocols.records import Claim


class Clock(Protocol):
    """Seconds since the epoch, UTC. Deciders use it; leases use Redis's own time."""

    def now(self) -> float: ...


class TaskQueue(Protocol):
    """Sends hints. A lost message costs a lease, a doubled one is refused by ``begin``."""

    def send(self, claim: Claim) -> None: ...
