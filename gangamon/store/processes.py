"""Beats and workers that run, by their own word: what they must agree on, for the doctor."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import cast

from gangamon.protocols import ProcessRecord
from gangamon.store import codec
from gangamon.store.base import StoreBase
from gangamon.store.connection import translated

#: Seconds after which a process that has said nothing counts as gone, and its record is dropped.
GONE, KEPT = 60.0, 86400.0


class Processes(StoreBase):
    """Written by each process about itself."""

    def note_process(self, node: str, version: str, settings: Mapping[str, float]) -> None:
        """That it runs now. Raises StoreUnavailable."""
        key = self.keys.of("processes")
        with translated(self.url):
            before = time.time()
            seconds, micro = self._redis.time()
            at = seconds + micro / 1e6
            record = {
                "at": round(at, 3),
                "skew": round((before + time.time()) / 2 - at, 3),
                "version": version,
                "settings": dict(settings),
            }
            known = cast("dict[str, str]", self._redis.hgetall(key))
            old = [name for name, text in known.items() if at - json.loads(text)["at"] > KEPT]
            pipe = self._redis.pipeline(transaction=False)
            pipe.hset(key, node, codec.dumps(record))
            if old:
                pipe.hdel(key, *old)
            pipe.execute()


def running(records: Mapping[str, str], now: float) -> Sequence[ProcessRecord]:
    """Those that are not gone, by name. ``now``: Redis's clock, seconds since the epoch."""
    found = []
    for node, text in sorted(records.items()):
        record = json.loads(text)
        if now - record["at"] <= GONE:
            found.append(ProcessRecord(node, record["skew"], record["version"], record["settings"]))
    return found
