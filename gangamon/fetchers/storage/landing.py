"""Where a file from storage lands: hidden until it is whole, and gone on with after a cut.

A large file of a known version lands in ``.gangamon-part-NAME-VERSION`` beside its place (both
digests). That stays when a fetch is cut off, and the next one of the same version, on this host and
since it was started, goes on behind it: what a power cut has left is not trusted. Other files land
in a temporary that nobody finds again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from gangamon.errors import DiskFull, TransientError
from gangamon.fetchers import manifest
from gangamon.outdir.checksum import Rolling, adler32, crc32

#: Bytes from which on it pays to go on with a part.
LARGE = 8 << 20

_CHUNK = 1 << 20
_NEW = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class _Rolling:
    """A checksum of zlib, as hashlib's objects are."""

    def __init__(self, function: Rolling, value: int) -> None:
        self._function, self._value = function, value

    def update(self, chunk: bytes | memoryview) -> None:
        self._value = self._function(chunk, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


_CHECKSUMS: Mapping[str, Callable[[], Any]] = {
    "adler32": lambda: _Rolling(adler32, 1),
    "crc32": lambda: _Rolling(crc32, 0),
    "md5": lambda: hashlib.md5(usedforsecurity=False),
    "sha-1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha-256": hashlib.sha256,
    "sha-512": hashlib.sha512,
}

#: Those that can be compared, the cheapest first.
KNOWN = tuple(_CHECKSUMS)

#: What is kept of each file: what storage of grids has, and a fifth of the time of a cryptographic
#: one, which would take longer than the transfer.
OWN = "adler32"


@dataclass(frozen=True)
class Facts:
    """What a storage says of a file. ``size``: bytes, None: it does not say. ``version``: differs
    where the content does, '' if that is not known. ``checksums``: of KNOWN, in hex."""

    size: int | None
    version: str = ""
    checksums: Mapping[str, str] = field(default_factory=dict)


class Landing:
    """``at``: how many bytes are there."""

    def __init__(self, path: str, facts: Facts, part: str, descriptor: int) -> None:
        self.path, self.facts, self.part = path, facts, part
        self.at = 0
        self._own = _CHECKSUMS[OWN]()
        self._descriptor, self._pieces = descriptor, bytearray()
        self._name = next((name for name in KNOWN if name in facts.checksums), "")
        self._theirs = _CHECKSUMS[self._name]() if self._name and self._name != OWN else self._own

    def write(self, chunk: bytes) -> None:
        """Little pieces are gathered: with each that is written the threads of a worker change
        places. OSError."""
        self.at += len(chunk)
        if len(self._pieces) + len(chunk) < _CHUNK:
            self._pieces += chunk
            return
        if self._pieces:
            self._pieces += chunk
            self.flush()
        else:
            self._put(memoryview(chunk))

    def flush(self) -> None:
        """OSError."""
        pieces, self._pieces = self._pieces, bytearray()
        self._put(memoryview(pieces))

    def _put(self, view: memoryview) -> None:
        self._count(view)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def _count(self, chunk: bytes | memoryview) -> None:
        self._own.update(chunk)
        if self._theirs is not self._own:
            self._theirs.update(chunk)

    def recall(self) -> None:
        """Read what an earlier call has left."""
        left = os.fstat(self._descriptor).st_size
        if self.facts.size is None or left > self.facts.size:
            os.ftruncate(self._descriptor, 0)
            return
        while chunk := os.read(self._descriptor, _CHUNK):
            self.at += len(chunk)
            self._count(chunk)

    def check(self) -> None:
        """Raises TransientError if it is not what the storage said."""
        if self.facts.size is not None and self.at != self.facts.size:
            raise TransientError(
                f"{os.path.basename(self.path)}: cut off: {self.at} bytes came, "
                f"{self.facts.size} were to come"
            )
        if self._name:
            said, found = self.facts.checksums[self._name].lower(), self._theirs.hexdigest()
            if found != said:
                self.wrong = True
                raise TransientError(
                    f"{os.path.basename(self.path)}: wrong checksum: {self._name} of what came is "
                    f"{found}, the storage says {said}"
                )

    @property
    def checksum(self) -> str:
        """Of all that is there, see Storage.bring."""
        return f"{OWN}:{self._own.hexdigest()}"

    #: Its bytes are not to be gone on with.
    wrong = False


def parts(path: str) -> list[str]:
    """What earlier calls have left of this file."""
    return glob.glob(f"{glob.escape(_prefix(path))}*")


def part_of(path: str, facts: Facts) -> str:
    """Where a file of this version lands; '': it is not gone on with."""
    if facts.size is None or facts.size < LARGE or not facts.version:
        return ""
    version = f"{_boot()}\0{facts.size}\0{facts.version}"
    return _prefix(path) + hashlib.blake2b(version.encode(), digest_size=8).hexdigest()


@contextlib.contextmanager
def landing(path: str, facts: Facts) -> Iterator[Landing]:
    """Where to write. If nothing is raised and all is well it is at ``path``. DiskFull,
    TransientError, OSError."""
    made: Landing | None = None
    part, hidden = part_of(path, facts), ""
    try:
        descriptor = _owned(part) if part else None
        if descriptor is None:
            part, hidden = "", manifest.temporary(path)
            descriptor = os.open(hidden, _NEW | os.O_EXCL, 0o666)
        else:
            hidden = part
        try:
            made = Landing(path, facts, part, descriptor)
            if part:
                made.recall()
            try:
                yield made
            finally:
                made.flush()  # also of what was cut off
            made.check()
            os.replace(hidden, path)
        finally:
            os.close(descriptor)
        if part:
            for old in parts(path):
                _remove(old)
    except BaseException as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if hidden and (not part or full or made is None or made.wrong or not made.at):
            _remove(hidden)
        if full:
            raise DiskFull(f"{path}: {os.strerror(errno.ENOSPC)}") from error
        raise


def _owned(part: str) -> int | None:
    """One writer at a time; its end, also by kill, frees it. None where there are no locks.
    TransientError if another has it, OSError."""
    descriptor = os.open(part, _NEW, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.stat(part, follow_symlinks=False).st_ino == os.fstat(descriptor).st_ino:
            return descriptor
        theirs = True  # it was whole just now, and has another name
    except (BlockingIOError, FileNotFoundError):
        theirs = True
    except OSError as error:
        theirs = error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
        if theirs:
            os.close(descriptor)
            raise
        _remove(part)
    os.close(descriptor)
    if theirs:
        raise TransientError(f"{part}: another worker brings this file")
    return None


def _prefix(path: str) -> str:
    folder, name = os.path.split(path)
    digest = hashlib.blake2b(os.fsencode(name), digest_size=8).hexdigest()
    return os.path.join(folder, f"{manifest.PART}{digest}-")


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


@cache
def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return os.urandom(16).hex()  # only this process goes on with its own
