"""Dead letters: jobs and stages that were set aside, taken apart and grouped by cause."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gangamon.protocols import DeadLetter

#: What differs between two cases of one cause: UUIDs, addresses, ids of eight hex digits or more,
#: numbers.
_DIFFERS = re.compile(
    r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"
    r"|\b0[xX][0-9a-fA-F]+|\b[0-9a-fA-F]{8,}\b|\d+"
)

#: Jobs named as examples of a cause.
EXAMPLES = 3


def cause_of(reason: str) -> str:
    """The same for all reasons that differ in numbers and ids only."""
    return _DIFFERS.sub("#", reason)


@dataclass(frozen=True)
class Letter:
    """A dead letter, taken apart. ``sub``: None where it is a stage of the master itself."""

    name: str
    repository: str
    master: int
    sub: int | None
    stage: str
    reason: str
    at: float

    @property
    def fqid(self) -> str:
        return str(self.master) if self.sub is None or self.sub < 0 else f"{self.master}.{self.sub}"

    @property
    def cause(self) -> str:
        return cause_of(self.reason)


def parse(letter: DeadLetter) -> Letter:
    """From the names in the store."""
    _, repository, rest = letter.name.split(":", 2)
    master, colon, sub = rest.partition("@")[0].partition(":")
    stage = letter.queue.partition(".")[0]
    return Letter(
        letter.name,
        repository,
        int(master),
        int(sub) if colon else None,
        stage,
        letter.reason,
        letter.at,
    )


def by_master(letters: Sequence[Letter]) -> dict[tuple[str, int], list[Letter]]:
    """By (repository, master)."""
    found: dict[tuple[str, int], list[Letter]] = defaultdict(list)
    for letter in letters:
        found[letter.repository, letter.master].append(letter)
    return found


def causes(letters: Sequence[Letter]) -> list[dict[str, Any]]:
    """The most frequent first; times in seconds since the epoch."""
    groups: dict[tuple[str, str], list[Letter]] = defaultdict(list)
    for letter in letters:
        groups[letter.stage, letter.cause].append(letter)
    found = [
        {
            "cause": cause,
            "stage": stage,
            "count": len(group),
            "first": min(letter.at for letter in group),
            "last": max(letter.at for letter in group),
            "examples": [letter.fqid for letter in group[:EXAMPLES]],
        }
        for (stage, cause), group in groups.items()
    ]
    return sorted(found, key=lambda one: (-one["count"], one["first"]))


def order(letters: Sequence[Letter]) -> dict[tuple[str, int], tuple[int, ...]]:
    """What to retry, by (repository, master): subjobs, or () for all of a master. A stage of the
    master itself is taken back together with all else of it."""
    found: dict[tuple[str, int], tuple[int, ...]] = {}
    for key, mine in by_master(letters).items():
        whole = any(letter.sub is None for letter in mine)
        found[key] = () if whole else tuple(sorted({x.sub for x in mine if x.sub is not None}))
    return found


def as_dict(letter: Letter) -> dict[str, Any]:
    """For programs."""
    return {**vars(letter), "job": letter.fqid}
