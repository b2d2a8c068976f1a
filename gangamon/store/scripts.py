"""The Lua verbs, one file each, run by hash. ``_lib.lua`` is put before every one."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any

import redis

VERBS = (
    "take_in",
    "acknowledge",
    "answered",
    "withdraw",
    "refresh",
    "hasten",
    "claim",
    "claim_poll",
    "begin",
    "renew",
    "commit",
    "commit_stage",
    "count",
    "pause",
    "postpone",
    "prune",
    "rescue",
    "resume",
    "retry",
    "ripe",
    "set_aside",
)


class Scripts:
    """Registered once per connection pool; loaded again by itself where Redis forgot them."""

    def __init__(self, connection: redis.Redis) -> None:
        folder = resources.files("gangamon.store") / "lua"
        library = (folder / "_lib.lua").read_text(encoding="utf-8")
        self._scripts = {
            verb: connection.register_script(
                library + (folder / f"{verb}.lua").read_text(encoding="utf-8")
            )
            for verb in VERBS
        }

    def run(self, verb: str, keys: Sequence[str], args: Sequence[str | int | float]) -> Any:
        return self._scripts[verb](keys=list(keys), args=list(args))
