"""What a viewer may have done: the commands that the command line sends too."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

from gangamon.client import Client
from gangamon.domain.command import Command, Pause, Refresh, Resume, Retry
from gangamon.domain.lane import Lane
from gangamon.errors import BadInput
from gangamon.views import dead as letters
from gangamon.views import lanes
from gangamon.web.board import Board

#: Seconds to wait for the service's answer. After that a command is kept and sent again.
WAIT = 10.0


class Actions:
    """``client``: its own, for commands only: one at a time. Every call raises BadInput where the
    service refuses, StoreUnavailable while the store is away."""

    def __init__(self, client: Client, board: Board) -> None:
        self._client, self._board = client, board
        self._lock = Lock()

    def refresh(self, repository: str, number: int) -> dict[str, Any]:
        command = Refresh(self._client.new_id(), repository, number)
        return self._send(repository, [command], f"job {number} is asked about at the next tick")

    def pause(self, name: str, reason: str) -> dict[str, Any]:
        lane, repository = self._lane(name), self._a_repository()
        command = Pause(self._client.new_id(), repository, lane, reason)
        return self._send(repository, [command], f"paused: {name}")

    def resume(self, name: str) -> dict[str, Any]:
        lane, repository = self._lane(name), self._a_repository()
        return self._send(
            repository, [Resume(self._client.new_id(), repository, lane)], f"resumed: {name}"
        )

    def retry(self, names: Sequence[str], everything: bool) -> dict[str, Any]:
        """Dead letters by name, or all."""
        found = [letters.parse(letter) for letter in self._client.dead()]
        if not everything:
            found = [letter for letter in found if letter.name in set(names)]
        if not found:
            raise BadInput(["names: accepted: dead letters that are shown"])
        done = {"done": True, "text": ""}
        for (repository, master), subs in letters.order(found).items():
            command = Retry(self._client.new_id(), repository, master, subs)
            done = self._send(repository, [command], "")
            if not done["done"]:
                return done
        left = {letter.name for letter in self._client.dead()}
        back = sum(letter.name not in left for letter in found)
        return {"done": True, "text": f"{back} taken back"}

    def _send(self, repository: str, commands: Sequence[Command], text: str) -> dict[str, Any]:
        with self._lock:
            acks = self._client.perform(commands, repository, WAIT)
        self._board.forget()
        refused = [ack.reason for ack in acks.values() if not ack.ok]
        if refused:
            raise BadInput(refused)
        if len(acks) < len(commands):
            text = (
                f"not acknowledged within {WAIT:.0f} s: kept, and sent with the next command; "
                "does the service run?"
            )
            return {"done": False, "text": text}
        return {"done": True, "text": text}

    def _lane(self, name: str) -> Lane:
        mine = lanes.mine(self._client)
        if name not in mine:
            raise BadInput([f"lane: got {name!r}; accepted: one of {', '.join(mine) or 'none'}"])
        return Lane.parse(name)

    def _a_repository(self) -> str:
        found = self._client.repositories()
        if not found:
            raise BadInput([f"owner: {self._client.owner} has no repository yet"])
        return found[0]
