"""What `gangamon doctor backend SGE` looks at."""

from __future__ import annotations

import os
from collections.abc import Iterator

from gangamon.backends.batch import myself
from gangamon.backends.command import Commands
from gangamon.backends.examine import commands, fault
from gangamon.errors import TransientError
from gangamon.grid import gridengine
from gangamon.protocols import FAIL, OK, WARN, Finding

SET = "set SGE_ROOT and SGE_CELL (settings.sh of the cell) where gangamon is started"


def findings(ask: Commands) -> Iterator[Finding]:
    """Commands, version, cluster, accounting, and as whom it is asked."""
    found = list(commands(("qstat",), ("qacct",)))
    yield from found
    if any(finding.level == FAIL for finding in found):
        return
    try:
        yield Finding("version", OK, ask.run("qstat", "-help").partition("\n")[0].strip())
    except TransientError as error:
        yield fault("version", error)
    name = gridengine.cluster()
    if name:
        yield Finding("cluster", OK, f"{name}, qmaster on {gridengine.qmaster() or '?'}")
    else:
        yield Finding("cluster", WARN, "no cell found: jobs are asked about as this host's", SET)
    yield _accounting()
    yield Finding("credential", OK, f"asked as {myself() or 'a user without a name'}")


def _accounting() -> Finding:
    """qacct reads a file of the cell, which need not be on this host."""
    folder = gridengine.common()
    path = folder / "accounting" if folder else None
    if path is None or not path.exists():
        text = "no accounting file: of ended jobs only their wrapper's exit code is known"
        return Finding("accounting", WARN, text, f"mount the cell's common directory; or {SET}")
    if not os.access(path, os.R_OK):
        return Finding("accounting", WARN, f"{path} is not readable", "ask for read access to it")
    size = path.stat().st_size
    return Finding("accounting", OK, f"{path}, {size / 2**20:.0f} MiB, read whole for each query")
