"""The client's side of Redis: append to the owner's inbox, read the owner's updates.

These calls touch no key but the owner's own, so that an ACL can hold a client to them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from gangamon.store.census import Censuses
from gangamon.store.connection import translated
from gangamon.store.dead import Dead
from gangamon.store.lanes import Lanes
from gangamon.store.reads import Reads


class ClientStore(Reads, Lanes, Dead, Censuses):
    """What a client may do: send commands, follow updates, read."""

    def send(self, owner: str, commands: Sequence[str]) -> Sequence[str]:
        """Append raw commands in order; their entry ids."""
        with translated(self.url):
            pipe = self._redis.pipeline(transaction=True)
            pipe.sadd(self.keys.of("owners"), owner)
            for command in commands:
                pipe.xadd(self.keys.inbox(owner), {"c": command})
            return cast("list[str]", pipe.execute()[1:])

    def waiting(self, owner: str, entries: Sequence[str]) -> set[str]:
        """Which of these entries still wait in the inbox."""
        with translated(self.url):
            pipe = self._redis.pipeline(transaction=False)
            for entry in entries:
                pipe.xrange(self.keys.inbox(owner), entry, entry)
            return {entry for entry, found in zip(entries, pipe.execute(), strict=True) if found}

    def position(self, owner: str, repository: str) -> str:
        """The id of the newest update, ``0`` if there is none."""
        with translated(self.url):
            found = cast(
                "list[tuple[str, dict[str, str]]]",
                self._redis.xrevrange(self.keys.updates(owner, repository), count=1),
            )
        return found[0][0] if found else "0"

    def updates(
        self, owner: str, repository: str, since: str, count: int, block: float
    ) -> Sequence[tuple[str, Mapping[str, str]]]:
        """(id, fields) of up to ``count`` updates after ``since``; waits up to ``block`` s."""
        with translated(self.url):
            answer: Any = self._redis.xread(
                {self.keys.updates(owner, repository): since},
                count=count,
                block=max(1, round(block * 1000)) if block > 0 else None,
            )
        if not answer:
            return []
        return cast("list[tuple[str, dict[str, str]]]", answer[0][1])

    def trimmed(self, owner: str, repository: str, position: str) -> bool:
        """Whether updates after ``position`` may have been trimmed away."""
        key = self.keys.updates(owner, repository)
        with translated(self.url):
            if position not in ("0", "0-0"):
                return not self._redis.xrange(key, position, position)
            first = cast("list[Any]", self._redis.xrange(key, count=1))
            return bool(first) and int(self._redis.xlen(key)) < int(
                self._redis.xinfo_stream(key)["entries-added"]
            )

    def repositories(self, owner: str) -> Sequence[str]:
        with translated(self.url):
            found = cast("set[str]", self._redis.smembers(self.keys.of("repos")))
        return sorted(name.rpartition(":")[2] for name in found if name.rpartition(":")[0] == owner)

    def masters(self, owner: str, repository: str) -> Sequence[int]:
        with translated(self.url):
            found = cast(
                "set[str]", self._redis.smembers(self.keys.of("masters", owner, repository))
            )
        return sorted(int(number) for number in found)

    def newest_epoch(self) -> str:
        """The store's present epoch, '' if the service has not begun one."""
        with translated(self.url):
            return str(self._redis.get(self.keys.of("epoch")) or "")


def parse_json(text: str) -> object:
    return json.loads(text) if text else {}
