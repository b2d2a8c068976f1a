"""Whether a connection leads to the server that it led to before: asked of each new one, before
anything else is sent by it. So no process of the service writes to a replica that was made master
before a new epoch has begun.

A replica has a prefix of its master's writes, each script whole or not at all: what a fail-over may
take is the last of them. Redis says of a master by INFO (redis.io/commands/info, Redis 6.2 to 8,
Valkey 7.2 to 9): ``run_id``, another after each start; ``master_replid2`` and
``second_repl_offset``, the history that it took over when it was promoted; zeros and -1 with a
server that was started as a master on its own append-only file, which has lost nothing but what a
power cut takes.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import Any

from redis.exceptions import ConnectionError as RedisAway
from redis.exceptions import ResponseError

from gangamon.store.keys import Keys

log = logging.getLogger(__name__)

#: Seconds that the clocks of the old and the new master may differ.
CLOCKS = 60.0


class Life:
    """``named``: the address is that of the server itself, as sentinels give it, and the same for
    all; a proxy's or a service's is not."""

    def __init__(self, keys: Keys, script: str, named: bool) -> None:
        self._keys = keys
        self._script = script
        self._named = named

    def met(self, connection: Any) -> None:
        """To be called with each new connection. RedisError."""

        def ask(*words: str | int) -> Any:
            connection.send_command(*words)
            return connection.read_response()

        try:
            told = _fields(ask("INFO", "replication")) | _fields(ask("INFO", "server"))
        except ResponseError as error:
            log.warning("INFO is refused, so a fail-over of Redis is not noticed: %s", error)
            return
        if told.get("role") != "master":
            return  # it takes no writes
        run = told["run_id"]
        history = f"{told.get('master_replid2', '')}:{told.get('second_repl_offset', '-1')}"
        address = f"{connection.host}:{connection.port}" if self._named else ""
        before = str(ask("GET", self._keys.of("life")) or "")
        mark = f"{run} {history} {address}"
        if before.rpartition(" ")[0] == mark.rpartition(" ")[0]:
            return
        moved = address and _address(before) and address != _address(before)
        promoted = not history.endswith(":-1")
        try:
            if (promoted or moved) and ask("GET", self._keys.of("epoch")):
                self._begin(ask, before, mark)
            else:
                ask("SET", self._keys.of("life"), mark)
        except ResponseError as error:  # it takes no writes now: whoever connects next asks again
            connection.disconnect()
            raise RedisAway(f"the new master takes no writes yet: {error}") from error

    def _begin(self, ask: Callable[..., Any], before: str, mark: str) -> None:
        of, epoch = self._keys.of, secrets.token_hex(4)
        keys = [of("life"), of("epoch"), of("leases"), of("repos"), of("owners")]
        prefixes = [of(name, "") for name in ("claim", "slots", "due", "updates", "inbox")]
        arguments = [before, mark, epoch, *prefixes, round(CLOCKS * 1000)]
        back = ask("EVAL", self._script, len(keys), *keys, *arguments)
        if back >= 0:
            log.warning(
                "Redis failed over: epoch %s begins; %d claims taken back (before: %s; now: %s)",
                *(epoch, back, before or "none", mark),
            )


def _address(mark: str) -> str:
    return mark.rpartition(" ")[2]


def _fields(text: str) -> dict[str, str]:
    return dict(line.split(":", 1) for line in str(text).splitlines() if ":" in line)
