"""What `gangamon doctor backend Condor` looks at."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from gangamon.backends.command import Commands
from gangamon.backends.condor.ads import JobId
from gangamon.backends.condor.schedd import Schedd
from gangamon.backends.examine import fault
from gangamon.errors import TransientError
from gangamon.protocols import FAIL, OK, WARN, Finding


def findings(ask: Commands, endpoint: str) -> Iterator[Finding]:
    """How the schedd is asked, its version, and whether queue and history answer."""
    yield _way()
    if path := shutil.which("condor_q"):
        try:
            said = ask.run(path, "-version")
            found = re.search(r"\$CondorVersion: (\S+)", said)
            yield Finding("version", OK, found[1] if found else said.strip()[:100])
        except TransientError as error:
            yield fault("version", error)
    schedd = Schedd(endpoint, ask)
    for name, call in (
        ("query", lambda: schedd.queue({0})),
        ("history", lambda: schedd.history([JobId(0, 0)])),
    ):
        begun = time.monotonic()
        try:
            call()
            yield Finding(name, OK, f"answered in {1000 * (time.monotonic() - begun):.0f} ms")
        except TransientError as error:
            yield fault(name, error)


def _way() -> Finding:
    bindings = ""
    if find_spec("htcondor2"):
        try:
            bindings = f"bindings {version('htcondor')}"
        except PackageNotFoundError:
            bindings = "bindings"
    if path := shutil.which("condor_q"):
        return Finding("commands", OK, f"{path}{f'; {bindings} not needed' if bindings else ''}")
    if bindings:
        text = f"not in PATH; {bindings} asked instead"
        return Finding("commands", WARN, text, "a condor_q of the pool's own version is safer")
    fix = "install HTCondor's commands, or: pip install gangamon[htcondor]"
    return Finding("commands", FAIL, "neither condor_q in PATH nor Python bindings", fix)
