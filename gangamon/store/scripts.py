"""The Lua verbs, one file each, run by hash. ``_lib.lua`` is put before every one."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any

import redis
from redis.exceptions import NoScriptError

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
    "grown",
    "merging",
    "pause",
    "postpone",
    "prune",
    "rescue",
    "resume",
    "retry",
    "seat",
    "ripe",
    "set_aside",
)


def text(verb: str) -> str:
    """A verb's script, whole."""
    folder = resources.files("gangamon.store") / "lua"
    parts = (folder / name for name in ("_lib.lua", f"{verb}.lua"))
    return "".join(part.read_text(encoding="utf-8") for part in parts)


class Scripts:
    """Registered once per connection pool; loaded again by itself where Redis forgot them."""

    def __init__(self, connection: redis.Redis) -> None:
        self._connection = connection
        self._scripts = {verb: connection.register_script(text(verb)) for verb in VERBS}

    def run(self, verb: str, keys: Sequence[str], args: Sequence[str | int | float]) -> Any:
        return self._scripts[verb](keys=list(keys), args=list(args))

    def run_all(
        self, verb: str, calls: Sequence[tuple[Sequence[str], Sequence[str | int | float]]]
    ) -> list[Any]:
        """The answers of many calls (keys, args), sent at once; each is one script of its own.
        Where some fail the others have run, and the first error is raised."""
        script = self._scripts[verb]
        answers = self._send(script.sha, calls)
        if any(isinstance(answer, NoScriptError) for answer in answers):
            self._connection.script_load(script.script)
            again = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            late = self._send(script.sha, [calls[n] for n in again])
            for n, answer in zip(again, late, strict=True):
                answers[n] = answer
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def _send(
        self, sha: str, calls: Sequence[tuple[Sequence[str], Sequence[str | int | float]]]
    ) -> list[Any]:
        pipe = self._connection.pipeline(transaction=False)
        for keys, args in calls:
            pipe.evalsha(sha, len(keys), *keys, *args)
        return pipe.execute(raise_on_error=False)
