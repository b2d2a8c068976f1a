"""What the backends of Ganga's Batch family have in common: LSF, PBS, SGE, Slurm.

Lib/Batch/Batch.py, 8.7.12: one class in Ganga, with the same fields and the same wrapper.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Sequence
from typing import TypeVar

from gangamon.backends import jobstatus
from gangamon.backends.jobstatus import StatusFile
from gangamon.backends.processes import is_this_host
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Scalar, Seen
from gangamon.domain.status import JobStatus
from gangamon.errors import BackendUnreachable
from gangamon.protocols import PollItem

#: In ``extra``: when Ganga called the job submitted (seconds since the epoch), if that is known.
SUBMITTED_AT = "submitted_at"

#: Seconds by which Ganga's time of a submission may differ from the batch system's: the clocks of
#: hosts, and a session that stands still between its command and its note of it.
SLACK = 3600.0


Id = TypeVar("Id")


def with_ids(
    items: Sequence[PollItem], parse: Callable[[str], Id | None], nothing: Absent
) -> tuple[dict[str, Observation], list[tuple[PollItem, Id]]]:
    """Answers for jobs to which the batch system has given no id; and the others with theirs."""
    found: dict[str, Observation] = {}
    asked = []
    for item in items:
        if (id_ := parse(item.native_id)) is None:
            found[item.key] = nothing
        else:
            asked.append((item, id_))
    return found, asked


def require(lane: Lane, ours: str, what: str) -> None:
    """BackendUnreachable if the commands of this host ask another one. ``ours``: its name, '' if it
    is not known; ``what``: a cluster, a server."""
    if lane.endpoint not in (ours, "localhost") and not is_this_host(lane.endpoint):
        raise BackendUnreachable(
            f"the {what} {lane.endpoint!r} was asked for; this host's is {ours or 'unknown'!r}"
        )


def owner(item: PollItem) -> str:
    """The user whose job it is; '' if that is not known."""
    return item.home.partition(":")[0]


def myself() -> str:
    """The name of the user of this process; '' if it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""


def is_user(name: str) -> bool:
    """Whether this host knows a user of that name."""
    try:
        pwd.getpwnam(name)
    except (KeyError, ValueError):
        return False
    return True


def submitted_at(item: PollItem) -> float | None:
    """When Ganga submitted it, if that is known."""
    found = item.extra.get(SUBMITTED_AT)
    return float(found) if isinstance(found, int | float) and found > 0 else None


def attributes(state: str, queue: str = "", host: str = "", code: int | None = None
               ) -> dict[str, Scalar]:  # fmt: skip
    """As Ganga fills its fields from the wrapper's file, once the job runs; and ``status``, which
    it leaves empty."""
    found: dict[str, Scalar] = {"status": state} if state else {}
    if queue:
        found["actualqueue"] = queue
    if host:
        found["actualCE"] = host
    if code is not None:
        found["exitcode"] = code
    return found


def same_time(item: PollItem, submitted: float | None) -> bool:
    """Whether a job that was submitted then may be this one; or it is another, to which its number
    was given. True where either is not known."""
    at = submitted_at(item)
    return at is None or submitted is None or abs(submitted - at) <= SLACK


def wrapper(item: PollItem, same: Callable[[str], bool]) -> StatusFile | None:
    """What the job's wrapper has written, once it has written its exit code. ``same``: whether
    the batch system knows this job by a name. Raises BackendUnreachable.

    Ganga removes the file of an earlier attempt (Batch.py:241); its name is checked all the same.
    """
    found = jobstatus.read(item.output)
    if found is None or found.exit_code is None or not same(found.job):
        return None
    return found


def from_wrapper(found: StatusFile, restarts: int, shows: str = "") -> Seen:
    """The exit code that Ganga's wrapper wrote. ``restarts``: as far as known. ``shows``: what
    Ganga's job is to show as the batch system's status, if that is known."""
    state, well = f"EXITCODE {found.exit_code}", found.exit_code == 0
    shown = attributes(shows, found.queue, found.host, found.exit_code)
    why = f"the application ended with exit code {found.exit_code}"
    return Seen(
        state,
        JobStatus.COMPLETED if well else JobStatus.FAILED,
        jobstatus.STATUS_FILE,
        site=found.host,
        started_at=found.started,
        ended_at=found.modified,
        exit_code=found.exit_code,
        reason="" if well else why,
        restarts=restarts,
        attributes=shown,
    )
