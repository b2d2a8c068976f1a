"""Merges: where they grow while jobs run, when the next slice is due, how far they are."""

from __future__ import annotations

from gangamon.errors import LeaseLost
from gangamon.protocols import Master, Written
from gangamon.store.base import StoreBase
from gangamon.store.connection import translated

#: Seconds until a merge that another worker does now is looked after again.
LATER = 5.0


class Growth(StoreBase):
    """See ``protocols.JobStore``: growing, note_merging, woken, grown."""

    def growing(self, master: Master, target: str) -> None:
        name = f"{master.owner}:{master.repository}:{master.id}"
        with translated(self.url):
            self._redis.hset(self.keys.of("grown", master.owner), name, target)

    def note_merging(
        self, token: str, member: str, master: Master, done: int, whole: Written
    ) -> None:
        claim = self.keys.of("claim", token)
        base = self.keys.master(master.owner, master.repository, master.id)
        given: list[str | int | float] = [token, member, done, whole.files, whole.bytes]
        if self._run("merging", [claim, base], given) == -1:
            raise LeaseLost(f"claim {token} no longer holds {member}")

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
