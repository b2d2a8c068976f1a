"""DIRAC, asked within its own environment (gangamon.grid.dirac). States: ``states.py``; what is
asked and why: docs/backends.md.

The lane's endpoint says where that environment is (grid/dirac/environment.py), its credential is
the path of the proxy. The native id is DIRAC's number.
"""

from __future__ import annotations

import random
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gangamon.backends.dirac import answers, doctor
from gangamon.domain.cadence import Cadence
from gangamon.domain.lane import NO_CREDENTIAL, Lane
from gangamon.domain.observation import Absent, Observation, Unreachable
from gangamon.errors import TransientError
from gangamon.grid import credential
from gangamon.grid.dirac.process import PROGRAMS, Program
from gangamon.protocols import Finding, Limits, PollItem

#: Jobs whose story is read in one query: JobLoggingDB is asked job by job.
STORIES = 50

_ID = re.compile(r"[1-9]\d{0,17}", re.ASCII)

Asked = Sequence[tuple[PollItem, int]]
Ask = Callable[[Program, float, Asked], dict[str, Observation]]


class DiracBackend:
    """One getJobsSummary for all jobs of a query; JobLoggingDB for those that JobDB has lost."""

    name = "Dirac"

    def __init__(self) -> None:
        # As many in one call as Ganga ([DIRAC]numParallelJobs); its own period is 50 s. The
        # time-out includes the start of DIRAC's Python, on CVMFS the longest part.
        self.limits = Limits(
            jobs=1000,
            timeout=120.0,
            slots=1,
            endpoint_slots=2,
            rate=0.5,
            burst=10,
            cadence=Cadence(floor=30.0, cap=300.0),
        )

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """See Backend. Unreachable: a job whose attributes could not be read, or that is of
        another user than the proxy."""

        def ask(program: Program, deadline: float, asked: Asked) -> dict[str, Observation]:
            answer = program.ask(deadline, "states", ids=_ids(asked))
            return _by_key(asked, answers.states(answer, _ids(asked)))

        return self._each(lane, items, ask, Absent(answers.MONITORING))

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """See Backend. Unreachable: those for whose stories one query is too short."""

        def ask(program: Program, deadline: float, asked: Asked) -> dict[str, Observation]:
            ids = _ids(asked)
            # Others each time: those that nothing is known of are asked about again and again.
            ids = random.sample(ids, min(STORIES, len(ids)))
            answer = program.ask(deadline, "stories", ids=ids)
            return _by_key(asked, answers.stories(answer, ids))

        return self._each(lane, items, ask, Absent(answers.LOGGING, second=True))

    def doctor(self, lane: Lane) -> Iterable[Finding]:
        """See Examined."""
        return doctor.findings(lane, self.limits.timeout)

    def _each(
        self, lane: Lane, items: Sequence[PollItem], ask: Ask, nothing: Absent
    ) -> dict[str, Observation]:
        """Ask for each owner: the proxy must be his. Raises the error where none could be asked."""
        deadline = time.monotonic() + self.limits.timeout
        found: dict[str, Observation] = {}
        owners: dict[str, list[tuple[PollItem, int]]] = defaultdict(list)
        for item in items:
            if _ID.fullmatch(item.native_id):
                owners[item.home.partition(":")[0]].append((item, int(item.native_id)))
            else:
                found[item.key] = nothing  # DIRAC has given it no number
        errors: list[TransientError] = []
        for owner, asked in owners.items():
            try:
                if lane.credential != NO_CREDENTIAL:
                    credential.read(lane.credential, owner)
                with PROGRAMS.lent(lane.endpoint, lane.credential, deadline) as program:
                    found.update(ask(program, deadline, asked))
            except TransientError as error:
                errors.append(error)
                found.update({item.key: Unreachable(str(error)) for item, _ in asked})
        if errors and len(errors) == len(owners):
            raise errors[0]
        return found


def _ids(asked: Asked) -> list[int]:
    return sorted({number for _, number in asked})


def _by_key(asked: Asked, found: Mapping[int, Observation]) -> dict[str, Any]:
    later = Unreachable("DIRAC: not asked about yet")
    return {item.key: found.get(number, later) for item, number in asked}
