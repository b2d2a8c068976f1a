"""What ``gangamon doctor backend ARC`` looks at."""

from __future__ import annotations

from collections.abc import Iterator

from gangamon.backends.examine import fault, lasts
from gangamon.domain.lane import Lane
from gangamon.errors import TransientError
from gangamon.grid import arc, credential
from gangamon.protocols import FAIL, OK, Finding


def findings(lane: Lane, timeout: float) -> Iterator[Finding]:
    """The proxy or token, the CAs, A-REX's versions, and whether it takes the user."""
    try:
        known = credential.read(lane.credential)
        kind = "token" if known.token else "X.509 proxy"
        fix = "a new one in its place (arcproxy, oidc-token), before the lane pauses"
        yield lasts(f"{kind} {known.path}", known.ends, fix)
        credential.trusted()
    except TransientError as error:
        yield fault("credential", error)
        return
    service = arc.service(lane.endpoint)
    if not service:
        text = f"{lane.endpoint!r}: no CE; accepted: its host, or https://HOST[:PORT]/PATH"
        yield Finding("service", FAIL, text, "--endpoint")
        return
    try:
        with arc.requests(timeout, lane.credential) as requests:
            answer = requests.ask("GET", f"{service}/rest").value
            yield _versions(service, answer)
            requests.ask("GET", arc.jobs(service))
            yield Finding("user", OK, "A-REX takes this user's credential")
    except TransientError as error:
        yield fault("service", error)


def _versions(service: str, answer: object) -> Finding:
    found = answer.get("version") if isinstance(answer, dict) else None
    versions = [str(version) for version in (found if isinstance(found, list) else [found])]
    text = f"{service}: REST {', '.join(versions)}"
    if arc.VERSION in versions:
        return Finding("service", OK, text)
    return Finding("service", FAIL, text, f"an A-REX that speaks REST {arc.VERSION} (ARC 6.12)")
