"""What was seen of a job. Three kinds from a backend, never mixed, and what the stages report.

``Seen``: the backend answered and named the job. ``Absent``: it answered well and did not name
it. ``Unreachable``: it could not be asked, so nothing is learnt about any job.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gangamon.domain.status import JobStatus

#: Values that may travel to Ganga's backend object (``job.backend.<name>``).
Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Seen:
    """The backend named the job.

    ``status`` is what the backend's own table says ``native_status`` means, one of submitted,
    running, completed, failed, killed; None for a code the table does not know. Times are
    seconds since the epoch, UTC. ``restarts`` counts how often the backend itself started the
    job over. ``attributes`` go to Ganga's ``job.backend`` as they are.
    """

    native_status: str
    status: JobStatus | None
    source: str
    site: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    reason: str = ""
    restarts: int = 0
    attributes: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class Absent:
    """A good answer that did not name the job. ``second``: the second source gave it."""

    source: str
    second: bool = False


@dataclass(frozen=True)
class Unreachable:
    """The backend could not be asked. ``reason`` is for people."""

    reason: str


@dataclass(frozen=True)
class Check:
    """What a checker said. ``ok``: the job passes. ``reason``: why not, as Ganga says it.
    ``error``: it could not check, and in Ganga's meaning the job passes. ``spec``: the digest of
    the CheckerSpec."""

    kind: str
    spec: str
    ok: bool
    reason: str = ""
    error: str = ""


@dataclass(frozen=True)
class Put:
    """What became of one of a job's output files that is put on storage. ``number``: its place
    among them. ``files``: (name, location) of each file that is there. ``reason``: why one could
    not be put."""

    number: int
    files: tuple[tuple[str, str], ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Fetched:
    """The fetch stage ended for good: outputs in place (``ok``) or never to come (``reason``).
    ``checks``: what the checkers said of the outputs, in Ganga's order. ``left_out``: outputs that
    are not brought, and why, a line each. ``puts``: outputs that were put on storage."""

    ok: bool
    reason: str = ""
    files: int = 0
    bytes: int = 0
    checks: tuple[Check, ...] = ()
    left_out: tuple[str, ...] = ()
    puts: tuple[Put, ...] = ()


@dataclass(frozen=True)
class Withdrawn:
    """The owner took the job back in Ganga (kill, force_status): its status is Ganga's."""

    status: JobStatus
    reason: str


Observation = Seen | Absent | Unreachable | Fetched | Withdrawn
