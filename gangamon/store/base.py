"""What every part of the store shares: the connection, the keys, the verbs."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import redis

from gangamon import redis_url
from gangamon.protocols import Master
from gangamon.store.connection import check_schema, connect, translated
from gangamon.store.keys import Keys
from gangamon.store.life import Life
from gangamon.store.scripts import Scripts, text


class StoreBase:
    """One connection pool, safe between threads and across forks."""

    #: Whether this is the service, which begins a new epoch after a fail-over.
    serves = False

    def __init__(self, url: str, prefix: str = "gm", connection: redis.Redis | None = None) -> None:
        self.url = url
        self.keys = Keys(prefix)
        if connection is None:
            life = Life(self.keys, text("succeed"), redis_url.parse(url).sentinel)
            connection = connect(url, met=life.met if self.serves else None)
        self._redis = connection
        self._scripts = Scripts(self._redis)
        self._checked = False

    def _check(self) -> None:
        """Once in a process: SchemaMismatch if the store is newer than this version."""
        if not self._checked:
            with translated(self.url):
                check_schema(self._redis, self.keys)
            self._checked = True

    def epoch(self) -> str:
        self._check()
        with translated(self.url):
            found = self._redis.get(self.keys.of("epoch"))
            if found is None:
                self._redis.set(self.keys.of("epoch"), secrets.token_hex(4), nx=True)
                found = self._redis.get(self.keys.of("epoch"))
            return str(found)

    def journaled(self, journal: str) -> str:
        with translated(self.url):
            return str(self._redis.hget(self.keys.of("journaled"), journal) or "")

    def note_journaled(self, journal: str, mark: str) -> None:
        with translated(self.url):
            self._redis.hset(self.keys.of("journaled"), journal, mark)

    def _run(self, verb: str, keys: Sequence[str], args: Sequence[str | int | float]) -> Any:
        with translated(self.url):
            return self._scripts.run(verb, keys, args)

    def _master_keys(self, base: str) -> list[str]:
        return [base, f"{base}:spec", f"{base}:batch", f"{base}:state", f"{base}:facts"]

    def _claim_keys(self, token: str, queue: str) -> list[str]:
        return [
            self.keys.of("claim", token),
            self.keys.of("leases"),
            self.keys.of("slots", queue),
        ]

    def _queue_of(self, member: str, master: Master) -> str:
        """The queue that a batch (O:R:M:N) or a job's fetch (O:R:M:SUB@ATTEMPT) waits in."""
        return f"fetch.{master.owner}" if "@" in member else f"poll.{master.lane}"
