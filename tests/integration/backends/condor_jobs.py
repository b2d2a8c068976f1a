"""Jobs of every kind for a real HTCondor, and what is to be said of each."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gangamon.domain.lane import Lane
from gangamon.domain.observation import Observation, Seen
from gangamon.domain.status import JobStatus
from gangamon.protocols import PollItem
from gangamon.testing.factories import poll_item
from tests.integration.backends.condor import Condor

HERE = Lane("Condor", socket.gethostname())


@dataclass(frozen=True)
class Sent:
    """A job, and the folder in which it runs and is logged."""

    id: str
    folder: Path

    def item(self, log: str = "", **fields: object) -> PollItem:
        extra = {"log": log} if log else {}
        return poll_item(self.id, str(self.folder), extra, native_id=self.id, **fields)


def send(pool: Condor, script: str, *lines: str, count: int = 1) -> Sent:
    """The last of ``count`` jobs."""
    folder = Path(tempfile.mkdtemp(dir=pool.work))
    cluster = pool.submit(script, *lines, count=count, folder=folder)
    return Sent(f"{cluster}.{count - 1}", folder)


def brought_about(pool: Condor) -> Mapping[str, Sent]:
    """Jobs that stay as they are, by name. Limits are expressions: so sites have them."""
    limit = "JobStatus == 2 && time() - EnteredCurrentStatus > 1"
    eats = "x=`head -c 50000000 /dev/zero | tr -c y y`; sleep 900"
    found = {
        "waits": send(pool, "exit 0", "requirements = False"),
        "runs": send(pool, "sleep 900"),
        "well": send(pool, "exit 0"),
        "failed": send(pool, "exit 3"),
        "shot": send(pool, "kill -9 $$"),
        "kept": send(pool, "exit 0", "leave_in_queue = True"),
        "cancelled": send(pool, "sleep 900"),
        "never began": send(pool, "exit 0", "requirements = False"),
        "held": send(pool, "sleep 900"),
        "too large": send(
            pool,
            eats,
            "periodic_hold = ResidentSetSize > 1024 * RequestMemory",
            'periodic_hold_reason = "it used more than its memory"',
        ),
        "over its time": send(pool, "sleep 900", "allowed_job_duration = 1"),
        "too long": send(pool, "sleep 900", f"periodic_remove = {limit}"),
        "too long for us": send(
            pool,
            "sleep 900",
            f"periodic_remove = {limit}",
            'MY.PeriodicRemoveReason = "too long for us"',
        ),
        "later": send(pool, "exit 0", "requirements = False", "max_materialize = 1", count=3),
    }
    for name in ("cancelled", "held", "runs"):
        pool.reaches(found[name].id, "2")
    pool.must("condor_rm", found["cancelled"].id)
    pool.must("condor_rm", "-reason", "not needed", found["never began"].id)
    pool.must("condor_hold", "-reason", "a look at it", found["held"].id)
    for name in GONE:
        pool.reaches(found[name].id, "")
    pool.reaches(found["kept"].id, "4")
    for name in ("held", "too large", "over its time"):
        pool.reaches(found[name].id, "5")
        pool.reaches(found[name].id, "1", attribute="NumJobStarts")  # it is told a moment later
    return found


#: Name -> native status, meaning, a part of the reason; of those that are in the queue.
QUEUED = {
    "waits": ("Idle", JobStatus.SUBMITTED, ""),
    "runs": ("Running", JobStatus.RUNNING, ""),
    "kept": ("Completed", JobStatus.COMPLETED, ""),
    "held": ("Held: a look at it", JobStatus.SUBMITTED, "a look at it"),
    "too large": ("Held: ", JobStatus.SUBMITTED, "it used more than its memory"),
    "over its time": ("Held: ", JobStatus.SUBMITTED, "exceeded allowed job duration"),
    "later": ("Unmaterialized", JobStatus.SUBMITTED, ""),
}
#: The same of those that have left it.
GONE = {
    "well": ("Completed", JobStatus.COMPLETED, ""),
    "failed": ("Completed", JobStatus.FAILED, "the job ended with exit code 3"),
    "shot": ("Completed", JobStatus.FAILED, "the job was ended by signal 9"),
    "cancelled": ("Removed", JobStatus.KILLED, "removed from the queue: via condor_rm"),
    "never began": ("Removed", JobStatus.KILLED, "removed from the queue: not needed"),
    "too long": ("Removed", JobStatus.FAILED, "PeriodicRemove expression"),
    "too long for us": ("Removed", JobStatus.FAILED, "too long for us"),
}


def check(found: Observation, expected: tuple[str, JobStatus, str], name: str) -> Seen:
    native, status, reason = expected
    assert isinstance(found, Seen), (name, found)
    assert found.native_status.startswith(native) and found.status is status, (name, found)
    assert reason in found.reason and bool(reason) == bool(found.reason), (name, found)
    return found
