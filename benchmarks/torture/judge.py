"""What must hold after the torture, read from the log of the session, the store and the disk."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import figures
from benchmarks.torture.client import Applied, Line
from benchmarks.torture.plan import MERGED, Plan
from gangamon.client import Client, Follower, Update
from gangamon.domain.job import Job
from gangamon.domain.status import FINAL, JobStatus
from gangamon.store.redis import RedisStore
from gangamon.testing.simulator import audit, record
from gangamon.testing.simulator.timeline import Phase
from tests.support.invariants import check_store, check_updates

_TIME = re.compile(rb"# Ganga TextMergeTool - [^\n]* #\n")

#: Faults of one sort that are told one by one.
MOST = 5


def truth_of(rows: Iterable[Sequence[Any]]) -> dict[str, Phase]:
    return {str(row[0]): Phase(str(row[0]), 0.0, str(row[1]), int(row[2])) for row in rows}


def few(what: str, found: Sequence[object]) -> list[str]:
    """One line for many faults of a sort."""
    if not found:
        return []
    told = "; ".join(map(str, found[:MOST]))
    return [f"{len(found)} {what}: {told}{' ...' if len(found) > MOST else ''}"]


def judge(
    plan: Plan,
    lines: Sequence[Line],
    client: Client,
    store: RedisStore,
    truth: dict[str, Phase],
    answers: Path,
    outputs_come: bool = True,
) -> list[str]:
    """One line for each broken promise. ``outputs_come``: every output can be downloaded, so each
    job must have exactly the end that the backend has for it, and its outputs."""
    updates = [update for line in lines for update in line.updates]
    faults = _holds(lambda: check_updates(updates))
    faults += _same_stream(updates, client, plan)
    faults += _holds(lambda: check_store(store, client.owner, plan.repository, plan.ranges))
    jobs = held(plan, store, client.owner)
    faults += _ends(plan, updates, jobs, truth, outputs_come)
    names = {str(plan.ranges[m][sub]): job for (m, sub), job in jobs.items()}
    faults += few("untruths", audit.untruths(names, record.read(answers), truth))
    faults += few("outputs that are not right", list(_outputs(plan, jobs, truth, outputs_come)))
    faults += few("merges that are not right", list(_merges(plan, jobs, truth)))
    faults += few("dead letters", [f"{d.name}: {d.reason}" for d in client.dead()])
    return faults


def held(plan: Plan, store: RedisStore, owner: str) -> dict[tuple[int, int], Job]:
    """All that the store holds, by (master, sub)."""
    found = {}
    for number in plan.ranges:
        master = store.master(owner, plan.repository, number)
        for sub, job in (store.jobs(master, None) if master else {}).items():
            found[number, sub] = job
    return found


def _holds(check: Callable[[], None]) -> list[str]:
    try:
        check()
    except AssertionError as error:
        return [str(error)]
    return []


def _same_stream(updates: Sequence[Update], client: Client, plan: Plan) -> list[str]:
    """The session has seen each entry of the stream, once and in order."""
    follower = Follower(client, plan.repository, "0")
    stream: list[Update] = []
    while more := follower.read(count=5000):
        stream += more
    if plan.failovers:  # what the session saw last before one may have been lost with the master
        stream, updates = _newest(stream), _newest(updates)
    told, seen = [_gist(u) for u in stream], [_gist(u) for u in updates]
    if seen[-len(told) :] == told:  # the stream is cut at its beginning when it is long
        return []
    return [f"the session saw {len(seen)} updates, the stream has {len(told)}, not the same ones"]


def _newest(updates: Sequence[Update]) -> list[Update]:
    """Those of the newest epoch."""
    return [update for update in updates if update.epoch == updates[-1].epoch]


def _gist(update: Update) -> tuple[Any, ...]:
    jobs = tuple((j.sub, j.attempt, j.restart, j.status) for j in update.jobs)
    ack = update.ack.command_id if update.ack else ""
    return update.epoch, update.at, update.master, jobs, ack, update.final is not None


def _ends(
    plan: Plan,
    updates: Sequence[Update],
    jobs: dict[tuple[int, int], Job],
    truth: dict[str, Phase],
    outputs_come: bool,
) -> list[str]:
    applied = Applied()
    for update in updates:
        applied.take(update)
    refused = [ack.reason for ack in applied.acks.values() if not ack.ok]
    expected = plan.expected(truth)
    lost = [f"{m}.{s}" for m, s in expected if (m, s) not in jobs]
    wrong = [
        f"{m}.{s} is {jobs[m, s].status}, not {status} ({_why(jobs[m, s])})"
        for (m, s), status in expected.items()
        if (m, s) in jobs and not _right(jobs[m, s], status, outputs_come)
    ]
    restarts = [
        f"{m}.{s}: {job.restart}, not {truth[str(plan.ranges[m][s])].restart}"
        for (m, s), job in jobs.items()
        if job.restart != truth[str(plan.ranges[m][s])].restart
    ]
    behind = [
        f"{m}.{s} is {applied.statuses.get((m, s))}, not {job.status}"
        for (m, s), job in jobs.items()
        if applied.statuses.get((m, s)) is not job.status
    ]
    epochs = {update.epoch for update in updates}
    newest = updates[-1].epoch if updates else ""
    finals = Counter(
        (u.epoch, u.master, u.final.attempt) for u in updates if u.final is not None
    )  # fmt: skip
    ended = Counter(master for epoch, master, _ in finals.elements() if epoch == newest)
    if plan.failovers:  # one that ended before has ended, if that was not lost
        ended = Counter(dict.fromkeys((master for _, master, _ in finals), 1))
    bad = [f"master {m}: {ended[m]} final updates" for m in plan.ranges if ended[m] != 1]
    bad += [f"{key}: {n} final updates" for key, n in finals.items() if n != 1]
    unmerged = [
        f"master {m}: {final.results['merge']}"
        for (_, m, _), final in applied.finals.items()
        if [result["ok"] for result in final.results["merge"]] != [True]
    ]
    return [
        *few("commands refused", refused),
        *few("jobs lost", lost),
        *few("jobs with a wrong status", wrong),
        *few("jobs with another number of restarts", restarts),
        *few("jobs of which the session has another status", behind),
        *few("masters without exactly one final", bad),
        *few("masters not merged", unmerged),
        *([f"epochs: {sorted(epochs)}"] if len(epochs) != _epochs(plan) else []),
    ]


def _epochs(plan: Plan) -> int:
    return 1 + plan.failovers + (plan.span > 0)


def _right(job: Job, status: JobStatus, outputs_come: bool) -> bool:
    lost = job.evidence is not None and job.evidence.reason.startswith("outputs")
    if not outputs_come and lost and status is JobStatus.COMPLETED:
        return job.status is JobStatus.FAILED
    return job.status is status


def _why(job: Job) -> str:
    return f"{job.evidence.source}: {job.evidence.reason}" if job.evidence else "no evidence"


def _outputs(
    plan: Plan, jobs: dict[tuple[int, int], Job], truth: dict[str, Phase], outputs_come: bool
) -> Iterable[str]:
    """Each job that was fetched has exactly its files, as its manifest has them."""
    for (master, sub), job in jobs.items():
        output = plan.output(master, sub)
        if job.status is JobStatus.KILLED:
            if output.exists():
                yield f"{master}.{sub}: killed, but has {output}"
            continue
        if job.status is not JobStatus.COMPLETED and not outputs_come:
            continue
        try:
            manifest = json.loads((output / ".gangamon-manifest.json").read_bytes())
            for name, content in plan.content(truth, master, sub).items():
                if (output / name).read_bytes() != content:
                    yield f"{master}.{sub}: {name} is not what the backend has"
            names = [file[0] for file in manifest["files"]]
            if names != sorted(MERGED) or manifest["attempt"] != job.attempt:
                yield f"{master}.{sub}: manifest {manifest}"
        except OSError as error:
            yield f"{master}.{sub}: {error}"


def _merges(plan: Plan, jobs: dict[tuple[int, int], Job], truth: dict[str, Phase]) -> Iterable[str]:
    """Byte for byte what Ganga's merger makes, and nothing half done beside it."""
    for master, numbers in plan.ranges.items():
        folder = plan.merged(master)
        if not folder.is_dir():
            yield f"master {master}: no {folder}"
            continue
        names = sorted(p.name for p in folder.iterdir())
        wanted = [".gangamon-merge.json", *(n + e for n in MERGED for e in ("", ".merge_summary"))]
        if names != sorted(wanted):
            yield f"master {master}: {names}"
            continue
        good = [
            s
            for s in range(len(numbers))
            if (master, s) in jobs and jobs[master, s].status is JobStatus.COMPLETED
        ]
        for name in MERGED:
            expected = b"".join(
                b"# Start of file %s #\n%s\n"
                % (
                    str(plan.output(master, s) / name).encode(),
                    plan.content(truth, master, s)[name],
                )
                for s in good
            )
            head, sep, rest = (folder / name).read_bytes().partition(b"\n")
            if (
                not _TIME.fullmatch(head + sep)
                or rest != expected + b"# Ganga Merge Ended Successfully #\n"
            ):
                yield f"master {master}: {name} is not the merge of its {len(good)} inputs"


class Merges:
    """What was merged must stay as it first appeared: a second merge would show."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._first: dict[Path, tuple[int, int, int]] = {}
        self._changed: set[str] = set()

    def look(self) -> None:
        for master in self._plan.ranges:
            for name in MERGED:
                path = self._plan.merged(master) / name
                try:
                    facts = path.stat()
                except FileNotFoundError:
                    if path in self._first:
                        self._changed.add(f"{path} is gone")
                    continue
                now = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
                if self._first.setdefault(path, now) != now:
                    self._changed.add(f"{path} was written again")

    def faults(self) -> list[str]:
        return few("merges that changed", sorted(self._changed))


def lags(lines: Sequence[Line]) -> tuple[list[float], list[float]]:
    """Seconds from each end at the backend to its first update in the stream, and to its being
    applied by the session."""
    told: dict[tuple[int, int, int], tuple[float, float]] = {}
    for line in lines:
        for update in line.updates:
            for job in update.jobs:
                ended = job.status is JobStatus.COMPLETING or job.status in FINAL
                if ended and job.ended_at:
                    key = (update.master, job.sub, job.restart)
                    stream = update.at - job.ended_at
                    told.setdefault(key, (stream, line.at - job.ended_at))
    return [max(0.0, a) for a, _ in told.values()], [max(0.0, b) for _, b in told.values()]


def summary(values: Sequence[float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in figures.summary(values).items()}
