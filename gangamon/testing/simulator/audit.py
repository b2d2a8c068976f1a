"""Whether what the service says of jobs is what the simulated system has told it."""

from __future__ import annotations

from collections.abc import Mapping

from gangamon.domain.job import Evidence, Job
from gangamon.domain.status import FINAL, JobStatus
from gangamon.testing.simulator.codes import MEANING
from gangamon.testing.simulator.record import Answered
from gangamon.testing.simulator.timeline import Phase


def untruths(jobs: Mapping[str, Job], answered: Answered, truth: Mapping[str, Phase]) -> list[str]:
    """One line for each final status that no answer given supports, or that is not so.

    ``jobs`` and ``truth`` by native id; ``truth`` as it is now. A job that is failed as lost, or
    that its owner has ended, is none: it says so itself.
    """
    found = []
    for native_id, job in jobs.items():
        if job.status not in FINAL:
            continue
        evidence = job.evidence
        if evidence is None:
            found.append(f"job {job.fqid}: {job.status} without evidence")
        elif evidence.source != "ganga" and not evidence.reason.startswith("lost"):
            why = _untruth(native_id, job, evidence, answered, truth.get(native_id))
            if why:
                found.append(f"job {job.fqid} (native id {native_id}): {job.status}, but {why}")
    return found


def _untruth(
    native_id: str, job: Job, evidence: Evidence, answered: Answered, truth: Phase | None
) -> str:
    code = evidence.native_status
    if (native_id, job.restart, code) not in answered:
        return f"{code} of restart {job.restart} was in no answer"
    meaning = MEANING.get(code)
    lost_outputs = job.status is JobStatus.FAILED and evidence.reason.startswith("outputs")
    if meaning is not job.status and not (lost_outputs and meaning is JobStatus.COMPLETED):
        return f"its evidence is {code}"
    if truth is None:
        return "there is no such job"
    if truth.restart == job.restart and truth.code != code:
        return f"it is {truth.code}"
    return ""
