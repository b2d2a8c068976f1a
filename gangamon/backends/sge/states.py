"""Grid Engine's job states, the codes of its accounting, and what they mean.

From sge_status(5) and qstat(1) of Son of Grid Engine 8.1.9. A state is a set of letters: ``dRr`` is
a job that runs (r), after it was started over (R), and is being deleted (d).
"""

from __future__ import annotations

from functools import lru_cache

from gangamon.domain.status import JobStatus

#: Letters of a job that waits, and of one that has a host. With both it waits: ``hRwq``, ``Rq``.
WAITS, RUNS = frozenset("qw"), frozenset("rtsST")

#: Letters that say nothing of that: deletion, error, hold, started over.
OTHERS = frozenset("dEhR")

#: It has ended: shown on demand only, and no end by itself.
FINISHED = "z"

#: ``failed`` of the accounting -> description, as qacct prints it.
FAILED = {
    0: "no failure",
    1: "assumedly before job",
    3: "before writing config",
    4: "before writing PID",
    6: "setting processor set",
    7: "before prolog",
    8: "in prolog",
    9: "before pestart",
    10: "in pestart",
    11: "before job",
    12: "before pestop",
    13: "in pestop",
    14: "before epilog",
    15: "in epilog",
    16: "releasing processor set",
    17: "through signal",
    18: "shepherd returned error",
    19: "before writing exit_status",
    20: "found unexpected error file",
    21: "in recognizing job",
    24: "migrating (checkpointing jobs)",
    25: "rescheduling",
    26: "opening output file",
    27: "searching requested shell",
    28: "changing to working directory",
    29: "AFS setup",
    30: "application error returned",
    31: "accessing sgepasswd file",
    32: "entry is missing in password file",
    33: "wrong password",
    34: "communicating with Grid Engine Helper Service",
    35: "before job in Grid Engine Helper Service",
    36: "checking configured daemons",
    37: "qmaster enforced h_rt, h_cpu, or h_vmem limit",
    38: "adding supplementary group",
    100: "assumedly after job",
}

#: The job ran, and its exit code is that of the job: what failed came after it.
RAN = frozenset({0, 12, 13, 14, 15, 16})

#: It ran, and was cut off: by a signal, by a limit, by what was to watch it.
CUT = frozenset({17, 18, 19, 20, 37, 100})

#: It goes back to the queue, and the record is of the run before.
OVER_AGAIN = frozenset({24, 25})

# All others end a run, not the job: that waits in the queue, in the state E or for another host,
# until somebody clears it (qmod -cj) or deletes it, of which the accounting tells nothing.

#: Exit codes of a job by which it asks to be started over, or to be put into the state E
#: (FORBID_RESCHEDULE and FORBID_APPERROR in sge_conf(5)).
RESCHEDULE, APPLICATION_ERROR = 99, 100


@lru_cache(1024)
def meaning(state: str) -> JobStatus | None:
    """None: it has letters that are not known."""
    letters = frozenset(state)
    if letters - WAITS - RUNS - OTHERS or not letters & (WAITS | RUNS):
        return None
    return JobStatus.SUBMITTED if letters & WAITS else JobStatus.RUNNING


def started_over(state: str) -> bool:
    """Whether Grid Engine has started the job over at least once."""
    return "R" in state


def in_error(state: str) -> bool:
    """Whether it waits for somebody to clear its error."""
    return "E" in state


def why(failed: int, status: int) -> str:
    """The end of a job in words. ``failed``: code; ``status``: exit_status, 128 and a signal."""
    signal = f"signal {status - 128}" if 128 < status < 256 else ""
    if failed in RAN:
        after = f"; then {FAILED[failed]} (failed {failed})" if failed else ""
        return f"the job ended with exit code {status}{after}"
    if failed == 37:
        text = "ended by Grid Engine at its limit of time or memory (h_rt, h_cpu, h_vmem)"
    elif failed in (17, 100):
        # It does not tell a qdel from a kill: both end the job by a signal.
        text = "ended by a signal: deleted (qdel), killed on its host, or its host failed"
    else:
        text = f"the job failed: {FAILED.get(failed, 'for an unknown reason')}"
    return ", ".join(filter(None, (f"{text} (failed {failed})", signal)))
