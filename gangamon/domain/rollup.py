"""The status of a master job from its subjobs, by Ganga's own order."""

from __future__ import annotations

from collections.abc import Mapping

from gangamon.domain.status import FINAL, JobStatus

#: Ganga's order (GPIDev/Lib/Job/Job.py ``updateMasterJobStatus``, 8.7.12): the first present wins.
ORDER: tuple[JobStatus, ...] = (
    JobStatus.SUBMITTING,
    JobStatus.SUBMITTED,
    JobStatus.RUNNING,
    JobStatus.COMPLETING,
    JobStatus.FAILED,
    JobStatus.KILLED,
    JobStatus.COMPLETED,
)


def rollup(counts: Mapping[JobStatus, int]) -> JobStatus | None:
    """The master's status from the number of subjobs in each status; None without subjobs."""
    return next((status for status in ORDER if counts.get(status, 0) > 0), None)


def ended(counts: Mapping[JobStatus, int], total: int) -> bool:
    """Whether every one of ``total`` subjobs has a final status."""
    return total > 0 and sum(counts.get(status, 0) for status in FINAL) >= total
