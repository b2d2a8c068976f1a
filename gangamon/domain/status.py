"""Job statuses: Ganga's own strings, their order, and the pairs gangamon may move between."""

from __future__ import annotations

from enum import Enum


class JobStatus(str, Enum):
    """Ganga's status strings (GPIDev/Lib/Job/Job.py ``status_graph``, 8.7.12) that gangamon uses.

    Each says who moves a job out of it.
    """

    SUBMITTING = "submitting"
    """Ganga is handing the job over; Ganga moves it on."""
    SUBMITTED = "submitted"
    """The backend has it and has not started it; a poll moves it on."""
    RUNNING = "running"
    """The backend runs it; a poll moves it on."""
    COMPLETING = "completing"
    """It ended at the backend, the outputs are on their way; the fetch stage moves it on."""
    COMPLETED = "completed"
    FAILED = "failed"
    KILLED = "killed"

    def __str__(self) -> str:
        return self.value

    # Enum's own is Python code, and runs for each look into the tables below.
    __hash__ = str.__hash__


#: Order of statuses within one (attempt, restart). A commit applies only if it grows.
RANK: dict[JobStatus, int] = {
    JobStatus.SUBMITTING: 0,
    JobStatus.SUBMITTED: 1,
    JobStatus.RUNNING: 2,
    JobStatus.COMPLETING: 3,
    JobStatus.COMPLETED: 4,
    JobStatus.FAILED: 4,
    JobStatus.KILLED: 4,
}

FINAL: frozenset[JobStatus] = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.KILLED})

#: Statuses in which the backend is asked about a job.
POLLED: frozenset[JobStatus] = frozenset({JobStatus.SUBMITTED, JobStatus.RUNNING})

#: The one transition table. A subset of Ganga's ``status_graph``; the test holds it against it.
#: ``submitted`` after ``running`` or ``completing`` is legal only with a new restart.
LEGAL: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.SUBMITTING: frozenset({JobStatus.SUBMITTED, JobStatus.FAILED}),
    JobStatus.SUBMITTED: frozenset(
        {JobStatus.RUNNING, JobStatus.COMPLETING, JobStatus.FAILED, JobStatus.KILLED}
    ),
    JobStatus.RUNNING: frozenset(
        {JobStatus.COMPLETING, JobStatus.FAILED, JobStatus.KILLED, JobStatus.SUBMITTED}
    ),
    JobStatus.COMPLETING: frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.SUBMITTED}),
    JobStatus.COMPLETED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.KILLED: frozenset(),
}
