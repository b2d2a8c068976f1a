"""The native statuses of the simulated backend, and what they mean.

=============  ============  ===================================================
native status  meaning       when
=============  ============  ===================================================
Waiting        submitted     from its arrival
Running        running
Requeued       submitted     started over by the backend (fault ``requeue``)
Preempted      submitted     the same, to make room (fault ``preempt``)
Done           completed     exit code 0
Failed         failed        exit code other than 0
Killed         killed
Odd            (no meaning)  in the place of any (fault ``unknown``)
=============  ============  ===================================================
"""

from __future__ import annotations

from gangamon.domain.status import JobStatus

WAITING = "Waiting"
RUNNING = "Running"
REQUEUED = "Requeued"
PREEMPTED = "Preempted"
DONE = "Done"
FAILED = "Failed"
KILLED = "Killed"

#: What the table does not know.
ODD = "Odd"

MEANING: dict[str, JobStatus] = {
    WAITING: JobStatus.SUBMITTED,
    RUNNING: JobStatus.RUNNING,
    REQUEUED: JobStatus.SUBMITTED,
    PREEMPTED: JobStatus.SUBMITTED,
    DONE: JobStatus.COMPLETED,
    FAILED: JobStatus.FAILED,
    KILLED: JobStatus.KILLED,
}

ENDED = frozenset({DONE, FAILED, KILLED})
