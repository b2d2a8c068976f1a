"""From LSF's rows to observations."""

from __future__ import annotations

from collections.abc import Sequence

from gangamon.backends import batch
from gangamon.backends.lsf import states
from gangamon.backends.lsf.answers import Row
from gangamon.domain.observation import Seen
from gangamon.domain.status import FINAL, JobStatus
from gangamon.protocols import PollItem

BJOBS, BHIST = "bjobs", "bhist"


def from_row(row: Row, item: PollItem, source: str) -> Seen:
    """Status, times and reason of one job, and what Ganga's job shows of it."""
    status = states.end(row.reason) if row.state == "EXIT" else states.STATES.get(row.state)
    begun = status is not JobStatus.SUBMITTED and bool(row.host)
    code = 0 if status is JobStatus.COMPLETED else None
    if status is JobStatus.FAILED and not row.reason:
        code = row.code
    reason = ""
    if status in (JobStatus.FAILED, JobStatus.KILLED):
        used = f"; used {row.used}" if row.used else ""
        reason = f"{states.why(row.code, row.reason)}{used}"
    # A job that has not ended has an expected end.
    ended = row.ended if status in FINAL else None
    started = row.started if begun and (row.started or 0) <= (ended or 1e11) else None
    return Seen(
        row.state,
        status,
        source,
        site=row.host if begun else "",
        started_at=started,
        ended_at=ended,
        exit_code=code,
        reason=reason,
        restarts=_restarts(row, item, status, source),
        attributes=batch.attributes(
            row.state, row.queue if begun else "", row.host if begun else "", code
        ),
    )


def from_elements(rows: Sequence[Row], item: PollItem) -> Seen | None:
    """An array as a whole: it runs while one of its elements does. None: all are over that the
    queue still knows of, which need not be all."""
    live = [row for row in rows if states.STATES.get(row.state) not in FINAL]
    begun = [row for row in live if states.STATES.get(row.state) is not JobStatus.SUBMITTED]
    chosen = (begun or live)[:1]
    return from_row(chosen[0], item, BJOBS) if chosen else None


def _restarts(row: Row, item: PollItem, status: JobStatus | None, source: str) -> int:
    """bhist shows each run; bjobs does not: a job that was known to run and waits was requeued."""
    if source == BHIST:
        return max(item.restarts, row.restarts)
    again = status is JobStatus.SUBMITTED and item.status is JobStatus.RUNNING
    return item.restarts + again
