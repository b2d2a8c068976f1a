"""Dead letters: jobs and stages set aside, with the reason, until they are retried."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import cast

from gangamon.errors import LeaseLost
from gangamon.protocols import DeadLetter, Master
from gangamon.store import codec
from gangamon.store.base import StoreBase
from gangamon.store.connection import translated


class Dead(StoreBase):
    """See ``protocols.JobStore``: set_aside, dead, retry."""

    def set_aside(
        self, token: str, queue: str, member: str, master: Master, sub: int, reason: str
    ) -> None:
        base = self.keys.master(master.owner, master.repository, master.id)
        record = {"queue": queue, "reason": reason[:2000], "at": round(time.time(), 3)}
        answer = self._run(
            "set_aside",
            [self.keys.of("claim", token), f"{base}:batch", self.keys.of("dead")],
            [
                member,
                sub,
                member.rpartition(":")[2],
                f"{master.owner}:{master.repository}:{master.id}:{sub}",
                codec.dumps(record),
            ],
        )
        if answer == -1:
            raise LeaseLost(f"claim {token} no longer holds {member}")

    def dead(self, owner: str) -> Sequence[DeadLetter]:
        with translated(self.url):
            found = cast("dict[str, str]", self._redis.hgetall(self.keys.of("dead")))
        letters = [DeadLetter(name, **json.loads(text)) for name, text in found.items()]
        mine = [letter for letter in letters if letter.name.partition(":")[0] == owner]
        return sorted(mine, key=lambda letter: (letter.at, letter.name))

    def retry(self, letter: DeadLetter) -> bool:
        name, sub = letter.name, ""
        if letter.queue.startswith("poll."):
            name, _, sub = letter.name.rpartition(":")
        owner, repository, rest = name.split(":", 2)  # an owner's name may hold '@', but no ':'
        number = rest.partition(":")[0].partition("@")[0]
        base = self.keys.master(owner, repository, int(number))
        return bool(
            self._run(
                "retry",
                [
                    self.keys.of("dead"),
                    self.keys.waiting(letter.queue, letter.name),
                    self.keys.of("strikes", letter.queue),
                    self.keys.of("tries", letter.queue),
                    base,
                    f"{base}:batch",
                ],
                [letter.name, sub, f"{owner}:{repository}:{number}:", self.keys.of("b", "")],
            )
        )
