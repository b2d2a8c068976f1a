"""Whether what the service says of jobs is what the simulated system has told it, and all of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gangamon.domain.job import Evidence, Job
from gangamon.domain.status import FINAL, RANK, JobStatus
from gangamon.testing.simulator.codes import ENDED, MEANING
from gangamon.testing.simulator.record import Answered, Key
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


def told(said: Iterable[Key]) -> dict[str, list[tuple[int, JobStatus]]]:
    """What answers in this order tell of each job, by native id: (restart, status) of each step up
    to its end at the backend. What comes after a later one, as from a stale answer, tells nothing.
    """
    steps: dict[str, list[tuple[int, JobStatus]]] = {}
    for native_id, restart, code in said:
        known = steps.setdefault(native_id, [(0, JobStatus.SUBMITTED)])
        last, status = known[-1]
        meaning = MEANING.get(code)
        if restart < last or RANK[status] > RANK[JobStatus.RUNNING]:
            continue
        if restart > last:
            known.append((restart, JobStatus.SUBMITTED))
        if meaning is None or RANK[meaning] <= RANK[known[-1][1]]:
            continue
        fetched = code in ENDED and meaning is not JobStatus.KILLED
        known.append((restart, JobStatus.COMPLETING if fetched else meaning))
    return {native_id: known[1:] for native_id, known in steps.items()}


def untold(jobs: Mapping[str, Job], said: Iterable[Key]) -> list[str]:
    """One line for each step that an answer has told of, and that is not in its job's history, or
    the other way round; what follows the end at the backend aside. ``jobs`` by native id, none
    of them ended by its owner or lost; ``said``: answers that were all taken in."""
    found = []
    steps = told(said)
    for native_id, job in jobs.items():
        wanted = steps.get(native_id, [])
        story = [(entry.restart, entry.status) for entry in job.history]
        seen = [step for step in story[1:] if step[1] not in FINAL or step in wanted]
        if seen != wanted:
            text = f"answers tell {_text(wanted)}, its history {_text(seen)}"
            found.append(f"job {job.fqid} (native id {native_id}): {text}")
    return found


def _text(steps: Iterable[tuple[int, JobStatus]]) -> str:
    return " ".join(f"{status}@{restart}" for restart, status in steps) or "nothing"


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
