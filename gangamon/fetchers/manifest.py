"""The manifest of a job's output directory: what lies in it, so that nothing is fetched twice.

``OUTPUT/.gangamon-manifest.json``::

    {"v": 1, "fqid": "42.7", "attempt": 1,
     "files": [[path, bytes, checksum, st_mtime_ns], ...],         by path, relative to OUTPUT
     "left_out": [LINE, ...]}                                      only where something was

A checksum is blake2b-128 in hex, or (of a file from storage) ``adler32:HEX``.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import IO

from gangamon.errors import BadInput, DiskFull, StorageAway, TransientError
from gangamon.protocols import Manifest

NAME = ".gangamon-manifest.json"

#: Our own files in an output directory begin with this and are no outputs.
OURS = ".gangamon-"

#: Why what a job has called so is left out.
RESERVED = "a name that gangamon keeps for its own files"

#: What is not whole yet, and will be gone on with (storage/landing.py).
PART = f"{OURS}part-"

#: Lines that are kept of what was left out of one job's outputs, and characters of a name in them.
TOLD, _LONG = 20, 200

_VERSION = 1
_CHUNK = 1 << 20

#: Seconds after which a temporary manifest, or a part, belongs to a process that died.
_ABANDONED, _PART_ABANDONED = 3600.0, 7 * 86400.0


@dataclass(frozen=True)
class Found:
    """A file of an output directory. ``path``: relative to it; ``real``: where it lies."""

    path: str
    real: str
    size: int
    modified_ns: int


def under(path: str, roots: tuple[str, ...]) -> bool:
    """Whether ``path`` (absolute, without links) lies strictly under one of the roots."""
    reals = (os.path.realpath(root) for root in roots)
    return any(path != real and os.path.commonpath((path, real)) == real for real in reals)


def listing(target: str, roots: tuple[str, ...]) -> list[Found]:
    """The regular files of a directory tree, by path. Raises OSError.

    Links to directories are not followed, links to files only where they stay within the roots.
    """
    return sorted(_walk(target, "", roots), key=lambda found: found.path)


def _walk(directory: str, prefix: str, roots: tuple[str, ...]) -> Iterator[Found]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.startswith(OURS):
                _tidy(entry)
            elif entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, f"{prefix}{entry.name}/", roots)
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


def known(target: str, attempt: int, found: list[Found]) -> Manifest | None:
    """The stored manifest, if it is of this attempt and fits what was found; else None."""
    try:
        with open(os.path.join(target, NAME), encoding="ascii") as file:
            body = json.load(file)
        if (body["v"], body["attempt"]) != (_VERSION, attempt):
            return None
        facts = [(path, size, modified) for path, size, _, modified in body["files"]]
        sums = tuple((str(p), int(size), str(checksum)) for p, size, checksum, _ in body["files"])
        left_out = tuple(map(str, body.get("left_out", ())))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return None  # not ours, or cut off when the host lost its power
    if facts != [(f.path, f.size, f.modified_ns) for f in found]:
        return None
    return Manifest(sums, left_out)


def write(
    target: str,
    fqid: str,
    attempt: int,
    found: list[Found],
    known: Mapping[str, str] = MappingProxyType({}),
    left_out: Sequence[str] = (),
) -> Manifest:
    """Read every file once and write the manifest. DiskFull, OSError, or TransientError if a
    file changes meanwhile. ``known``: checksums of files that were just brought, by path.
    ``left_out``: what is not brought, and why; of many the first are told, and how many more.

    Nothing is forced to disk: a manifest that a power cut takes is made again from the files,
    and the files are the wrapper's, which had done with them.
    """
    sums = tuple((f.path, f.size, known.get(f.path) or _checksum(f)) for f in found)
    files = [[*entry, f.modified_ns] for entry, f in zip(sums, found, strict=True)]
    body = {"v": _VERSION, "fqid": fqid, "attempt": attempt, "files": files}
    told = tuple(left_out[:TOLD])
    if (more := len(left_out) - len(told)) > 0:
        told += (f"and {more} more",)
    if told:
        body["left_out"] = told
    put(os.path.join(target, NAME), io.BytesIO(json.dumps(body).encode("ascii")))
    return Manifest(sums, told)


def left_out(name: str, why: str) -> str:
    """A line of Manifest.left_out. What the job called it is shown without control characters: it
    may have been made for the eyes of who reads it."""
    shown = repr(name)
    return f"{shown if len(shown) <= _LONG else shown[:_LONG] + '...'}: {why}"


def put(path: str, content: IO[bytes]) -> None:
    """Copy a stream to a file, which appears whole or not at all. DiskFull, OSError."""
    with placed(path) as file:
        shutil.copyfileobj(content, file, _CHUNK)


@contextlib.contextmanager
def placed(path: str) -> Iterator[IO[bytes]]:
    """A temporary to write to, which becomes the file if nothing is raised. DiskFull, OSError."""
    name = temporary(path)
    with cleared(name, path):
        with open(name, "xb") as file:
            yield file
        os.replace(name, path)


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


def make(target: str, fqid: str) -> None:
    """The output directory, where Ganga has not made it (it does for subjobs of a block only as it
    downloads). StorageAway where the directory of all master jobs holds nothing: a home that is not
    mounted is not made. OSError."""
    if os.path.isdir(target):
        return
    top = target
    for _ in range(3 if "." in fqid else 2):
        top = os.path.dirname(top)
    if not os.listdir(top):
        raise StorageAway(f"{top}: empty, though it must hold the job {fqid}")
    os.makedirs(target, exist_ok=True)


def spot(target: str, parts: Sequence[str]) -> str:
    """The path of a file below ``target``, in directories that are made. BadInput where one is a
    link, which may lead out of it; OSError."""
    folder = target
    for part in parts[:-1]:
        folder = os.path.join(folder, part)
        if os.path.islink(folder):
            raise BadInput([f"{folder}: a link, where a directory is to be"])
        os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, parts[-1])


def _checksum(found: Found) -> str:
    """blake2b with 128 bits, in hex, of the very bytes that were listed."""
    digest = hashlib.blake2b(digest_size=16)
    # Between the listing and now the name may have been given to a pipe or a link.
    with open(os.open(found.real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        facts = os.fstat(file.fileno())
    if (facts.st_size, facts.st_mtime_ns) != (found.size, found.modified_ns):
        raise TransientError(f"{found.real}: changed while it was read")
    return digest.hexdigest()
