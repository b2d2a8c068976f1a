"""What happens to each subjob, the same for everyone who knows the seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

#: Ganga's statuses in the order in which a subjob goes through them.
ORDER = ("submitted", "running", "ended")


@dataclass(frozen=True)
class Story:
    """``subjobs`` subjobs run and end, in an order that the seed decides: one in eight fails."""

    subjobs: int
    seed: int

    def ends(self) -> list[str]:
        """Each subjob's last status."""
        chance = random.Random(self.seed)
        return [chance.choice(["failed"] + 7 * ["completed"]) for _ in range(self.subjobs)]

    def events(self) -> list[int]:
        """Subjobs, each of them twice: where it comes first it runs, then it ends."""
        found = [*range(self.subjobs), *range(self.subjobs)]
        random.Random(self.seed + 1).shuffle(found)
        return found

    def states(self, told: int) -> list[str]:
        """Each subjob's status when the first ``told`` events have happened."""
        ends, count = self.ends(), [0] * self.subjobs
        for sub in self.events()[:told]:
            count[sub] += 1
        return [("submitted", "running", end)[n] for n, end in zip(count, ends, strict=True)]


def rank(status: str) -> int:
    """How far a subjob has come."""
    return {"submitted": 0, "running": 1, "completed": 2, "failed": 2}[status]
