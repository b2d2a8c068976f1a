"""What ``gangamon doctor backend DiracX`` looks at."""

from __future__ import annotations

from collections.abc import Iterator

from gangamon.backends.examine import fault, lasts
from gangamon.domain.lane import Lane
from gangamon.errors import TransientError
from gangamon.grid.diracx import Service, tokens
from gangamon.protocols import OK, Finding


def findings(lane: Lane, timeout: float) -> Iterator[Finding]:
    """The tokens, how long they can be renewed, whether DiracX answers, and whom it knows."""
    try:
        ends = tokens.read(lane.credential).ends
        yield lasts(lane.credential, ends, "dirac login, before the lane pauses")
        with Service(lane.endpoint, lane.credential, "", timeout) as service:
            known = service.ask("GET", "/auth/userinfo")
    except TransientError as error:
        yield fault("service", error)
        return
    who = known if isinstance(known, dict) else {}
    yield Finding("service", OK, f"{lane.endpoint} answers")
    user = f"{who.get('preferred_username')}, group {who.get('dirac_group')}, VO {who.get('vo')}"
    yield Finding("user", OK, user)
