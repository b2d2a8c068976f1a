"""What `gangamon doctor backend LSF` looks at."""

from __future__ import annotations

from collections.abc import Iterator

from gangamon.backends.batch import myself
from gangamon.backends.command import Commands
from gangamon.backends.examine import commands, fault
from gangamon.errors import TransientError
from gangamon.grid import lsf
from gangamon.protocols import FAIL, OK, WARN, Finding


def findings(ask: Commands) -> Iterator[Finding]:
    """Commands, version, cluster, and as whom it is asked."""
    found = list(commands(("bjobs",), ("bhist",)))
    yield from found
    if any(finding.level == FAIL for finding in found):
        return
    try:
        # lsid(1): version, "My cluster name is ...", "My master name is ..."
        lines = ask.run("lsid").strip().splitlines()
        yield Finding("version", OK, "; ".join(line.strip() for line in lines if line.strip()))
    except TransientError as error:
        yield fault("version", error)
    if name := lsf.cluster():
        yield Finding("cluster", OK, name)
    else:
        fix = "set LSF_ENVDIR (profile.lsf) where gangamon is started"
        yield Finding("cluster", WARN, "no lsf.cluster.NAME: jobs are asked as this host's", fix)
    yield Finding("credential", OK, f"asked as {myself() or 'a user without a name'}")
