"""From Slurm's rows to observations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType

from gangamon.backends.batch import attributes
from gangamon.backends.slurm import states
from gangamon.backends.slurm.answers import Row
from gangamon.domain.observation import Seen
from gangamon.domain.status import FINAL, JobStatus


def from_row(row: Row, source: str) -> Seen:
    """Status, times and reason of one job, and what Ganga's job shows of it."""
    status = states.STATES.get(row.state)
    if status is JobStatus.SUBMITTED:
        return _waits(row.state, source, row.host, row.restarts)
    over = status in FINAL
    # One that was cancelled in the queue has a time at which it began, but no node.
    begun = status is not None and bool(row.host or not over)
    # A job that has not begun, or not ended, has expected times.
    ended = row.ended if over else None
    started = row.started if begun and (ended or 1e11) >= (row.started or 0) else None
    code = row.code if over and not row.signal and (row.code or row.state == "COMPLETED") else None
    shown = attributes(row.state, row.partition if begun else "", row.host if begun else "", code)
    reason = ""
    if over and status is not JobStatus.COMPLETED:
        reason = states.why(row.state, code, row.signal, row.reason) + _used(row)
    return Seen(
        row.state,
        status,
        source,
        site=row.host,
        started_at=started,
        ended_at=ended,
        exit_code=code,
        reason=reason,
        restarts=row.restarts,
        attributes=shown,
    )


@lru_cache(1024)
def _waits(state: str, source: str, host: str, restarts: int) -> Seen:
    """Of ten thousand jobs that wait the same is seen."""
    return Seen(
        state,
        JobStatus.SUBMITTED,
        source,
        site=host,
        restarts=restarts,
        attributes=MappingProxyType(attributes(state)),
    )


def _used(row: Row) -> str:
    """What the accounting has of what it used: often the reason behind the reason."""
    parts = []
    if row.cpu is not None:
        parts.append(f"{row.cpu:.0f} s of CPU")
    if row.memory is not None:
        parts.append(f"at most {row.memory / 2**20:.0f} MiB in a step")
    return f"; used {', '.join(parts)}" if parts else ""


def from_tasks(rows: Sequence[Row], source: str) -> Seen:
    """An array as a whole: over when all tasks are, and then as bad as the worst."""
    live = [row for row in rows if not row.over]
    if live:
        begun = [r for r in rows if states.STATES.get(r.state) is not JobStatus.SUBMITTED]
        chosen = next((r for r in live if r in begun), live[0])
        seen = from_row(chosen, source)
        return replace(seen, status=JobStatus.RUNNING) if begun and seen.status else seen
    worst = [row for row in rows if row.state != "COMPLETED"]
    seen = from_row((worst or rows)[0], source)
    return replace(seen, ended_at=max((r.ended for r in rows if r.ended), default=None))
