"""PBS's job states and exit statuses, and what they mean.

From qstat(1B) and "Job Exit Status Codes" of the PBS Professional User's Guide 2021.1, with the
numbers of src/include/job.h of OpenPBS; for Torque from qstat(1B) 2.4.16 and "Job exit status" of
the TORQUE Administrator Guide 6.1.
"""

from __future__ import annotations

from gangamon.domain.status import JobStatus

WAITS, RUNS = JobStatus.SUBMITTED, JobStatus.RUNNING

#: State -> its meaning; None: it is over, and its exit status says how.
STATES: dict[str, JobStatus | None] = {
    "Q": WAITS,
    "H": WAITS,
    "W": WAITS,  # for its time, or its input could not be staged
    "T": WAITS,  # on its way to another queue or server
    "M": WAITS,  # at another server, where its end is known
    "R": RUNS,
    "S": RUNS,
    "U": RUNS,  # suspended, for somebody uses the workstation
    "B": RUNS,  # an array of which a task has begun
    "E": RUNS,  # after it ran: its outputs are copied
    "C": None,  # Torque
    "F": None,
    "X": None,  # a task of an array
}

#: ``substate`` of a history job: deleted (qdel); not ended by itself (job.h).
TERMINATED, FAILED = 91, 93

#: Negative exit statuses in words: PBS's own, of a job whose script did not get to its end.
#: PBS Professional's.
PRO = {
    -1: "it could not be started, before its files were there",
    -2: "it could not be started, after its files were there",
    -3: "it could not be started",
    -4: "aborted as its MOM started anew",
    -5: "aborted as its MOM started anew, with a checkpoint",
    -6: "aborted as its MOM started anew, with a checkpoint",
    -7: "its restart failed",
    -10: "its user or group is not valid on the node",
    -11: "started over",
    -12: "checkpointed and killed",
    -13: "a bad password",
    -14: "started over, for a node could not join",
    -17: "deleted by a hook",
    -19: "deleted by a hook",
    -21: "a breach of security in PBS's directory",
}

#: Torque's (src/include/job.h, JOB_EXEC_*), where it differs.
TORQUE = PRO | {
    -8: "its initialisation failed",
    -9: "initialisation of the job on another node failed",
    -10: "ended by PBS: beyond its limit of memory",
    -11: "ended by PBS: beyond its limit of wall time",
    -12: "ended by PBS: beyond its limit of CPU time",
    -13: "it could not be started: its user's limits",
}

#: Exit statuses from which on it was a signal: 128 of a shell, 256 of PBS itself.
SIGNALLED = 256


def signal(status: int) -> int:
    """The signal that ended the job; 0: none. 271 is 256 and SIGTERM: how qdel ends a job."""
    return status - SIGNALLED if SIGNALLED < status < SIGNALLED + 128 else 0


def why(status: int, substate: int | None, torque: bool) -> str:
    """The end of a job in words."""
    if status < 0:
        words = (TORQUE if torque else PRO).get(status, "it was not run to its end")
        return f"{words} (exit status {status})"
    if number := signal(status):
        by = "deleted (qdel)" if substate == TERMINATED else "ended from outside: qdel, or a limit"
        return f"{by} (exit status {status}), signal {number}"
    return f"the job ended with exit code {status}"
