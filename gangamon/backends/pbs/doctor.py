"""What `gangamon doctor backend PBS` looks at."""

from __future__ import annotations

from collections.abc import Iterator

from gangamon.backends.batch import myself
from gangamon.backends.command import Commands
from gangamon.backends.examine import commands, fault
from gangamon.errors import TransientError
from gangamon.grid import pbs
from gangamon.protocols import FAIL, OK, WARN, Finding

#: Asked for the history of a job that is nobody's.
PROBE = "999999998"


def findings(ask: Commands) -> Iterator[Finding]:
    """Command, version, server, history, and as whom it is asked."""
    found = list(commands(("qstat",)))
    yield from found
    if any(finding.level == FAIL for finding in found):
        return
    try:
        version = ask.run("qstat", "--version").strip().partition("\n")[0]
    except TransientError as error:
        yield fault("version", error)
        return
    yield Finding("version", OK, version or "Torque (it does not say)")
    if name := pbs.server():
        yield Finding("server", OK, name)
    else:
        fix = "set PBS_DEFAULT, or PBS_CONF_FILE, where gangamon is started"
        yield Finding("server", WARN, "no default server is known on this host", fix)
    yield _history(ask, torque="pbs_version" not in version)
    yield Finding("credential", OK, f"asked as {myself() or 'a user without a name'}")


def _history(ask: Commands, torque: bool) -> Finding:
    if torque:
        text = "Torque: ended jobs are remembered for keep_completed, 300 s by default"
        return Finding("history", OK, text)
    try:
        _, error = ask.outcome("qstat", "-x", PROBE)
    except TransientError as problem:
        return fault("history", problem)
    if error is not None and "not configured" in error.complaint:
        text = "none: of an ended job only its wrapper's exit code is known"
        return Finding("history", WARN, text, "qmgr -c 'set server job_history_enable = True'")
    return Finding("history", OK, "ended jobs are remembered (job_history_enable)")
