"""DiracX, by its REST interface. What is asked and why: docs/backends.md.

The lane's endpoint is the URL of the DiracX, its credential the path of the file in which its
client keeps the user's tokens. The native id is DiracX's number.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gangamon.backends.diracx import answers, doctor
from gangamon.domain.cadence import Cadence
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Unreachable
from gangamon.errors import TransientError
from gangamon.grid.diracx import Service
from gangamon.protocols import Finding, Limits, PollItem

_ID = re.compile(r"[1-9]\d{0,17}", re.ASCII)


class DiracXBackend:
    """One search for all jobs of a query."""

    name = "DiracX"

    def __init__(self) -> None:
        # One search answers 10,000 jobs; DIRAC's own pace besides.
        self.limits = Limits(
            jobs=10_000,
            timeout=60.0,
            slots=1,
            endpoint_slots=2,
            rate=0.5,
            burst=10,
            cadence=Cadence(floor=30.0, cap=300.0),
        )

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """See Backend. Unreachable: a job that is named as another user's, or that could not be
        read."""
        found: dict[str, Observation] = {}
        owners: dict[str, list[tuple[PollItem, int]]] = defaultdict(list)
        for item in items:
            if _ID.fullmatch(item.native_id):
                owners[item.home.partition(":")[0]].append((item, int(item.native_id)))
            else:
                found[item.key] = Absent(answers.SOURCE)  # DiracX has given it no number
        deadline = time.monotonic() + self.limits.timeout
        errors: list[TransientError] = []
        for owner, asked in owners.items():
            try:
                left = max(deadline - time.monotonic(), 0.001)
                with Service(lane.endpoint, lane.credential, owner, left) as service:
                    ids = sorted({number for _, number in asked})
                    user, vo = _whose(service.ask("GET", "/auth/userinfo"))
                    states = answers.states(service.search(ids, answers.COLUMNS), ids, user, vo)
                found.update({item.key: states[number] for item, number in asked})
            except TransientError as error:
                errors.append(error)
                found.update({item.key: Unreachable(str(error)) for item, _ in asked})
        if errors and len(errors) == len(owners):
            raise errors[0]
        return found

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """See Backend. DiracX tells the story of a job only with the job itself."""
        return {item.key: Absent(answers.SOURCE, second=True) for item in items}

    def doctor(self, lane: Lane) -> Iterable[Finding]:
        """See Examined."""
        return doctor.findings(lane, self.limits.timeout)


def _whose(answer: Any) -> tuple[str, str]:
    """User and VO of the token."""
    known = answer if isinstance(answer, dict) else {}
    user, vo = known.get("preferred_username"), known.get("vo")
    return (user if isinstance(user, str) else "", vo if isinstance(vo, str) else "")
