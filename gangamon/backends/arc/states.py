"""ARC's job states and what they mean.

From "REST interface job states" in the ARC CE REST interface specification 1.0 and 1.1
(https://www.nordugrid.org/arc/arc7/tech/rest/rest.html), and the table in A-REX's source
(src/services/a-rex/rest/rest.cpp, 6.17 and 7).
"""

from __future__ import annotations

from gangamon.domain.status import JobStatus

WAITS, RUNS = JobStatus.SUBMITTED, JobStatus.RUNNING

#: State -> its meaning.
STATES = {
    # session directory made, files may be uploaded
    "ACCEPTING": WAITS,
    "ACCEPTED": WAITS,
    "PREPARING": WAITS,
    "PREPARED": WAITS,
    "SUBMITTING": WAITS,
    "QUEUING": WAITS,
    "RUNNING": RUNS,
    # held or suspended in the batch system
    "HELD": RUNS,
    "EXITINGLRMS": RUNS,
    # in the batch system in a state that A-REX knows no name for
    "OTHER": RUNS,
    # out of the batch system, outputs are yet to be uploaded
    "EXECUTED": RUNS,
    "FINISHING": RUNS,
    # asked to end: not yet an end
    "KILLING": RUNS,
    "FINISHED": JobStatus.COMPLETED,
    "FAILED": JobStatus.FAILED,
    "KILLED": JobStatus.KILLED,
}

#: The CE has deleted the job's files and tells no more how it ended: as good as unknown to it.
WIPED = "WIPED"

#: Why a job ended so, before what A-REX says itself.
WORDS = {
    "FAILED": "the job failed",
    "KILLED": "cancelled in ARC",
}

#: What A-REX writes as the cause of a job that was cancelled (rest.cpp; ``diagnose/failed``).
CANCELLED = "Job is canceled by external request"


def why(state: str, code: int | None, said: str) -> str:
    """The end of a job in words; '' for one that went well. ``said``: A-REX's own words."""
    if state == "FINISHED":
        return f"the job ended with exit code {code}" if code else ""
    parts = [f"{WORDS.get(state, 'ended')} ({state})", *([said] if said else [])]
    return ": ".join(parts)
