"""What queries teach about a lane, the detection lags, and the age of the last tick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, cast

from gangamon.protocols import LaneRecord
from gangamon.store.base import StoreBase
from gangamon.store.connection import translated

#: Detection lags kept per lane.
LAGS = 10_000


class Lanes(StoreBase):
    """See ``protocols.JobStore``: lane, note_query, note_tick; and what views read of them."""

    def lane(self, name: str) -> LaneRecord:
        with translated(self.url):
            found = cast("dict[str, str]", self._redis.hgetall(self.keys.of("lane", name)))
        return LaneRecord(
            interval=float(found["interval"]) if found.get("interval") else None,
            query=float(found.get("query", 0)),
            failures=int(found.get("failures", 0)),
            asked_at=float(found["asked_at"]) if found.get("asked_at") else None,
            error=found.get("error", ""),
        )

    def note_query(self, name: str, record: LaneRecord, lags: Sequence[float]) -> None:
        fields: dict[Any, Any] = {
            key: "" if value is None else value for key, value in asdict(record).items()
        }
        with translated(self.url):
            pipe = self._redis.pipeline(transaction=False)
            pipe.hset(self.keys.of("lane", name), mapping=fields)
            if lags:
                pipe.lpush(self.keys.of("lags", name), *(f"{lag:.4f}" for lag in lags))
                pipe.ltrim(self.keys.of("lags", name), 0, LAGS - 1)
            pipe.execute()

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
            pipe = self._redis.pipeline(transaction=False)
            pipe.zcard(self.keys.due(queue))
            pipe.zcard(self.keys.of("slots", queue))
            waiting, claims = pipe.execute()
        return int(waiting), int(claims)
