"""A census of the cell: what is waiting, under way, and counted. Nothing here writes.

Its cost grows with the lanes and the owners, not with the jobs: four round trips, none of which
holds Redis for long.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, cast

import redis

from gangamon.domain.lane import Lane
from gangamon.protocols import Budget, Census, LaneCensus, QueueCensus
from gangamon.store.base import StoreBase
from gangamon.store.connection import granted, translated
from gangamon.store.counted import Counted
from gangamon.store.lanes import lane_record
from gangamon.store.processes import running

#: Calls that are sent at once: some 2 ms of Redis.
CALLS = 1000


class Censuses(StoreBase):
    """What a client may read of the whole cell."""

    def census(self) -> Census:
        """Raises StoreUnavailable. What Redis's ACL does not let this user read is left out."""
        keys = self.keys
        with translated(self.url):
            pipe = self._redis.pipeline(transaction=False)
            pipe.time()
            pipe.get(keys.of("epoch"))
            pipe.get(keys.of("tick"))
            pipe.smembers(keys.of("queues"))
            pipe.smembers(keys.of("owners"))
            pipe.hgetall(keys.of("counted"))
            pipe.zcard(keys.of("leases"))
            pipe.hlen(keys.of("dead"))
            pipe.hgetall(keys.of("processes"))
            answers = granted(pipe.execute(raise_on_error=False))
            clock, epoch, tick, queues, owners, fields, leases, dead, said = answers
            now = clock[0] * 1000 + clock[1] // 1000
            server = self._server()
            lanes = sorted(queue[5:] for queue in queues or () if queue.startswith("poll."))
            stages = sorted(queue for queue in queues or () if not queue.startswith("poll."))
            celery = _celery_queues(lanes, stages)
            known = sorted(owners or ())
            expired, *lengths = self._each(
                [
                    ["ZCOUNT", keys.of("leases"), "-inf", now],
                    *(["XLEN", keys.inbox(owner)] for owner in known),
                    *(["LLEN", keys.of("celery", name)] for name in celery),
                ]
            )
            counted = Counted(fields or {})
            parts = [queue.partition(".")[::2] for queue in stages]
            return Census(
                at=now / 1000,
                epoch=epoch or "",
                tick_age=None if tick is None else max(0.0, now / 1000 - float(tick)),
                lanes=dict(zip(lanes, self._lanes(lanes, counted, now), strict=True)),
                stages=dict(zip(parts, self._queues(stages, now), strict=True)),
                inboxes=_lengths(known, lengths[: len(known)]),
                messages=_lengths(celery, lengths[len(known) :]),
                leases=leases or 0,
                expired=expired or 0,
                rescued=counted.rescued(),
                dead=dead or 0,
                processes=running(said or {}, now / 1000),
                server=server,
            )

    def _server(self) -> Mapping[str, str]:
        try:
            found = self._redis.info()
        except redis.ResponseError:  # an ACL that leaves INFO out
            return {}
        return {name: str(value) for name, value in found.items()}

    def _lanes(self, names: Sequence[str], counted: Counted, now: int) -> Iterator[LaneCensus]:
        """Each lane's queue is cut by owners: first who they are, then what waits of each."""
        keys = self.keys
        calls: list[list[str | int]] = []
        for name in names:
            calls += [
                ["HGETALL", keys.of("lane", name)],
                ["HMGET", keys.of("budget", name), "tokens", "at", "rate", "burst"],
                ["ZRANGE", keys.of("ring", f"poll.{name}"), 0, -1],
                ["ZCARD", keys.of("slots", f"poll.{name}")],
            ]
        found = iter(self._each(calls))
        rows = [(name, *islice(found, 4)) for name in names]
        parts = [(name, owner) for name, _, _, owners, _ in rows for owner in owners or ()]
        waiting: dict[str, tuple[int, float]] = {}
        for (name, _), (count, oldest) in zip(
            parts, self._waiting([f"poll.{n}:{owner}" for n, owner in parts], now), strict=True
        ):
            before = waiting.get(name, (0, 0.0))
            waiting[name] = (before[0] + count, max(before[1], oldest))
        for name, record, budget, _, claims in rows:
            count, overdue = waiting.get(name, (0, 0.0))
            yield LaneCensus(
                record=lane_record(_mapping(record)),
                queue=QueueCensus(count, claims or 0, overdue),
                budget=_budget(budget, now),
                jobs=counted.jobs(name),
                taken=counted.count("taken", name),
                moved=counted.by_status("moved", name),
                ended=counted.by_status("ended", name),
                queries=counted.count("queries", name),
                query_seconds=counted.seconds("query_seconds", name),
                failures=counted.count("failures", name),
                lag=counted.lag(name),
                lag_intervals=counted.lag_intervals(name),
                fetched=counted.written("fetched", name),
                merged=counted.written("merged", name),
            )

    def _queues(self, names: Sequence[str], now: int) -> Iterator[QueueCensus]:
        claims = self._each([["ZCARD", self.keys.of("slots", name)] for name in names])
        for under_way, (count, overdue) in zip(claims, self._waiting(names, now), strict=True):
            yield QueueCensus(count, under_way or 0, overdue)

    def _waiting(self, names: Sequence[str], now: int) -> Iterator[tuple[int, float]]:
        """(members, seconds for which the oldest is due) of each sorted set of due members."""
        calls: list[list[str | int]] = []
        for name in names:
            key = self.keys.of("due", name)
            calls += [["ZCARD", key], ["ZRANGE", key, 0, 0, "WITHSCORES"]]
        found = iter(self._each(calls))
        for count in found:
            first = next(found)
            due = float(_score(first)) if first else float(now)
            yield count or 0, max(0.0, (now - due) / 1000)

    def _each(self, calls: Sequence[Sequence[str | int]]) -> list[Any]:
        answers: list[Any] = []
        for first in range(0, len(calls), CALLS):
            pipe = cast(Any, self._redis.pipeline(transaction=False))
            for call in calls[first : first + CALLS]:
                pipe.execute_command(*call)
            answers += granted(pipe.execute(raise_on_error=False))
        return answers


def _lengths(names: Sequence[str], found: Sequence[int | None]) -> Mapping[str, int]:
    pairs = zip(names, found, strict=True)
    return {name: length for name, length in pairs if length is not None}


def _celery_queues(lanes: Sequence[str], stages: Sequence[str]) -> list[str]:
    """The names of Celery's queues: as ``dispatch.route`` sends to them, and the tick's."""
    polls = {f"poll.{Lane.parse(name).backend}" for name in lanes}
    owned = {queue.partition(".")[2] for queue in stages}
    pools = {f"{pool}.{owner}" for pool in ("transfer", "merge") for owner in owned}
    return sorted({"tick"} | polls | pools)


def _mapping(answer: Any) -> Mapping[str, str]:
    """HGETALL's answer, which the client makes a dict of or not."""
    if isinstance(answer, dict):
        return answer
    answer = answer or ()
    return dict(zip(answer[::2], answer[1::2], strict=True))


def _score(answer: Any) -> float:
    """Of the one member of a ZRANGE with scores: [(member, score)] or [member, score]."""
    last = answer[-1]
    return float(last[1] if isinstance(last, (tuple, list)) else last)


def _budget(answer: Sequence[str | None] | None, now: int) -> Budget | None:
    tokens, at, rate, burst = answer or (None,) * 4
    if not rate or not burst:
        return None
    refilled = float(tokens or burst) + float(rate) * max(0.0, now - float(at or now)) / 1000
    return Budget(min(float(burst), max(0.0, refilled)), float(rate), int(burst))
