"""What must hold after the job, whatever was killed: read from the service, not believed."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

from gangamon.client import Client
from gangamon.domain.status import FINAL, LEGAL, RANK, JobStatus


def audit(client: Client, repository: str, job: int) -> list[str]:
    """One line for each broken promise; empty if all hold."""
    faults: list[str] = []
    finals = 0
    stream: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    follower = client.follow(repository, "0")
    while updates := follower.read(count=1000):
        for update in updates:
            if update.master != job:
                continue
            finals += update.final is not None
            for one in update.jobs:
                stream[one.sub].append((one.attempt, one.restart, RANK[one.status]))
    for sub, versions in stream.items():
        if any(b <= a for a, b in pairwise(versions)):
            faults.append(f"{job}.{sub}: a doubled or backward transition: {versions}")
    if finals != 1:
        faults.append(f"job {job}: {finals} final updates, and exactly 1 is right")
    view = client.snapshot(repository, job)
    if view is None:
        return [*faults, f"job {job}: not known"]
    ended = Counter(one.status for one in view.jobs.values())
    if ended != Counter({JobStatus.COMPLETED: view.record.total}):
        faults.append(f"job {job}: {dict(ended)} of {view.record.total}")
    for sub in view.jobs:
        story = client.job(repository, job, sub)
        steps = [entry.status for entry in story.history] if story else []
        if any(b not in LEGAL[a] for a, b in pairwise(steps)):
            faults.append(f"{job}.{sub}: illegal history {[s.value for s in steps]}")
        if sum(step in FINAL for step in steps) != 1:
            faults.append(f"{job}.{sub}: not exactly one final status: {[s.value for s in steps]}")
    merged = view.final.results["merge"] if view.final else []
    if not merged or not all(result["ok"] for result in merged):
        faults.append(f"job {job}: not merged: {merged}")
    return faults


def same_but_time(ours: Path, ganga: Path) -> bool:
    """Whether two merged files are equal byte for byte, the time in the first line aside."""
    mine, theirs = ours.read_bytes().split(b"\n", 1), ganga.read_bytes().split(b"\n", 1)
    return mine[1] == theirs[1] and mine[0][:25] == theirs[0][:25]
