"""Slurm's job states and what they mean.

From "JOB STATE CODES" in squeue(1) of Slurm 22.05, and for what came later from
https://slurm.schedmd.com/job_state_codes.html. A job has one base state and may have flags; the
commands print a flag in the place of the base state. Only a base state is an end: under a flag
the end, if any, is yet to be shown.
"""

from __future__ import annotations

from functools import lru_cache

from gangamon.domain.status import JobStatus

WAITS, RUNS = JobStatus.SUBMITTED, JobStatus.RUNNING
FAILED = JobStatus.FAILED

#: State -> its meaning.
STATES = {
    # base states
    "PENDING": WAITS,
    "RUNNING": RUNS,
    "SUSPENDED": RUNS,
    "COMPLETED": JobStatus.COMPLETED,
    "CANCELLED": JobStatus.KILLED,
    "FAILED": FAILED,
    "TIMEOUT": FAILED,
    "NODE_FAIL": FAILED,
    "PREEMPTED": FAILED,
    "BOOT_FAIL": FAILED,
    "DEADLINE": FAILED,
    "OUT_OF_MEMORY": FAILED,
    # flags of a job that has its nodes
    "COMPLETING": RUNS,
    "EXPEDITING": RUNS,
    "RESIZING": RUNS,
    "SIGNALING": RUNS,
    "STAGE_OUT": RUNS,
    "STOPPED": RUNS,
    "UPDATE_DB": RUNS,
    # flags of a job that waits for nodes, or for them to be ready
    "CONFIGURING": WAITS,
    "POWER_UP_NODE": WAITS,
    "LAUNCH_FAILED": WAITS,
    "RECONFIG_FAIL": WAITS,
    "REQUEUED": WAITS,
    "REQUEUE_FED": WAITS,
    "REQUEUE_HOLD": WAITS,
    "RESV_DEL_HOLD": WAITS,
    "SPECIAL_EXIT": WAITS,
    # another cluster of the federation has started it: here nothing more is learnt of it
    "REVOKED": WAITS,
}

#: Ends after which Slurm may start a job over (JobRequeue, PreemptMode): the accounting shows them
#: for the run that ended so, also while the next one runs.
REQUEUED = frozenset({"NODE_FAIL", "PREEMPTED", "BOOT_FAIL"})

#: Why a job ended so.
WORDS = {
    "CANCELLED": "cancelled in Slurm",
    "FAILED": "the job failed",
    "TIMEOUT": "ended by Slurm at its time limit",
    "NODE_FAIL": "a node of the job failed",
    "PREEMPTED": "ended by Slurm for a job of higher priority",
    "BOOT_FAIL": "a node of the job could not be booted",
    "DEADLINE": "ended by Slurm at its deadline",
    "OUT_OF_MEMORY": "it used more memory than it had asked for",
}

#: What Slurm gives as a reason and says no more than the state.
_PLAIN = frozenset({"", "None", "NonZeroExitCode"})


@lru_cache(1024)
def state(text: str) -> str:
    """The state in what a command prints: sacct adds ``CANCELLED by 1000``."""
    return text.split(" ", 1)[0].rstrip("+")


def why(name: str, code: int | None, signal: int, reason: str) -> str:
    """The end of a job in words. ``name``: its state. ``code``: exit code; ``signal``: the number,
    0: none. ``reason``: Slurm's own (JOB REASON CODES in squeue(1))."""
    parts = [f"{WORDS.get(name, 'ended')} ({name})"]
    if code:
        parts.append(f"exit code {code}")
    if signal:
        parts.append(f"signal {signal}")
    if reason not in _PLAIN:
        parts.append(f"reason {reason}")
    return ", ".join(parts)
