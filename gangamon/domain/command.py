"""Commands: what an owner may ask of the service. ``wire.py`` reads and writes them as json."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Any

from gangamon.domain.lane import Lane
from gangamon.domain.observation import Scalar
from gangamon.domain.status import JobStatus

#: Jobs in one enqueue command: one batch, one script, some milliseconds of Redis.
BATCH_SIZE = 100

#: An option of a merger: the share of the subjobs, 0.0 to 1.0, that must have completed for it to
#: leave out those that have failed or were killed.
ACCEPTANCE = "acceptance"

#: Sub id of a job that was not split.
UNSPLIT = -1


@dataclass(frozen=True)
class JobSpec:
    """One job to watch. ``sub``: its number in the master, or UNSPLIT. ``extra``: what the
    backend's plugin needs besides the native id (Local: workdir)."""

    sub: int
    attempt: int
    status: JobStatus
    native_id: str
    extra: Mapping[str, Scalar]


@dataclass(frozen=True)
class MergerSpec:
    """A merger of the master job. ``kind`` as Ganga names it; fields as Ganga's IMerger.

    ``options``: what else the kind takes (CustomMerger: module). ``parts``: the mergers that it
    consists of (SmartMerger), which have none themselves.
    """

    kind: str
    files: tuple[str, ...]
    ignorefailed: bool = False
    overwrite: bool = False
    compress: bool = False
    options: Mapping[str, Scalar] = field(default_factory=dict)
    parts: tuple[MergerSpec, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """Its own and those of its parts: what a service must have to run it."""
        return (self.kind, *(part.kind for part in self.parts))

    @property
    def plain(self) -> dict[str, Any]:
        """For json. A field that came later is left out where it says nothing: a service of the
        version before does not know it."""
        body = asdict(self)
        body["parts"] = [part.plain for part in self.parts]
        return _without_empty(body, "options", "parts")


@dataclass(frozen=True)
class CheckerSpec:
    """A checker of a job: ``kind`` as Ganga names it, fields as those of Ganga's FileChecker.

    It checks the subjobs (``check_subjobs``), the master, or the job if it was not split
    (``check_master``): ``files`` are names or patterns, ``search_strings`` regular expressions.
    ``options``: what else the kind takes (CustomChecker: module).
    """

    kind: str
    files: tuple[str, ...]
    search_strings: tuple[str, ...]
    fail_if_found: bool = True
    files_must_exist: bool = True
    check_subjobs: bool = True
    check_master: bool = True
    options: Mapping[str, Scalar] = field(default_factory=dict)

    def wanted(self, sub: int) -> bool:
        """Whether it checks this subjob, or job: in Ganga a job that was not split counts as a
        master (IChecker.py:40, 8.7.12)."""
        return self.check_subjobs if sub != UNSPLIT else self.check_master

    @property
    def digest(self) -> str:
        """The same for the same checker only: by it an answer is known to be about it."""
        return blake2b(repr(sorted(self.plain.items())).encode(), digest_size=8).hexdigest()

    @property
    def plain(self) -> dict[str, Any]:
        """As a MergerSpec's."""
        body = asdict(self)
        body["options"] = dict(sorted(body["options"].items()))
        return _without_empty(body, "options")


@dataclass(frozen=True)
class NotifierSpec:
    """Who tells the user of ends: ``kind`` as Ganga names it. ``options``: what that takes
    (Notifier: address, verbose, smtp, resubmit)."""

    kind: str
    options: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def plain(self) -> dict[str, Any]:
        """For json."""
        return asdict(self)


@dataclass(frozen=True)
class Register:
    """Make a repository known, with the directories that its jobs' paths must lie under.

    ``rates``: backend -> seconds between two queries that its owner wishes; what the lane's backend
    bears stands above it. The newest command counts.
    """

    id: str
    repository: str
    roots: tuple[str, ...]
    rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Enqueue:
    """Watch these jobs (at most BATCH_SIZE, of one master job, in one lane).

    ``workspace``: the master's directory; outputs lie in ``workspace/SUB/output`` (Ganga's
    FileWorkspace), or ``workspace/output`` for a job that was not split. ``total``: subjobs
    the master has, enqueued or not. ``observe``: only ask the backend: nothing is fetched, checked
    or merged, nothing in the workspace is written, and a job ends when the backend says so.
    """

    id: str
    repository: str
    master: int
    total: int
    name: str
    lane: Lane
    workspace: str
    mergers: tuple[MergerSpec, ...]
    jobs: tuple[JobSpec, ...]
    checkers: tuple[CheckerSpec, ...] = ()
    notifiers: tuple[NotifierSpec, ...] = ()
    observe: bool = False


@dataclass(frozen=True)
class Withdraw:
    """Ganga took a job back. ``subs`` empty: the whole master job, and nothing of it is kept;
    else these subjobs, which end with ``status`` as in Ganga. ``observed``: only if the master was
    handed over to be observed."""

    id: str
    repository: str
    master: int
    subs: tuple[int, ...]
    status: JobStatus
    reason: str
    observed: bool = False


@dataclass(frozen=True)
class Refresh:
    """Ask about this master job at the next tick, due or not."""

    id: str
    repository: str
    master: int


@dataclass(frozen=True)
class Pause:
    """Ask nothing in this lane until it is resumed. Only for lanes the owner has jobs in."""

    id: str
    repository: str
    lane: Lane
    reason: str


@dataclass(frozen=True)
class Resume:
    """Ask in this lane again, at once: the end of a pause, and of a breaker that is open."""

    id: str
    repository: str
    lane: Lane


@dataclass(frozen=True)
class Retry:
    """Take dead letters back: those of a master job, or of some of its subjobs."""

    id: str
    repository: str
    master: int
    subs: tuple[int, ...]


@dataclass(frozen=True)
class Reconcile:
    """Give the store back what the journal holds of this owner and the store lost."""

    id: str
    repository: str


Command = Register | Enqueue | Withdraw | Refresh | Pause | Resume | Retry | Reconcile


def _without_empty(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if value or key not in names}


def unknown(
    command: Enqueue,
    mergers: Collection[str],
    checkers: Collection[str],
    notifiers: Collection[str],
) -> list[str]:
    """One line for each postprocessor of a kind that is none of these."""
    found = [
        *(
            (f"mergers[{n}]", kind, mergers)
            for n, m in enumerate(command.mergers)
            for kind in m.kinds
        ),
        *((f"checkers[{n}]", c.kind, checkers) for n, c in enumerate(command.checkers)),
        *((f"notifiers[{n}]", c.kind, notifiers) for n, c in enumerate(command.notifiers)),
    ]
    return [
        f"{where}.kind: got {kind!r}; accepted: {', '.join(sorted(kinds))}"
        for where, kind, kinds in found
        if kind not in kinds
    ]
