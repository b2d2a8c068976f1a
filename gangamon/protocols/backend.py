"""Backends: asked in bulk, polite, never guessing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from gangamon.domain.cadence import Cadence
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Observation, Scalar
from gangamon.domain.status import JobStatus
from gangamon.domain.transition import AbsencePolicy


@dataclass(frozen=True)
class PollItem:
    """One job of a query. ``output``: its output directory (absolute). ``home``: its owner and
    repository, for several may have a job of this fqid. ``restarts``: how often the backend had
    started it over when it was last heard of. ``key``: its name in the query, under which it is
    answered."""

    fqid: str
    native_id: str
    status: JobStatus
    output: str
    extra: Mapping[str, Scalar] = field(default_factory=dict)
    home: str = ""
    restarts: int = 0
    key: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"{self.home}/{self.fqid}" if self.home else self.fqid)


@dataclass(frozen=True)
class Limits:
    """What a backend bears. ``jobs``: most jobs of one query. ``timeout``: seconds of one query.
    ``slots``: queries at the same time in one lane, ``endpoint_slots`` in all lanes of an endpoint.
    ``rate``, ``burst``: a token bucket of queries a second for each lane (Slurm's own limiter has
    2 and 30 by default)."""

    jobs: int = 1000
    timeout: float = 60.0
    slots: int = 2
    endpoint_slots: int = 4
    rate: float = 2.0
    burst: int = 30
    cadence: Cadence = field(default_factory=Cadence)
    absence: AbsencePolicy = field(default_factory=AbsencePolicy)


#: How good a finding is: as it should be; works with less than it could; does not work.
OK, WARN, FAIL = "OK", "WARN", "FAIL"


@dataclass(frozen=True)
class Finding:
    """What was tried, how it went (``level``), in words, and what to do about it (``fix``)."""

    name: str
    level: str
    text: str
    fix: str = ""


class Backend(Protocol):
    """A kind of batch system or grid, asked in bulk. ``name`` is Ganga's class name."""

    name: str
    limits: Limits

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """One bulk query: exactly one of Seen or Absent for each item, by key; Unreachable for one
        that could not be asked about where others could.

        Raises TransientError if the backend could not be asked (nothing is learnt); never
        returns a guess. Must give up after ``limits.timeout`` seconds.
        """
        ...

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """Accounting, history or the like, for jobs the poll misses: Seen, or Absent(second);
        Unreachable for one about which it could not be asked."""
        ...


@runtime_checkable
class Examined(Protocol):
    """A backend that can say more of itself than how one query goes: optional."""

    def doctor(self, lane: Lane) -> Iterable[Finding]:
        """Tries what the polls of this lane need: commands, version, accounting, credential.

        Raises nothing where something is missing: that is a finding. A TransientError is one, too.
        May take ``limits.timeout`` seconds for each thing it tries. A finding ``query`` stands for
        a query of its own, in the place of one poll about a job that is nobody's.
        """
        ...
