"""Redis emptied among many live jobs: how long until everything is tracked again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.torture.plan import Plan
from benchmarks.torture.run import Outcome, Run, common, running
from gangamon.domain.status import FINAL

PROGRAMS = ("tick", "poll", "transfer", "transfer-2", "merge", "beat-1")

#: Jobs that end each second, from when the first does, and the share of them that has no outputs:
#: it is the emptied store that is tried, and not how fast outputs are fetched.
RATE = 400.0
KILLED = 0.7

#: Seconds until everything must be tracked again.
WITHIN = 60.0


def planned_emptied(jobs: int, masters: int, seed: int, folder: Path) -> Plan:
    """All jobs are there at once, and end evenly; none before it could be enqueued."""
    lead = 15.0 + jobs / 2000
    return Plan(
        jobs=jobs, masters=masters, arrive=0.0, seed=seed, folder=str(folder),
        lead=lead, span=jobs / RATE, killed=KILLED,
    )  # fmt: skip


def emptied(plan: Plan, said: Callable[[str], None] = lambda _: None) -> Outcome:
    """Enqueue all, empty Redis when the first have ended, and wait for the end."""
    with running(plan, Path(plan.folder), PROGRAMS, said) as run:
        enqueued = run.until(lambda: _tracked(run) == plan.count, 60 + plan.count / 500)
        took = run.now()
        few = run.until(lambda: _finals(run) > plan.count // 50, 120 + plan.lead)
        live = plan.count - _finals(run)
        epoch = run.service.client().epoch()
        begun = time.monotonic()
        run.service.redis.connection().flushall()
        said(f"{run.now():6.1f} s  Redis is emptied")
        again = run.until(lambda: _tracked(run) == plan.count, 4 * WITHIN)
        tracked = time.monotonic() - begun
        said(f"{run.now():6.1f} s  all tracked again, {tracked:.1f} s")
        epoch = _other(run, epoch)
        fine = run.until(lambda: run.ended(epoch), 120 + 2 * plan.lead + 3 * plan.span)
        well = fine and run.until(run.drained, 60)
        outcome = run.verdict()
    outcome.figures |= {
        "enqueued_s": round(took, 1),
        "live": live,
        "tracked_again_s": round(tracked, 1),
    }
    for good, fault in (
        (enqueued, f"not all enqueued within {took:.0f} s"),
        (few, "too few have ended"),
        (again and tracked <= WITHIN, f"tracked again after {tracked:.1f} s, not {WITHIN:.0f} s"),
        (well, "not ended and drained"),
    ):
        if not good:
            outcome.faults.insert(0, fault)
    return outcome


def told(found: dict[str, Any]) -> Iterator[str]:
    yield f"\nenqueued in {found['enqueued_s']:.1f} s"
    yield f"{found['live']} live jobs tracked again after {found['tracked_again_s']:.1f} s"
    yield from common(found)


def _tracked(run: Run) -> int:
    """Jobs that the store has."""
    store, owner = run.service.store(), run.service.client().owner
    masters = (store.master(owner, run.plan.repository, m) for m in run.plan.ranges)
    return sum(sum(master.counts.values()) for master in masters if master is not None)


def _finals(run: Run) -> int:
    """Jobs of which the session has the end."""
    return sum(status in FINAL for status in run.applied.statuses.values())


def _other(run: Run, epoch: str) -> str:
    found = run.service.client().epoch()
    return found if found != epoch else "none"
