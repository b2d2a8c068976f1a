"""What queries teach about a lane, the detection lags, and the age of the last tick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from gangamon.protocols import Asked, Lag, LaneRecord
from gangamon.store.base import StoreBase
from gangamon.store.connection import translated
from gangamon.store.counted import lag_counts

#: Detection lags kept per lane.
LAGS = 10_000

#: Minutes for which queries are counted.
KEPT = 120

#: Batches that one script makes due where a lane is resumed, under 2 ms: 10,000 took Redis 21 ms.
RESUMED = 1000


class Lanes(StoreBase):
    """See ``protocols.JobStore``: lane, note_query, note_tick; and what views read of them."""

    def lane(self, name: str) -> LaneRecord:
        with translated(self.url):
            found = cast("dict[str, str]", self._redis.hgetall(self.keys.of("lane", name)))
        return lane_record(found)

    def note_query(
        self,
        name: str,
        at: float,
        interval: float,
        query: float,
        asked: Asked,
        lags: Sequence[Lag],
    ) -> None:
        key = self.keys.of("lane", name)
        with translated(self.url):
            pipe = self._redis.pipeline(transaction=False)
            pipe.hset(
                key,
                mapping={"interval": interval, "query": query, "failures": 0, "asked_at": at},
            )
            pipe.hdel(key, "open_until", "error")
            if lags:
                pipe.lpush(self.keys.of("lags", name), *map(_dump, lags))
                pipe.ltrim(self.keys.of("lags", name), 0, LAGS - 1)
            for field, count in lag_counts(name, lags).items():
                pipe.hincrbyfloat(self.keys.of("counted"), field, count)
            pipe.execute()
        self._count(name, asked)

    def note_failure(self, name: str, error: str, asked: Asked) -> int:
        key = self.keys.of("lane", name)
        with translated(self.url):
            pipe = self._redis.pipeline(transaction=False)
            pipe.hincrby(key, "failures", 1)
            pipe.hset(key, "error", error[:500])
            pipe.hincrby(self.keys.of("counted"), f"failures:{name}", 1)
            failures = int(pipe.execute()[0])
        self._count(name, asked)
        return failures

    def note_unasked(self, name: str) -> None:
        self._count(name, Asked(0, 0.0, 0.0))

    def _count(self, name: str, asked: Asked) -> None:
        self._run(
            "count",
            [
                self.keys.of("calls", name),
                self.keys.of("budget", name),
                self.keys.of("counted"),
            ],
            [asked.queries, round(asked.seconds, 4), round(asked.slowest, 4), KEPT, name],
        )

    def calls(self, name: str) -> Mapping[int, tuple[int, float]]:
        """Minute since the epoch -> (queries, seconds they took) of a lane, the last two hours."""
        found = self._counted(name)
        return {
            int(minute): (int(count), float(found.get(f"s:{minute}", 0)))
            for minute, count in sorted(found.items())
            if minute.isdecimal()
        }

    def slowest(self, name: str) -> Mapping[int, float]:
        """Minute since the epoch -> seconds of its slowest query, the last two hours."""
        found = self._counted(name)
        return {int(key[2:]): float(text) for key, text in found.items() if key[:2] == "m:"}

    def _counted(self, name: str) -> dict[str, str]:
        with translated(self.url):
            found = cast("dict[str, str]", self._redis.hgetall(self.keys.of("calls", name)))
            newest = self._now_ms() // 60_000
        return {
            key: text for key, text in found.items() if newest - int(key.rpartition(":")[2]) < KEPT
        }

    def budget(self, name: str) -> tuple[float, int] | None:
        """(queries a second, queries at once that a full one bears) of a lane; None: it has none,
        or nothing was asked yet."""
        with translated(self.url):
            rate, burst = cast(
                "list[str | None]",
                self._redis.hmget(self.keys.of("budget", name), "rate", "burst"),
            )
        return (float(rate), int(burst)) if rate and burst else None

    def open_breaker(self, name: str, seconds: float) -> None:
        with translated(self.url):
            until = self._now_ms() + round(seconds * 1000)
            self._redis.hset(self.keys.of("lane", name), "open_until", until)

    def pause(self, name: str, why: str, probe_in: float | None) -> None:
        wait = "" if probe_in is None else str(round(probe_in * 1000))
        self._run("pause", [self.keys.of("lane", name)], [why, wait])

    def resume(self, name: str, probed: bool = False) -> None:
        queue = f"poll.{name}"
        keys = [self.keys.of("lane", name), self.keys.of("ring", queue)]
        arguments = [self.keys.of("due", queue, ""), "1" if probed else "0", RESUMED]
        # The pause ends with the last call: one that is cut short is a pause that goes on.
        while self._run("resume", keys, arguments):
            pass

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

    def clock(self) -> float:
        """Seconds since the epoch, Redis's clock."""
        with translated(self.url):
            return self._now_ms() / 1000

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

    def lags(self, name: str, last: int = LAGS) -> Sequence[float]:
        """The last detection lags of a lane (seconds, newest first): from the job's end at the
        backend to the commit that noticed it."""
        with translated(self.url):
            found = cast("list[str]", self._redis.lrange(self.keys.of("lags", name), 0, last - 1))
        return [float(lag.partition(":")[0]) for lag in found]

    def detections(self, name: str) -> Sequence[Lag]:
        """The same with the interval that was in force, where the job had been asked about."""
        with translated(self.url):
            found = cast("list[str]", self._redis.lrange(self.keys.of("lags", name), 0, -1))
        pairs = [lag.partition(":") for lag in found]
        return [Lag(float(s), float(interval) if interval else None) for s, _, interval in pairs]

    def depth(self, queue: str) -> tuple[int, int]:
        """(waiting, claims under way) of a queue."""
        with translated(self.url):
            rings = self._redis.zrange(self.keys.of("ring", queue), 0, -1)
            pipe = self._redis.pipeline()  # at one moment: a member is in one place or the other
            pipe.zcard(self.keys.of("slots", queue))
            pipe.zcard(self.keys.due(queue))
            for owner in rings:
                pipe.zcard(self.keys.of("due", queue, owner))
            claims, *waiting = pipe.execute()
        return sum(waiting), int(claims)


def lane_record(fields: Mapping[str, str]) -> LaneRecord:
    """Of the fields of P:lane:LANE."""
    return LaneRecord(
        interval=_number(fields, "interval"),
        query=float(fields.get("query", 0)),
        failures=int(fields.get("failures", 0)),
        asked_at=_number(fields, "asked_at"),
        error=fields.get("error", ""),
        paused=fields.get("paused", ""),
        open_until=_number(fields, "open_until", 1000.0),
        probe_at=_number(fields, "probe_at", 1000.0),
        batches=int(fields.get("batches", 0)),
    )


def _dump(lag: Lag) -> str:
    interval = "" if lag.interval is None else f":{lag.interval:.3f}"
    return f"{lag.seconds:.4f}{interval}"


def _number(fields: Mapping[str, str], name: str, scale: float = 1.0) -> float | None:
    return float(fields[name]) / scale if fields.get(name) else None
