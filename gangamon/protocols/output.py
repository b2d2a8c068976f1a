"""Outputs: fetched, merged, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gangamon.domain.command import CheckerSpec, MergerSpec
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Scalar
from gangamon.domain.status import JobStatus


@dataclass(frozen=True)
class FetchOrder:
    """Bring the outputs of one job to ``target``, its output directory in Ganga's workspace.

    ``roots``: directories outside of which nothing may be written or removed."""

    fqid: str
    attempt: int
    target: str
    native_id: str
    extra: Mapping[str, Scalar]
    roots: tuple[str, ...]
    lane: Lane


@dataclass(frozen=True)
class Manifest:
    """What lies in an output directory after a fetch: (relative path, bytes, checksum)."""

    files: tuple[tuple[str, int, str], ...]

    @property
    def bytes(self) -> int:
        return sum(size for _, size, _ in self.files)


class Fetcher(Protocol):
    """Brings outputs. Running twice changes nothing; a file appears whole or not at all."""

    name: str

    def fetch(self, order: FetchOrder) -> Manifest:
        """Raises TransientError to be tried again, PermanentError (OutputMissing) to give up."""
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
    """A merger. ``kind`` is Ganga's class name."""

    kind: str

    def run(self, order: MergeOrder) -> Manifest:
        """What was written, relative to ``target``. Raises MergeFailed with the text Ganga
        would log, TransientError to be tried again."""
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
class CheckOrder:
    """Check what lies in ``output``, the output directory of a job, subjob or master."""

    fqid: str
    spec: CheckerSpec
    output: str


class Checker(Protocol):
    """A checker. ``kind`` is Ganga's class name."""

    kind: str

    def check(self, order: CheckOrder) -> None:
        """Returns if the job passes. Raises CheckFailed with Ganga's reason if it does not,
        CheckImpossible with what Ganga would write into ``checker_errors.txt`` if that cannot be
        said (the job passes then, as in Ganga), TransientError to be tried again."""
        ...
