"""What queries teach about a lane, the detection lags, and the age of the last tick."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

from gangamon.protocols import LaneRecord
from gangamon.store.base import StoreBase
from gangamon.store.connection import translated

#: Detection lags kept per lane.
LAGS = 10_000

#: Minutes for which queries are counted.
KEPT = 120


class Lanes(StoreBase):
    """See ``protocols.JobStore``: lane, note_query, note_tick; and what views read of them."""

    def lane(self, name: str) -> LaneRecord:
        with translated(self.url):
            found = cast("dict[str, str]", self._redis.hgetall(self.keys.of("lane", name)))
        return LaneRecord(
            interval=_number(found, "interval"),
            query=float(found.get("query", 0)),
            failures=int(found.get("failures", 0)),
            asked_at=_number(found, "asked_at"),
            error=found.get("error", ""),
            paused=found.get("paused", ""),
            open_until=_number(found, "open_until", 1000.0),
            probe_at=_number(found, "probe_at", 1000.0),
        )

    def note_query(
        self,
        name: str,
        at: float,
        interval: float,
        query: float,
        queries: int,
        lags: Sequence[float],
    ) -> None:
        key, minute = self.keys.of("lane", name), int(time.time() // 60)
        with translated(self.url):
            pipe = self._redis.pipeline(transaction=False)
            pipe.hset(
                key,
                mapping={"interval": interval, "query": query, "failures": 0, "asked_at": at},
            )
            pipe.hdel(key, "open_until", "error")
            if queries > 1:  # the claim paid for one
                pipe.hincrbyfloat(self.keys.of("budget", name), "tokens", 1 - queries)
            self._count(pipe, name, minute, queries, query)
            if lags:
                pipe.lpush(self.keys.of("lags", name), *(f"{lag:.4f}" for lag in lags))
                pipe.ltrim(self.keys.of("lags", name), 0, LAGS - 1)
            pipe.execute()

    def note_failure(self, name: str, error: str, query: float) -> int:
        key, minute = self.keys.of("lane", name), int(time.time() // 60)
        with translated(self.url):
            pipe = self._redis.pipeline(transaction=False)
            pipe.hincrby(key, "failures", 1)
            pipe.hset(key, "error", error[:500])
            self._count(pipe, name, minute, 1, query)
            return int(pipe.execute()[0])

    def _count(self, pipe: Any, name: str, minute: int, queries: int, seconds: float) -> None:
        calls = self.keys.of("calls", name)
        pipe.hincrby(calls, str(minute), queries)
        pipe.hincrbyfloat(calls, f"s:{minute}", round(seconds * queries, 4))
        # Two hours are kept: one field of each kind falls out as one comes in.
        pipe.hdel(calls, str(minute - KEPT), f"s:{minute - KEPT}")

    def calls(self, name: str) -> Mapping[int, tuple[int, float]]:
        """Minute since the epoch -> (queries, seconds they took) of a lane, the last two hours."""
        with translated(self.url):
            found = cast("dict[str, str]", self._redis.hgetall(self.keys.of("calls", name)))
        newest = int(time.time() // 60)
        return {
            int(minute): (int(count), float(found.get(f"s:{minute}", 0)))
            for minute, count in sorted(found.items())
            if minute.isdecimal() and newest - int(minute) < KEPT
        }

    def open_breaker(self, name: str, seconds: float) -> None:
        with translated(self.url):
            until = self._now_ms() + round(seconds * 1000)
            self._redis.hset(self.keys.of("lane", name), "open_until", until)

    def pause(self, name: str, why: str, probe_in: float | None) -> None:
        with translated(self.url):
            probe = "" if probe_in is None else self._now_ms() + round(probe_in * 1000)
            self._redis.hset(self.keys.of("lane", name), mapping={"paused": why, "probe_at": probe})

    def resume(self, name: str) -> None:
        with translated(self.url):
            self._redis.hdel(
                self.keys.of("lane", name), "paused", "probe_at", "open_until", "failures"
            )

    def owners(self, name: str) -> Sequence[str]:
        """Owners that have or had batches in a lane."""
        with translated(self.url):
            found = cast(
                "list[str]", self._redis.zrange(self.keys.of("ring", f"poll.{name}"), 0, -1)
            )
        return sorted(found)

    def _now_ms(self) -> int:
        seconds, micro = self._redis.time()
        return seconds * 1000 + micro // 1000

    def note_tick(self) -> None:
        with translated(self.url):
            seconds, _ = self._redis.time()
            self._redis.set(self.keys.of("tick"), seconds)

    def tick_age(self) -> float | None:
        """Seconds since the last tick, by Redis's clock; None if there was none."""
        with translated(self.url):
            last = self._redis.get(self.keys.of("tick"))
            now, _ = self._redis.time()
        return now - float(str(last)) if last is not None else None

    def lanes(self) -> Sequence[str]:
        """Names of all lanes that have been asked or will be."""
        with translated(self.url):
            queues = cast("set[str]", self._redis.smembers(self.keys.of("queues")))
        return sorted(queue[5:] for queue in queues if queue.startswith("poll."))

    def lags(self, name: str) -> Sequence[float]:
        """The last detection lags of a lane (seconds, newest first): from the job's end at the
        backend to the commit that noticed it."""
        with translated(self.url):
            found = cast("list[str]", self._redis.lrange(self.keys.of("lags", name), 0, -1))
        return [float(lag) for lag in found]

    def depth(self, queue: str) -> tuple[int, int]:
        """(waiting, claims under way) of a queue."""
        with translated(self.url):
            rings = self._redis.zrange(self.keys.of("ring", queue), 0, -1)
            pipe = self._redis.pipeline(transaction=False)
            pipe.zcard(self.keys.of("slots", queue))
            pipe.zcard(self.keys.due(queue))
            for owner in rings:
                pipe.zcard(self.keys.of("due", queue, owner))
            claims, *waiting = pipe.execute()
        return sum(waiting), int(claims)


def _number(fields: Mapping[str, str], name: str, scale: float = 1.0) -> float | None:
    return float(fields[name]) / scale if fields.get(name) else None
