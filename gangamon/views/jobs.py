"""Jobs: what the service knows of them, and why they have the status they have."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from gangamon.domain.command import UNSPLIT
from gangamon.domain.effect import Stage
from gangamon.domain.job import Job
from gangamon.domain.rollup import rollup
from gangamon.domain.status import FINAL, JobStatus
from gangamon.errors import BadInput
from gangamon.protocols import Master
from gangamon.views import lanes
from gangamon.views.text import bar, count, seconds, size

if TYPE_CHECKING:
    from gangamon.client import Client


#: Files that are named of one of a job's outputs.
MOST = 20


def parse(text: str) -> tuple[int, int]:
    """(master, sub) of ``42`` or ``42.7``; sub is -1 without one. BadInput."""
    master, dot, sub = text.partition(".")
    if not master.isdecimal() or (dot and not sub.isdecimal()):
        raise BadInput([f"job: got {text!r}; accepted: 42 or 42.7"])
    return int(master), int(sub) if dot else UNSPLIT


@dataclass(frozen=True)
class Found:
    """``job``: None for a master that was split. ``tries``: how often in a row its next step (the
    fetch of a job; a master's stage) was put off, and ``reason``, why the last time."""

    master: Master
    job: Job | None
    tries: int = 0
    reason: str = ""


def look(client: Client, repository: str, number: int, sub: int) -> Found | None:
    """A job, or a master (``sub`` -1); None: unknown to the service. Raises StoreUnavailable."""
    master = client.master(repository, number)
    if master is None:
        return None
    job = client.job(repository, number, sub)
    if job is None and sub != UNSPLIT:
        return None
    name = f"{master.owner}:{repository}:{number}"
    queue, member = f"{master.phase}.{master.owner}", f"{name}@{master.attempt}"
    if master.phase == "open":
        if job is None or job.status is not JobStatus.COMPLETING:
            return Found(master, job)
        queue, member = f"{Stage.FETCH}.{master.owner}", f"{name}:{sub}@{job.attempt}"
    return Found(master, job, *client.store.put_off(queue, member))


def why(client: Client, found: Found) -> list[str]:
    """Why it has the status it has, and whether its lane is asked. Raises StoreUnavailable."""
    master = found.master
    if found.job is not None:
        told = tell(found.job)
    else:
        results = [f"  {stage}: {json.dumps(result)}" for stage, result in master.results.items()]
        told = [line(master), *results]
    if found.reason:
        told.append(f"  put off {count(found.tries, 'time')}, the last one for: {found.reason}")
    lane = str(master.lane)
    if master.status is None and (state := lanes.state_of(client, lane)) != lanes.ASKED:
        told.append(f"  lane {lane}: {state}")
    return told


def over(master: Master) -> int:
    """How many of its jobs have ended."""
    return sum(master.counts.get(status, 0) for status in FINAL)


def left(master: Master) -> float | None:
    """Seconds until the outputs of all its jobs are here, if it goes on as until now; None: that
    is not known, or all are."""
    brought, missing = master.brought, master.total - over(master)
    if brought.jobs < 2 or not missing or master.phase != "open":
        return None
    return missing * brought.seconds / (brought.jobs - 1)


def as_dict(master: Master) -> dict[str, Any]:
    return {
        "job": master.id,
        "repository": master.repository,
        "name": master.name,
        "lane": str(master.lane),
        "attempt": master.attempt,
        "status": str(master.status or rollup(master.counts) or ""),
        "ended": master.status is not None,
        "phase": master.phase,
        "observed": master.observe,
        "total": master.total,
        "subjobs": {s.value: master.counts.get(s, 0) for s in JobStatus},
        "results": master.results,
        "fetched": {**asdict(master.brought), "left": left(master)},
        "merging": {**asdict(master.merging), "left": merge_left(master)},
    }


def line(master: Master) -> str:
    """``job 42 name [####....] 3/8 3 completed, 5 running``."""
    done = over(master)
    counts = ", ".join(f"{n} {s}" for s in JobStatus if (n := master.counts.get(s, 0)))
    state = str(master.status or (master.phase if master.phase != "open" else ""))
    name = f" {master.name}" if master.name else ""
    told = "; ".join(part for part in (fetched(master), merging(master)) if part)
    return (
        f"job {master.id}{name} {bar(done, master.total)} {done}/{master.total} "
        f"{counts}{': ' + state if state else ''}{' (only observed)' if master.observe else ''}"
        f"{told and f'; {told}'}"
    )


def fetched(master: Master) -> str:
    """``12 files, 3.4 MB fetched, all in 20.0 s``; '' before there are any."""
    brought, ahead = master.brought, left(master)
    if not brought.files:
        return ""
    told = f"{count(brought.files, 'file')}, {size(brought.bytes)} fetched"
    return told if ahead is None else f"{told}, all in {seconds(ahead)}"


def merge_left(master: Master) -> float | None:
    """Seconds until all is merged, if it goes on as until now; None: that is not known."""
    found = master.merging
    gained = found.bytes - found.first
    if not found.whole or gained <= 0 or found.bytes >= found.whole:
        return None
    return (found.whole - found.bytes) * found.seconds / gained


def merging(master: Master) -> str:
    """``1.2 GiB of 3 GiB, 10000 files merged, all in 20.0 s``; '' where none is under way."""
    found, ahead = master.merging, merge_left(master)
    if not found.bytes:
        return ""
    if not found.whole:
        return f"{size(found.bytes)} merged while it runs"
    told = f"{size(found.bytes)} of {size(found.whole)}, {count(found.files, 'file')} merged"
    return told if ahead is None else f"{told}, all in {seconds(ahead)}"


def story(job: Job) -> dict[str, Any]:
    """The same as ``tell``, for programs."""
    evidence = job.evidence
    return {
        "job": job.fqid,
        "status": job.status.value,
        "attempt": job.attempt,
        "restart": job.restart,
        "native_status": job.native_status,
        "unmapped": job.unmapped,
        "stale": job.stale,
        "site": job.site,
        "absences": job.absences,
        "evidence": vars(evidence) if evidence else None,
        "checks": [asdict(check) for check in job.checks],
        "left_out": list(job.left_out),
        "puts": [asdict(put) for put in job.puts],
        "history": [
            {"attempt": e.attempt, "restart": e.restart, "status": e.status.value, "at": e.at,
             "source": e.source}
            for e in job.history
        ],
    }  # fmt: skip


def tell(job: Job) -> list[str]:
    """Its status, the evidence, and how it got there."""
    lines = [f"job {job.fqid} is {job.status}{' (stale)' if job.stale else ''}"]
    if job.native_status:
        unknown = ", a code gangamon does not know: the status is kept" if job.unmapped else ""
        lines.append(f"  the backend says: {job.native_status}{unknown}")
    if job.absences:
        lines.append(f"  missing in the last {job.absences} good answers")
    if evidence := job.evidence:
        code = "" if evidence.exit_code is None else f", exit code {evidence.exit_code}"
        lines.append(f"  evidence: {evidence.source}: {evidence.native_status}{code}")
        if evidence.reason:
            lines.append(f"  reason: {evidence.reason}")
        for what, at in (("started", evidence.started_at), ("ended", evidence.ended_at)):
            if at:
                lines.append(f"  {what}: {_time(at)}")
    for check in job.checks:
        said = "passed" if check.ok and not check.error else check.error or "failed"
        lines.append(f"  {check.kind}: {said}")
    lines += [f"  left out of its outputs: {one}" for one in job.left_out]
    for put in job.puts:
        lines += [f"  put on storage: {name}: {place}" for name, place in put.files[:MOST]]
        if len(put.files) > MOST:
            lines.append(f"  put on storage: and {len(put.files) - MOST} more")
        if put.reason:
            lines.append(f"  not put on storage: {put.reason}")
    for entry in job.history:
        restart = f".{entry.restart}" if entry.restart else ""
        when = _time(entry.at) if entry.at else "when enqueued"
        lines.append(f"  attempt {entry.attempt}{restart}: {entry.status} ({entry.source}, {when})")
    return lines


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"
