"""TinyQ, asked by its commands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from gangamon.backends.command import Commands, Dialect
from gangamon.backends.examine import commands
from gangamon.domain.cadence import Cadence
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation
from gangamon.errors import CredentialMissing
from gangamon.protocols import OK, Finding, Limits, PollItem
from gangamon_tinyq.answers import parse

DIALECT = Dialect(
    # What its complaints mean; any other is BackendUnreachable.
    faults=((re.compile("token has expired", re.I), CredentialMissing),),
    # A user's own defaults must not change what is printed.
    without=("TINYQ_FORMAT",),
)


class TinyQBackend:
    """One ``tinyq list`` for all jobs of a query; ``tinyq history`` for those that have left."""

    name = "TinyQ"

    def __init__(self) -> None:
        self.limits = Limits(
            jobs=5000,
            timeout=30.0,
            slots=1,
            rate=0.5,
            burst=5,
            cadence=Cadence(floor=20.0, cap=120.0),
        )

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """See gangamon.protocols.Backend."""
        if not items:
            return {}
        found = parse(self._run(lane, "list"), "tinyq list")
        return {item.key: found.get(item.native_id) or Absent("tinyq list") for item in items}

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """See gangamon.protocols.Backend."""
        ids = [item.native_id for item in items if item.native_id.isdecimal()]
        found = parse(self._run(lane, "history", *ids), "tinyq history") if ids else {}
        nothing = Absent("tinyq history", second=True)
        return {item.key: found.get(item.native_id) or nothing for item in items}

    def doctor(self, lane: Lane) -> Iterator[Finding]:
        """See gangamon.protocols.Examined; gangamon itself adds a query."""
        yield from commands(("tinyq",))
        yield Finding("version", OK, self._run(lane, "version").strip())

    def _run(self, lane: Lane, *words: str) -> str:
        return Commands(DIALECT, self.limits.timeout).run("tinyq", "-S", lane.endpoint, *words)
