"""What `gangamon doctor backend Dirac` looks at."""

from __future__ import annotations

import time
from collections.abc import Iterator

from gangamon.backends.examine import fault, lasts
from gangamon.domain.lane import NO_CREDENTIAL, Lane
from gangamon.errors import TransientError
from gangamon.grid import credential
from gangamon.grid.dirac.process import PROGRAMS
from gangamon.protocols import OK, WARN, Finding


def findings(lane: Lane, timeout: float) -> Iterator[Finding]:
    """The proxy, DIRAC's environment and version, how long its Python takes to start, the user."""
    if lane.credential == NO_CREDENTIAL:
        text = "none named: the one that DIRAC finds by itself (/tmp/x509up_u...)"
        yield Finding("credential", WARN, text)
    else:
        try:
            ends = credential.read(lane.credential).ends
            yield lasts(lane.credential, ends, "dirac-proxy-init, before the lane pauses")
        except TransientError as error:
            yield fault("credential", error)
    begun = time.monotonic()
    try:
        with PROGRAMS.lent(lane.endpoint, lane.credential, begun + timeout) as program:
            said = program.ask(begun + timeout, "hello")
    except TransientError as error:
        yield fault("environment", error)
        return
    took = time.monotonic() - begun
    yield Finding("environment", OK, f"{lane.endpoint}: DIRAC's Python answered in {took:.1f} s")
    yield Finding("version", OK, f"DIRAC {said.get('dirac') or 'of unknown version'}")
    if user := said.get("user"):
        yield Finding("user", OK, f"DIRAC knows the proxy's owner as {user}")
    else:
        fix = "dirac-proxy-info; the user must be in DIRAC's Registry"
        yield Finding("user", WARN, "DIRAC does not say whose the proxy is", fix)
