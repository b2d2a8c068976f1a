"""From PBS's rows to observations."""

from __future__ import annotations

from gangamon.backends import batch
from gangamon.backends.pbs import states
from gangamon.backends.pbs.answers import Row
from gangamon.domain.observation import Seen
from gangamon.domain.status import FINAL, JobStatus
from gangamon.protocols import PollItem

QSTAT = "qstat"


def from_row(row: Row, item: PollItem, torque: bool) -> Seen:
    """Status, times and reason of one job, and what Ganga's job shows of it."""
    status = states.STATES.get(row.state)
    over = row.state in states.STATES and status is None
    if over:
        status = _end(row)
    begun = status is not JobStatus.SUBMITTED and bool(row.host)
    code = row.status if over and row.status is not None and 0 <= row.status < 256 else None
    return Seen(
        row.state,
        status,
        QSTAT,
        site=row.host if begun else "",
        started_at=row.started if begun else None,
        ended_at=row.ended if status in FINAL else None,
        exit_code=code,
        reason=_reason(row, status, torque),
        restarts=_restarts(row, item, status),
        attributes=batch.attributes(
            row.state, row.queue if begun else "", row.host if begun else "", code
        ),
    )


def _end(row: Row) -> JobStatus | None:
    """None: PBS does not tell how it ended."""
    if row.status == 0:
        return JobStatus.COMPLETED
    early = row.started is None and (row.status is None or states.signal(row.status))
    if early or row.substate == states.TERMINATED:
        return JobStatus.KILLED
    return JobStatus.FAILED if row.status is not None else None


def _reason(row: Row, status: JobStatus | None, torque: bool) -> str:
    if status not in FINAL or status is JobStatus.COMPLETED:
        return ""
    if row.started is None and status is JobStatus.KILLED:
        text = "deleted (qdel) before it began"
    elif row.status is None:
        text = "deleted (qdel)"
    else:
        text = states.why(row.status, row.substate, torque)
    parts = []
    if row.cpu is not None:
        parts.append(f"{row.cpu:.0f} s of CPU")
    if row.memory is not None:
        parts.append(f"at most {row.memory / 2**20:.0f} MiB")
    used = f"; used {', '.join(parts)}" if parts else ""
    return f"{text}{used}; {row.comment}" if row.comment else f"{text}{used}"


def _restarts(row: Row, item: PollItem, status: JobStatus | None) -> int:
    """PBS counts the runs: of a job that waits all are behind it, of another all but the last."""
    if row.runs is None:
        return item.restarts
    return max(item.restarts, row.runs if status is JobStatus.SUBMITTED else row.runs - 1)
