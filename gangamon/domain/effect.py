"""What must now be done: the stages a commit makes due in the same atomic step."""

from __future__ import annotations

from enum import Enum


class Stage(str, Enum):
    """Ganga's own order: outputs, then mergers (1), checkers (2), notifier (3)."""

    FETCH = "fetch"
    MERGE = "merge"
    CHECK = "check"
    NOTIFY = "notify"

    def __str__(self) -> str:
        return self.value


#: The stages of a master job, in order. ``fetch`` is a stage of each job.
MASTER_STAGES: tuple[Stage, ...] = (Stage.MERGE, Stage.CHECK, Stage.NOTIFY)


def following(stage: Stage) -> Stage | None:
    """The stage after this one of a master job; None after the last."""
    index = MASTER_STAGES.index(stage) + 1
    return MASTER_STAGES[index] if index < len(MASTER_STAGES) else None
