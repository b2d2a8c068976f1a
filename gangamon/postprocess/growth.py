"""What of a merge is whole while jobs still run, and how a later process knows it.

In the target directory, hidden, KEY being a digest of the merger's spec::

    .gangamon-grow-KEY       the journal; who holds its lock (flock) may write all of these
    .gangamon-grow-KEY.OUT   an output as far as it goes, OUT being a digest of its name

The journal is lines "CRC JSON", only ever appended to; each is on the disk before it counts, and
what it speaks of before it::

    {"v": 1, "spec": [kind, files, ignorefailed, overwrite, compress]}
    {"in": [[fqid, fence, status,
             [[output, path, bytes, st_mtime_ns, st_ctime_ns, end], ...]], ...]}
    {"cut": count}             only so many of the first subjobs are in

``end``: the output's size after this input; null where it cannot be cut back to (inside a gzip
member). A last line that is torn does not count; an output that is longer than the journal says is
cut back, and where one is shorter or missing all begins anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from gangamon.domain.command import MergerSpec
from gangamon.postprocess import manifest

PREFIX = ".gangamon-grow-"

_log = logging.getLogger(__name__)
_VERSION = 1

#: Growths that a process remembers, so that it need not read their journals again.
_REMEMBERED = 8

#: Seconds between two looks at a lock that another has.
_LOOK = 0.05


class Piece(NamedTuple):
    """One input that is in. ``output`` as Ganga names it; ``end`` see above."""

    output: str
    path: str
    size: int
    modified: int
    changed: int
    end: int | None

    def is_still(self, path: str) -> bool:
        """Whether the input is this file, and nobody has touched it. Raises OSError."""
        facts = os.stat(path)
        now = (path, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        return now == (self.path, self.size, self.modified, self.changed)


class Member(NamedTuple):
    """One subjob that is in, perhaps without any input."""

    fqid: str
    fence: str
    status: str
    pieces: tuple[Piece, ...]


class Growth:
    """Of one merger in one target. ``members``: the subjobs that are in, in order; ``sizes``: of
    the outputs, in bytes; ``digests``: the checksum of an output's first so many bytes, where this
    process has it. Methods raise OSError."""

    def __init__(self, target: str, spec: MergerSpec) -> None:
        self._base = base(target, spec)
        self._spec = manifest.as_list(spec)
        self._journal = -1
        self.clear()

    def clear(self) -> None:
        self.members: list[Member] = []
        self.sizes: dict[str, int] = {}
        self.digests: dict[str, tuple[Any, int]] = {}

    def place(self, output: str) -> str:
        """Where an output grows."""
        return f"{self._base}.{_digest(os.fsencode(output))}"

    def add(self, members: Sequence[Member]) -> None:
        """They are in. What they gave to the outputs is on the disk."""
        self._append({"in": members})
        self._enter(members)

    def cut(self, count: int) -> None:
        """Only the first ``count`` subjobs are in, or fewer where that cannot be cut back to."""
        if count >= len(self.members):
            return
        count = self._edge(count)
        self._append({"cut": count})
        self._leave(count)

    # --- the journal ------------------------------------------------------------------------

    def load(self, journal: int) -> None:
        """Read the journal behind an open, locked descriptor."""
        self.clear()
        self._journal = journal
        with open(journal, "rb", closefd=False) as file:
            lines = file.read().splitlines(keepends=True)
        good = 0
        for n, line in enumerate(lines):
            body = _body(line)
            if body is None or (n == 0 and body != {"v": _VERSION, "spec": self._spec}):
                break
            if "in" in body:
                self._enter([_member(row) for row in body["in"]])
            elif "cut" in body:
                self._leave(body["cut"])
            good += len(line)
        if good and self._whole():
            os.ftruncate(journal, good)
            return
        self.clear()
        os.ftruncate(journal, 0)
        self._append({"v": _VERSION, "spec": self._spec})

    def resume(self, journal: int) -> None:
        """Go on from what this process remembers, with another descriptor."""
        self._journal = journal
        if not self._whole():
            self.load(journal)

    def _append(self, body: object) -> None:
        text = json.dumps(body, separators=(",", ":")).encode("ascii")
        os.lseek(self._journal, 0, os.SEEK_END)
        manifest.write_all(self._journal, b"%08x %s\n" % (zlib.crc32(text), text))
        os.fsync(self._journal)

    def _enter(self, members: Sequence[Member]) -> None:
        for member in members:
            for piece in member.pieces:
                if piece.end is not None:
                    self.sizes[piece.output] = piece.end
        self.members += members

    def _leave(self, count: int) -> None:
        del self.members[count:]
        self.sizes = {
            piece.output: piece.end
            for member in self.members
            for piece in member.pieces
            if piece.end is not None
        }
        for output, (_, upto) in list(self.digests.items()):
            if upto > self.sizes.get(output, 0):
                del self.digests[output]

    def _edge(self, count: int) -> int:
        """The most subjobs, up to ``count``, after which every output may be cut off."""
        best = 0
        inside: set[str] = set()
        for n, member in enumerate(self.members[:count], 1):
            for piece in member.pieces:
                (inside.add if piece.end is None else inside.discard)(piece.output)
            if not inside:
                best = n
        return best

    def _whole(self) -> bool:
        """Whether the outputs hold what the journal says."""
        try:
            return all(os.stat(self.place(o)).st_size >= size for o, size in self.sizes.items())
        except FileNotFoundError:
            return False


_remembered: dict[str, tuple[tuple[int, int, int], Growth]] = {}


@contextmanager
def opened(
    target: str, spec: MergerSpec, *, create: bool, wait: float = 0.0
) -> Iterator[Growth | None]:
    """The growth, ours alone meanwhile. None: another has it (for longer than ``wait`` seconds),
    the file system has no locks, or (without ``create``) there is none. Raises OSError."""
    path = base(target, spec)
    journal = _locked(path, create, wait)
    if journal is None:
        yield None
        return
    try:
        facts, known = _remembered.pop(path, (None, None))
        if known is not None and facts == _facts(journal):
            known.resume(journal)
        else:
            known = Growth(target, spec)
            known.load(journal)
        yield known
        _remembered[path] = (_facts(journal), known)
        while len(_remembered) > _REMEMBERED:
            del _remembered[next(iter(_remembered))]
    finally:
        os.close(journal)


def base(target: str, spec: MergerSpec) -> str:
    return os.path.join(target, PREFIX + _digest(json.dumps(manifest.as_list(spec)).encode()))


def discard(target: str, spec: MergerSpec) -> None:
    """Remove what grows there for this merger, whoever has it. Raises OSError."""
    with suppress(FileNotFoundError, NotADirectoryError):
        _remove(base(target, spec))


def forget(target: str) -> None:
    """Remove all that grows there. Raises TransientError."""
    with manifest.disk(target), suppress(FileNotFoundError, NotADirectoryError):
        _remove(os.path.join(target, PREFIX))


def _digest(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def _remove(start: str) -> None:
    directory, name = os.path.split(start)
    with os.scandir(directory) as entries:
        found = [entry.path for entry in entries if entry.name.startswith(name)]
    for path in found:
        manifest.discard(path)
        _remembered.pop(path, None)


def _locked(path: str, create: bool, wait: float) -> int | None:
    until = time.monotonic() + wait
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(path).st_ino == os.fstat(file).st_ino:
                return file
        except (BlockingIOError, FileNotFoundError):
            pass  # another has it, or has removed it just now
        except OSError as error:
            _log.warning("%s: cannot be locked: %s", path, error.strerror)
            until = 0.0
        os.close(file)
        if time.monotonic() >= until:
            return None
        time.sleep(_LOOK)


def _facts(journal: int) -> tuple[int, int, int]:
    facts = os.fstat(journal)
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def _body(line: bytes) -> dict[str, Any] | None:
    crc, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or crc != b"%08x" % zlib.crc32(text):
        return None
    body = json.loads(text)
    return body if isinstance(body, dict) else None


def _member(row: Sequence[Any]) -> Member:
    fqid, fence, status, pieces = row
    return Member(fqid, fence, status, tuple([Piece(*piece) for piece in pieces]))
