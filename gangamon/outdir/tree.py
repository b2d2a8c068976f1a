"""An output directory: what lies in it, and how a file gets there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from gangamon.errors import DiskFull

#: The manifest, see gangamon/fetchers/manifest.py.
NAME = ".gangamon-manifest.json"

#: Our own files in an output directory begin with this and are no outputs.
OURS = ".gangamon-"

#: What is not whole yet, and will be gone on with (fetchers/storage/landing.py).
PART = f"{OURS}part-"

#: Seconds after which a temporary manifest, or a part, belongs to a process that died.
_ABANDONED, _PART_ABANDONED = 3600.0, 7 * 86400.0


class Found(NamedTuple):
    """A file of an output directory. ``path``: relative to it; ``real``: where it lies."""

    path: str
    real: str
    size: int
    modified_ns: int


class Fresh(NamedTuple):
    """A file that was just written, as its descriptor knew it."""

    inode: int
    size: int
    modified_ns: int
    checksum: str


@contextlib.contextmanager
def directory(path: str) -> Iterator[int]:
    """A descriptor of it. OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def real(path: str, descriptor: int) -> str:
    """``os.path.realpath`` of a directory that is open, by the one call that takes."""
    try:
        # proc(5)
        if (found := os.readlink(f"/proc/self/fd/{descriptor}")).startswith("/"):
            return found
    except OSError:
        pass
    return os.path.realpath(path)


def under(path: str, roots: tuple[str, ...]) -> bool:
    """Whether ``path`` (absolute, without links) lies strictly under one of the roots."""
    # A root that such a path begins with is itself without links.
    if any(root.startswith("/") and path.startswith(f"{root.rstrip('/')}/") for root in roots):
        return True
    reals = (os.path.realpath(root) for root in roots)
    return any(path != real and os.path.commonpath((path, real)) == real for real in reals)


def listing(
    target: str, roots: tuple[str, ...], fresh: Mapping[str, Fresh] = MappingProxyType({})
) -> list[Found]:
    """The regular files of a directory tree, by path. ``fresh``: files of its top, whose facts are
    known as long as the name is theirs. Raises OSError.

    Links to directories are not followed, links to files only where they stay within the roots.
    """
    return sorted(_walk(target, "", roots, fresh))  # no two have the same path


def _walk(
    directory: str, prefix: str, roots: tuple[str, ...], fresh: Mapping[str, Fresh]
) -> Iterator[Found]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if (known := fresh.get(entry.name)) and known.inode == entry.inode():
                yield Found(entry.name, entry.path, known.size, known.modified_ns)
            elif entry.name.startswith(OURS):
                _tidy(entry)
            elif entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, f"{prefix}{entry.name}/", roots, {})
            else:
                real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
                if entry.is_symlink() and not (os.path.isfile(real) and under(real, roots)):
                    continue
                facts = os.stat(real)
                if stat.S_ISREG(facts.st_mode):
                    yield Found(prefix + entry.name, real, facts.st_size, facts.st_mtime_ns)


def _tidy(entry: os.DirEntry[str]) -> None:
    """Remove what a process that was killed while it wrote has left."""
    for start, most in ((f"{NAME}.", _ABANDONED), (PART, _PART_ABANDONED)):
        if entry.name.startswith(start):
            if time.time() - entry.stat(follow_symlinks=False).st_mtime > most:
                os.unlink(entry.path)
            return


def temporary(path: str) -> str:
    """A hidden name beside it."""
    return os.path.join(os.path.dirname(path), f"{NAME}.{os.urandom(8).hex()}")


@contextlib.contextmanager
def cleared(temporary: str, path: str) -> Iterator[None]:
    """Whatever is raised, the temporary is gone then. DiskFull, named after ``path``."""
    try:
        yield
    except BaseException as error:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"{path}: {error.strerror}") from error
        raise


def create(path: str, folder: int | None = None) -> int:
    """A new file's descriptor. ``folder``: that of the directory which a relative path begins in.
    OSError, also where it is there."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.open(path, flags, 0o666, dir_fd=folder)


def write(descriptor: int, data: bytes) -> None:
    """All of it. OSError."""
    while data:
        data = data[os.write(descriptor, data) :]
