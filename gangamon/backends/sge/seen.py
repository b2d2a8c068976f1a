"""From Grid Engine's rows and records to observations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from gangamon.backends import batch
from gangamon.backends.sge import states
from gangamon.backends.sge.answers import Record, Row
from gangamon.domain.observation import Seen
from gangamon.domain.status import JobStatus
from gangamon.protocols import PollItem

QSTAT, QACCT = "qstat", "qacct"

#: Characters of a reason that the state of a waiting job carries.
MOST = 200


def from_row(row: Row, item: PollItem, error: str = "") -> Seen:
    """``error``: why it is in the state E, if that is known."""
    restarts = _restarts(row, item)
    status = states.meaning(row.state)
    if status is not JobStatus.RUNNING:
        return _waiting(row.state, error, restarts)
    return Seen(
        row.state,
        status,
        QSTAT,
        site=row.host,
        started_at=row.started,
        restarts=restarts,
        attributes=batch.attributes(row.state, row.queue, row.host),
    )


@lru_cache(1024)  # thousands wait in the same way
def _waiting(state: str, error: str, restarts: int) -> Seen:
    told = f"{state}: {error}"[:MOST] if error else state
    return Seen(
        state,
        states.meaning(state),
        QSTAT,
        reason=error,
        restarts=restarts,
        attributes=batch.attributes(told),
    )


def from_tasks(rows: Sequence[Row], item: PollItem, error: str = "") -> Seen:
    """An array as a whole, which is in the queue: it runs while one of its tasks does."""
    running = [row for row in rows if states.meaning(row.state) is JobStatus.RUNNING]
    seen = from_row((running or rows)[0], item, error)
    return replace(seen, restarts=item.restarts)


def from_record(record: Record, restarts: int) -> Seen:
    """The end of a job in the accounting. ``restarts``: runs before this one, as far as known."""
    ran = record.failed in states.RAN
    if record.failed not in states.FAILED:
        status = None
    elif ran and record.status == 0:
        status = JobStatus.COMPLETED
    else:
        status = JobStatus.FAILED
    native = f"failed={record.failed}" if record.failed else states.FINISHED
    code = record.status if ran else None
    reason = ""
    if status is JobStatus.FAILED:
        reason = states.why(record.failed, record.status) + _used(record)
    return Seen(
        native,
        status,
        QACCT,
        site=record.host,
        started_at=record.started,
        ended_at=record.ended,
        exit_code=code,
        reason=reason,
        restarts=restarts,
        attributes=batch.attributes(native, record.queue, record.host, code),
    )


def the_run(records: Sequence[Record], item: PollItem) -> tuple[Record, int] | None:
    """The record of the job's end, and how many runs it had before; None: there is none yet.

    Each run leaves a record, also one that was started over or could not begin. Where a number was
    given anew, the records of another job with it come before or after those of this one, and are
    told apart by the time of submission: of the first run of a job it is the job's, of those that
    follow when that was started over, and of one that was started over by hand (qmod -rj) none."""
    at = batch.submitted_at(item)
    runs: list[Record] = []
    for record in records:
        if at is not None and record.submitted is not None:
            if record.submitted < at - batch.SLACK:
                runs.clear()  # another's, of old
                continue
            if not runs and record.submitted > at + batch.SLACK:
                return None  # another's, of later
        runs.append(record)
        if _ends(record) and len(runs) > item.restarts:
            return record, len(runs) - 1
    return None


def same_job(row: Row, item: PollItem) -> bool:
    """Whether it may be this job, by its time; or another, to which its number was given."""
    at = batch.submitted_at(item)
    if at is None:
        return True
    if row.started is not None:
        return row.started >= at - batch.SLACK
    if row.submitted is None:
        return True
    latest = float("inf") if states.started_over(row.state) else at + batch.SLACK
    return at - batch.SLACK <= row.submitted <= latest


def _ends(record: Record) -> bool:
    """Whether a run with this record is the last. A code that is not known is told as it is."""
    known = record.failed in states.FAILED
    return not known or record.failed in states.RAN or record.failed in states.CUT


def _restarts(row: Row, item: PollItem) -> int:
    """qstat tells that a job was started over, not how often: that it waits again, though it was
    known to run, is once more."""
    if not states.started_over(row.state):
        return item.restarts
    waits = states.meaning(row.state) is JobStatus.SUBMITTED
    again = item.restarts + (waits and item.status is JobStatus.RUNNING)
    return max(1, again)


def _used(record: Record) -> str:
    """What it used, and had asked for: often the reason behind the reason."""
    parts = []
    if record.cpu is not None:
        parts.append(f"{record.cpu:.0f} s of CPU")
    if record.memory is not None:
        parts.append(f"at most {record.memory / 2**20:.0f} MiB")
    used = f"; used {', '.join(parts)}" if parts else ""
    return f"{used}; asked for: {record.category}" if record.category else used
