"""HTCondor's job states and what they mean.

``JobStatus`` in "Job ClassAd Attributes" of the manual (23.9 to 25): 1 to 7. 0 is what
``condor_status.h`` calls unexpanded, which Ganga knows too (Lib/Condor/Condor.py:109, 8.7.12).
A job that ends leaves the queue, unless its description says ``leave_in_queue``: in the queue only
4 is an end. 3 is one that is being removed, and may still run.
"""

from __future__ import annotations

import re

from gangamon.domain.status import JobStatus

IDLE, RUNNING, REMOVED, COMPLETED, HELD = 1, 2, 3, 4, 5

#: Code -> name, as Ganga has them where it has any.
NAMES = {
    0: "Unexpanded",
    IDLE: "Idle",
    RUNNING: "Running",
    REMOVED: "Removed",
    COMPLETED: "Completed",
    HELD: "Held",
    6: "Transferring Output",
    7: "Suspended",
}

#: Code -> its meaning in the queue. COMPLETED: by how it ended. REMOVED: until it has left the
#: queue nothing more is said of it than that it was submitted.
QUEUED = {
    0: JobStatus.SUBMITTED,
    IDLE: JobStatus.SUBMITTED,
    RUNNING: JobStatus.RUNNING,
    REMOVED: JobStatus.SUBMITTED,
    HELD: JobStatus.SUBMITTED,
    6: JobStatus.RUNNING,
    7: JobStatus.RUNNING,
}

#: Why nobody knows how a job is that runs: its machine, or the schedd, was away, and its lease (40
#: minutes by default, "Job Leases" in the manual) has not ended. Until then HTCondor calls it
#: Running, whether its processes live or not.
DISCONNECTED = "disconnected from its machine; HTCondor tries to reconnect until its lease ends"

#: What the schedd adds to the reason that somebody has given, or that the tool gives for them.
_SOMEBODY = re.compile(r"\(by user [^()]*\)\W*$")


def by_rule(reason: str) -> bool:
    """Whether a job was removed by an expression of its description or of the pool (a limit, say),
    and not by somebody. Such a reason may be in the site's own words (PeriodicRemoveReason)."""
    return bool(reason) and _SOMEBODY.search(reason) is None
