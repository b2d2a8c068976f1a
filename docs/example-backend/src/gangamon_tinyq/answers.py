"""What ``tinyq list`` and ``tinyq history`` print, and what it means."""

from __future__ import annotations

import re

from gangamon.domain.observation import Seen
from gangamon.domain.status import JobStatus
from gangamon.errors import BackendUnreachable

#: tinyq(1), JOB STATES. A state that is not here is kept, and moves no job.
STATES = {
    "WAITING": JobStatus.SUBMITTED,
    "HELD": JobStatus.SUBMITTED,
    "RUNNING": JobStatus.RUNNING,
    "DONE": JobStatus.COMPLETED,
    "FAILED": JobStatus.FAILED,
    "TIMEOUT": JobStatus.FAILED,
    "CANCELLED": JobStatus.KILLED,
}

#: Ends in words, for ``gangamon why``.
REASONS = {
    "FAILED": "the job failed",
    "TIMEOUT": "ended by TinyQ at its time limit",
    "CANCELLED": "cancelled in TinyQ",
}

_LINE = re.compile(
    r"(\d{1,18})\|([A-Z]{1,20})\|(\d{0,3})\|([\w.-]{0,255})\|(\d{0,11})\|(\d{0,11})", re.ASCII
)


def parse(text: str, source: str) -> dict[str, Seen]:
    """Job id -> what was seen. A line that makes no sense may be that of any job: then nothing is
    learnt, and BackendUnreachable says so."""
    if text and not text.endswith("\n"):
        raise BackendUnreachable(f"{source}: cut off: {text[-80:]!r}")
    found = {}
    for line in text.split("\n")[:-1]:
        match = _LINE.fullmatch(line)
        if match is None:
            raise BackendUnreachable(f"{source}: unreadable: {line[:80]!r}")
        found[match[1]] = _seen(match, source)
    return found


def _seen(match: re.Match[str], source: str) -> Seen:
    _, state, code, host, start, end = match.groups()
    status = STATES.get(state)
    over = status in (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.KILLED)
    exit_code = int(code) if code and over else None
    if status is JobStatus.COMPLETED and exit_code:
        # It contradicts itself: better a state that nobody knows than an end that is made up.
        return Seen(f"{state} {code}", None, source)
    started = float(start) if start else None
    ended = float(end) if end and over else None
    if started and ended and started > ended:
        started = None
    return Seen(
        state,
        status,
        source,
        site=host,
        started_at=started,
        ended_at=ended,
        exit_code=exit_code,
        reason=REASONS.get(state, ""),
        # What Ganga's own monitoring would set in job.backend.
        attributes={"status": state, "actualCE": host} if host else {"status": state},
    )
