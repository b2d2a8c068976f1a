"""Outputs: fetched, merged, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gangamon.domain.command import CheckerSpec, MergerSpec, NotifierSpec
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Put, Scalar
from gangamon.domain.status import JobStatus


@dataclass(frozen=True)
class FetchOrder:
    """Bring the outputs of one job to ``target``, its output directory in Ganga's workspace.

    ``roots``: directories outside of which nothing may be written or removed. ``restart``: how
    often the backend itself has started this attempt over."""

    fqid: str
    attempt: int
    target: str
    native_id: str
    extra: Mapping[str, Scalar]
    roots: tuple[str, ...]
    lane: Lane
    restart: int = 0


@dataclass(frozen=True)
class Manifest:
    """What lies in an output directory after a fetch: (relative path, bytes, checksum).

    ``left_out``: what the job made and is not brought, and why, a line each, for people."""

    files: tuple[tuple[str, int, str], ...]
    left_out: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(size for _, size, _ in self.files)


@dataclass(frozen=True)
class Source:
    """A file on storage. ``url``: or an absolute path. ``credential``: the path of what it is to be
    asked with (proxy, token, profile), '': nothing."""

    url: str
    credential: str = ""


class Storage(Protocol):
    """Where files lie that are known by URLs of these schemes."""

    schemes: tuple[str, ...]

    def bring(self, source: Source, path: str) -> str:
        """Put it at ``path``, whole or not at all, in bounded memory; go on where an earlier call
        was cut off. Its checksum, ``adler32:HEX``.

        Raises CredentialMissing, BackendUnreachable while it cannot be asked, TransientError for
        what may be otherwise next time (not there, changed, cut off, another checksum), DiskFull,
        and OSError of ``path``."""
        ...


class Fetcher(Protocol):
    """Brings outputs. Running twice changes nothing; a file appears whole or not at all."""

    name: str

    def fetch(self, order: FetchOrder) -> Manifest:
        """Raises TransientError to be tried again, PermanentError (OutputMissing) to give up."""
        ...


@runtime_checkable
class Streaming(Fetcher, Protocol):
    """A fetcher that brings the outputs of many jobs at less cost than one by one."""

    def stream(self, orders: Sequence[FetchOrder]) -> AbstractContextManager[Fetcher]:
        """A fetcher that will be given these orders, in this order; some may be left out, and each
        can fail by itself only. Entering and leaving it raises nothing, and asks nobody."""
        ...


@dataclass(frozen=True)
class Placed:
    """``manifest``: what lies in the output directory after ``puts`` were taken out of it."""

    manifest: Manifest
    puts: tuple[Put, ...] = ()


class Putter(Protocol):
    """Puts outputs on storage that stock Ganga puts from the session. Running twice changes
    nothing."""

    def put(
        self,
        order: FetchOrder,
        fetch: Callable[[], Manifest],
        slot: Callable[[str], AbstractContextManager[object]],
    ) -> Placed:
        """``fetch``: brings the outputs; called unless an earlier call has begun to put them, for
        they may be gone from where they came. ``slot``: of an endpoint, for as long as one puts
        there. Raises what ``fetch`` does, PutFailed, StorageAway, PutRefused, BadInput."""
        ...


@dataclass(frozen=True)
class MergeOrder:
    """Merge the files of ended subjobs into ``target``, the master's output directory.

    ``inputs``: (fqid, status, output directory) in Ganga's order, by sub id. ``fences``: beside
    them, a text for each that differs where a subjob was run anew; empty: not known."""

    fqid: str
    attempt: int
    spec: MergerSpec
    target: str
    inputs: Sequence[tuple[str, JobStatus, str]]
    fences: Sequence[str] = ()


class PostProcessor(Protocol):
    """A merger. ``kind`` is Ganga's class name. One with an attribute ``limits`` is given the
    CodeLimits of the settings."""

    kind: str

    def run(self, order: MergeOrder) -> Manifest:
        """What was written, relative to ``target``. Raises MergeFailed with the text Ganga
        would log, TransientError to be tried again, LeftToSession."""
        ...


@runtime_checkable
class Growing(PostProcessor, Protocol):
    """A merger that can begin while jobs still run. What grows is hidden in the target, is known
    again after a crash, and ``run`` goes on from it, or does without."""

    def grow(self, order: MergeOrder, seconds: float) -> bool:
        """Take in more of ``order.inputs``: those of the first subjobs, as many as have ended one
        after the other. Whether more is left, after about so many seconds.

        What would fail ``run`` only ends it: jobs still run, and may run anew. Raises
        TransientError; DiskFull, then nothing stays."""
        ...


@dataclass(frozen=True)
class CodeLimits:
    """What a user's code, or a command run for a merge, may take: wall clock seconds, and megabytes
    of address space of each of its processes (0: no limit)."""

    seconds: float = 3600.0
    megabytes: int = 8192


@dataclass(frozen=True)
class CheckOrder:
    """Check what lies in ``output``, the output directory of a job, subjob or master.

    ``name``: the master's. ``subjobs``: of a master, as MergeOrder.inputs.
    """

    fqid: str
    spec: CheckerSpec
    output: str
    name: str = ""
    subjobs: Sequence[tuple[str, JobStatus, str]] = ()


class Checker(Protocol):
    """A checker. ``kind`` is Ganga's class name. ``limits``: as a PostProcessor's."""

    kind: str

    def check(self, order: CheckOrder) -> None:
        """Returns if the job passes. Raises CheckFailed with Ganga's reason if it does not,
        CheckImpossible with what Ganga would write into ``checker_errors.txt`` if that cannot be
        said (the job passes then, as in Ganga), TransientError to be tried again,
        LeftToSession."""
        ...


@dataclass(frozen=True)
class Event:
    """A job, subjob or master has ended. ``id`` is the same however often it is told."""

    id: str
    fqid: str
    name: str
    status: JobStatus
    subjobs: Mapping[JobStatus, int]
    reason: str = ""


class Notifier(Protocol):
    """A notifier. ``kind`` is Ganga's class name."""

    kind: str

    def wanted(self, spec: NotifierSpec, event: Event) -> bool:
        """Whether the user wants to be told."""
        ...

    def tell(self, spec: NotifierSpec, event: Event) -> None:
        """Tell them, within seconds. Raises TransientError if that cannot be done now."""
        ...
