"""A monitored job as the service knows it: frozen, versioned, with its history and evidence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from gangamon.domain.observation import Check, Put, Scalar
from gangamon.domain.status import RANK, JobStatus

_STATE = re.compile(r"(\d{5})\.(\d{4})\.(\d):([a-z]+)")

#: Transitions kept per job; older ones are dropped from the front.
HISTORY_LENGTH = 20

#: What the state string has room for. A backend that starts a job over more often is not counted.
MOST_RESTARTS = 9999


@dataclass(frozen=True, order=True)
class Version:
    """(attempt, restart, rank): grows with every transition of a job, whatever happens."""

    attempt: int
    restart: int
    rank: int


@dataclass(frozen=True)
class Evidence:
    """Why a job has its final status; ``gangamon why`` prints it."""

    source: str
    native_status: str
    exit_code: int | None = None
    reason: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    absences: int = 0


@dataclass(frozen=True)
class Entry:
    """One transition in a job's history. ``at``: seconds since the epoch, the decider's clock."""

    attempt: int
    restart: int
    status: JobStatus
    at: float
    source: str


@dataclass(frozen=True)
class Job:
    """One job or subjob. ``fqid`` is Ganga's (``42`` or ``42.7``).

    ``verdict``: the final status the backend gave while the outputs are still on their way.
    ``absences``, ``absent_at``, ``absent_for``: good answers in a row that did not name the job,
    the last of them, and the seconds they span (a gap in which nobody answered counts little).
    ``checks``: what the checkers said of its outputs; empty if none was run by the service.
    ``left_out``: outputs that were not brought, and why; they change no status.
    ``puts``: outputs that the service has put on storage, or could not.
    ``told_at``: when its attributes last changed without a transition, since the last one; 0: they
    did not.
    ``unmapped``: the native status is not in the backend's table; kept and reported.
    """

    fqid: str
    attempt: int
    status: JobStatus
    restart: int = 0
    native_status: str = ""
    unmapped: bool = False
    site: str = ""
    verdict: JobStatus | None = None
    absences: int = 0
    absent_at: float | None = None
    absent_for: float = 0.0
    stale: bool = False
    evidence: Evidence | None = None
    attributes: Mapping[str, Scalar] = field(default_factory=dict)
    history: tuple[Entry, ...] = ()
    checks: tuple[Check, ...] = ()
    told_at: float = 0.0
    left_out: tuple[str, ...] = ()
    puts: tuple[Put, ...] = ()

    @property
    def version(self) -> Version:
        return Version(self.attempt, self.restart, RANK[self.status])

    @property
    def state(self) -> str:
        return encode_state(self.attempt, self.restart, self.status)

    def but(self, **changes: Any) -> Job:
        """As ``dataclasses.replace``, without its way through ``__init__``, which is five times
        as long and is taken for each job of each answer."""
        made = object.__new__(Job)
        made.__dict__.update(self.__dict__, **changes)
        return made

    def same_version(self, other: Job) -> bool:
        """``self.version == other.version``, without making either."""
        return (
            RANK[self.status] == RANK[other.status]
            and self.restart == other.restart
            and self.attempt == other.attempt
        )


#: Of which a stored job differs in little: its copies are made by ``but``.
BLANK = Job("", 1, JobStatus.SUBMITTED)


@lru_cache(maxsize=1024)
def encode_state(attempt: int, restart: int, status: JobStatus) -> str:
    """The state string the store compares and swaps, e.g. ``00001.0000.2:running``.

    Its order as a string is the order of versions, so a script can refuse what does not grow.
    """
    return f"{attempt:05d}.{restart:04d}.{RANK[status]}:{status.value}"


@lru_cache(maxsize=1024)
def decode_state(text: str) -> tuple[int, int, JobStatus]:
    """(attempt, restart, status) of a state string; ValueError if it is none."""
    match = _STATE.fullmatch(text)
    if match is None:
        raise ValueError(f"not a state: {text!r}")
    return int(match[1]), int(match[2]), JobStatus(match[4])
