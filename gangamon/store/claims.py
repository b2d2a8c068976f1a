"""Claims: leases with a random token, begun once, renewed while worked on, rescued when expired."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from gangamon.domain.lane import Lane
from gangamon.errors import LeaseLost
from gangamon.protocols import Claim, Polite, Rescued
from gangamon.store.base import StoreBase
from gangamon.store.connection import translated

#: Leases of one member that may expire in a row before it is split or set aside.
STRIKES = 5


class Claims(StoreBase):
    """See ``protocols.JobStore``: queues, claim, ripe, begin, answered, next_in_line, renew,
    begun, abandon, postpone, drop, hasten, rescue."""

    def queues(self) -> Sequence[str]:
        with translated(self.url):
            return sorted(cast("set[str]", self._redis.smembers(self.keys.of("queues"))))

    def claim(
        self, queue: str, members: int, lease: float, slots: int, polite: Polite | None = None
    ) -> Claim | None:
        token = secrets.token_hex(8)
        if queue.startswith("poll."):
            answer = self._claim_poll(token, queue, members, lease, slots, polite or Polite(slots))
        else:
            answer = self._run(
                "claim",
                [
                    self.keys.due(queue),
                    self.keys.of("leases"),
                    self.keys.of("slots", queue),
                    self.keys.of("claim", token),
                ],
                [token, queue, members, round(lease * 1000), slots],
            )
        if not answer:
            return None
        return Claim(token, queue, tuple(answer[1:]), int(answer[0]))

    def _claim_poll(
        self, token: str, queue: str, members: int, lease: float, slots: int, polite: Polite
    ) -> list[Any]:
        name = queue.partition(".")[2]
        answer: list[Any] = self._run(
            "claim_poll",
            [
                self.keys.of("ring", queue),
                self.keys.of("leases"),
                self.keys.of("slots", queue),
                self.keys.of("claim", token),
                self.keys.endpoint(Lane.parse(name)),
                self.keys.of("budget", name),
                self.keys.of("lane", name),
            ],
            [
                token,
                queue,
                members,
                round(lease * 1000),
                slots,
                self.keys.of("b", ""),
                self.keys.of("due", queue, ""),
                polite.endpoint_slots,
                polite.rate,
                polite.burst,
            ],
        )
        return answer

    def ripe(self, queue: str, slots: int, polite: Polite) -> float | None:
        name = queue.partition(".")[2]
        wait = self._run(
            "ripe",
            [
                self.keys.of("ring", queue),
                self.keys.of("slots", queue),
                self.keys.endpoint(Lane.parse(name)),
                self.keys.of("budget", name),
                self.keys.of("lane", name),
                self.keys.of("wants", self.keys.endpoint(Lane.parse(name))),
            ],
            [
                self.keys.of("due", queue, ""),
                slots,
                polite.endpoint_slots,
                polite.rate,
                polite.burst,
                queue,
            ],
        )
        return None if wait < 0 else wait / 1000

    def begin(self, token: str, worker: str, lease: float) -> Claim | None:
        answer = self._run(
            "begin",
            [self.keys.of("claim", token), self.keys.of("leases")],
            [token, worker, round(lease * 1000), self.keys.of("slots", "")],
        )
        return Claim(token, answer[0], tuple(answer[1:]), len(answer) - 1) if answer else None

    def answered(self, token: str, queue: str) -> None:
        name = queue.partition(".")[2]
        self._run(
            "answered",
            [
                self.keys.of("claim", token),
                self.keys.of("slots", queue),
                self.keys.of("lane", name),
            ],
            [token],
        )

    def next_in_line(self, queue: str) -> Sequence[str]:
        endpoint = self.keys.endpoint(Lane.parse(queue.partition(".")[2]))
        with translated(self.url):
            found = cast(
                "list[tuple[str, float]]", self._redis.zpopmin(self.keys.of("wants", endpoint), 1)
            )
        return [name for name, _ in found]

    def begun(self) -> Mapping[str, str]:
        with translated(self.url):
            tokens = cast("list[str]", self._redis.zrange(self.keys.of("leases"), 0, -1))
            pipe = self._redis.pipeline(transaction=False)
            for token in tokens:
                pipe.hget(self.keys.of("claim", token), "by")
            return {token: by for token, by in zip(tokens, pipe.execute(), strict=True) if by}

    def abandon(self, tokens: Iterable[str]) -> None:
        ended = dict.fromkeys(tokens, 0)
        with translated(self.url):
            if ended:
                self._redis.zadd(self.keys.of("leases"), ended, xx=True)

    def renew(self, tokens: Iterable[str], lease: float) -> None:
        self._run(
            "renew",
            [self.keys.of("leases")],
            [round(lease * 1000), self.keys.of("claim", ""), self.keys.of("slots", ""), *tokens],
        )

    def rescue(self) -> Sequence[Rescued]:
        answer = self._run(
            "rescue",
            [self.keys.of("leases"), self.keys.of("dead"), self.keys.of("counted")],
            [
                100,
                self.keys.of("claim", ""),
                self.keys.of("slots", ""),
                self.keys.of("due", ""),
                self.keys.of("strikes", ""),
                STRIKES,
                self.keys.of("b", ""),
                self.keys.of("m", ""),
                self.keys.of("budget", ""),
            ],
        )
        triples = zip(answer[::3], answer[1::3], answer[2::3], strict=True)
        return [Rescued(queue, member, what) for queue, member, what in triples]

    def postpone(self, token: str, queue: str, member: str, wait: float) -> int:
        return self._put_off(token, queue, member, str(round(wait * 1000)))

    def drop(self, token: str, queue: str, member: str) -> None:
        self._put_off(token, queue, member, "")

    def hasten(self, queue: str, members: Sequence[str]) -> Sequence[str]:
        waiting = [self.keys.waiting(queue, member) for member in members]
        return [str(member) for member in self._run("hasten", waiting, list(members))]

    def tries(self, queue: str, member: str) -> int:
        with translated(self.url):
            return int(str(self._redis.hget(self.keys.of("tries", queue), member) or 0))

    def _put_off(self, token: str, queue: str, member: str, wait: str) -> int:
        tries = self._run(
            "postpone",
            [
                *self._claim_keys(token, queue),
                self.keys.waiting(queue, member),
                self.keys.of("tries", queue),
                self.keys.of("strikes", queue),
            ],
            [token, member, wait],
        )
        if tries == -1:
            raise LeaseLost(f"claim {token} no longer holds {member}")
        return int(tries)
