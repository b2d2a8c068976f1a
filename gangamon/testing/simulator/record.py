"""The answers really given, so that a test can ask whether a final status has one behind it.

One line of json for each (native id, restart, code), when it was said for the first time:
``[native id, restart, code, source, query number, seconds after the start]``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from gangamon.testing.simulator.timeline import Phase

#: (native id, restart, code)
Key = tuple[str, int, str]
Answered = set[Key]


class Record:
    """Appends to a file; each answer stands there before it is sent."""

    def __init__(self, path: str | None) -> None:
        self._said: Answered = set()
        self._file = -1
        if path:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, said: Iterable[Phase], source: str, number: int, t: float) -> None:
        if self._file < 0:
            return
        lines = []
        for phase in said:
            if phase.key not in self._said:
                self._said.add(phase.key)
                lines.append(json.dumps([*phase.key, source, number, round(t, 6)]) + "\n")
        data = "".join(lines).encode()
        while data:
            data = data[os.write(self._file, data) :]

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def read(path: str | Path) -> Answered:
    """All that was answered."""
    return set(sequence(path))


def sequence(path: str | Path) -> list[Key]:
    """The same, in the order in which it was said for the first time."""
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    return [(str(line[0]), int(line[1]), str(line[2])) for line in lines]
