"""Merges that grow while jobs run: what is in, where they lie, when the next slice is due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from gangamon.domain.job import decode_state
from gangamon.domain.status import JobStatus
from gangamon.errors import LeaseLost
from gangamon.protocols import Master
from gangamon.store.base import StoreBase
from gangamon.store.connection import translated

#: States read by one call: so many do not hold Redis.
PORTION = 1000

#: Seconds until a merge that another worker does now is looked after again.
LATER = 5.0


class Growth(StoreBase):
    """See ``protocols.JobStore``: states, growing, woken, grown."""

    def states(self, master: Master) -> Mapping[int, tuple[int, int, JobStatus]]:
        key = f"{self.keys.master(master.owner, master.repository, master.id)}:state"
        subs = list(map(str, range(master.total)))  # Ganga's numbers
        with translated(self.url):
            known, found = self._read(key, subs)
            if known > len(found) - found.count(None):  # others too: a job that was not split
                subs = sorted(cast("list[str]", self._redis.hkeys(key)), key=int)
                known, found = self._read(key, subs)
        return {int(s): decode_state(t) for s, t in zip(subs, found, strict=True) if t}

    def _read(self, key: str, subs: Sequence[str]) -> tuple[int, list[str | None]]:
        """How many there are, and the states of these."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.hlen(key)
        for first in range(0, len(subs), PORTION):
            pipe.hmget(key, list(subs[first : first + PORTION]))
        known, *portions = pipe.execute()
        return int(known), [state for portion in portions for state in portion]

    def growing(self, master: Master, target: str) -> None:
        name = f"{master.owner}:{master.repository}:{master.id}"
        with translated(self.url):
            self._redis.hset(self.keys.of("grown", master.owner), name, target)

    def woken(self, owner: str, repository: str, master: int) -> tuple[str, int]:
        with translated(self.url):
            pipe = self._redis.pipeline(transaction=False)
            pipe.hget(self.keys.of("grown", owner), f"{owner}:{repository}:{master}")
            pipe.hget(self.keys.master(owner, repository, master), "grow")
            place, count = pipe.execute()
        return str(place or ""), int(count or 0)

    def grown(self, token: str, member: str, count: int, more: float, wait: float | None) -> str:
        name = member.partition("@")[0]
        owner, repository, number = name.split(":")
        phase = self._run(
            "grown",
            [
                *self._claim_keys(token, f"grow.{owner}"),
                self.keys.due(f"grow.{owner}"),
                self.keys.of("strikes", f"grow.{owner}"),
                self.keys.master(owner, repository, int(number)),
                self.keys.of("grown", owner),
            ],
            [
                token,
                member,
                round(more * 1000),
                "" if wait is None else str(round(wait * 1000)),
                name,
                round(LATER * 1000),
                count,
            ],
        )
        if phase == -1:
            raise LeaseLost(f"claim {token} no longer holds {member}")
        return str(phase)
