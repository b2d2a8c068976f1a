"""The manifest of a job's output directory, and how a fetcher puts files there: see
gangamon/outdir/manifest.py."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import IO, Any

from gangamon.errors import BadInput, StorageAway
from gangamon.outdir import manifest
from gangamon.outdir.manifest import TOLD
from gangamon.outdir.tree import (
    NAME,
    OURS,
    PART,
    Found,
    cleared,
    listing,
    temporary,
    under,
)
from gangamon.protocols import Manifest

__all__ = [
    "NAME",
    "OURS",
    "PART",
    "RESERVED",
    "TOLD",
    "Found",
    "cleared",
    "known",
    "left_out",
    "listing",
    "make",
    "placed",
    "put",
    "spot",
    "temporary",
    "told",
    "under",
    "write",
]

#: Why what a job has called so is left out.
RESERVED = "a name that gangamon keeps for its own files"

#: Characters of a name in a line of what was left out.
_LONG = 200

_CHUNK = 1 << 20


def known(target: str, attempt: int, found: list[Found]) -> Manifest | None:
    """The stored manifest, if it is of this attempt and fits what was found; else None."""
    body = manifest.read(target, attempt)
    if body is None:
        return None
    try:
        facts = [(path, size, modified) for path, size, _, modified in body["files"]]
        done = told(body)
    except (ValueError, KeyError, TypeError):
        return None  # not ours
    return done if facts == [(f.path, f.size, f.modified_ns) for f in found] else None


def told(body: Mapping[str, Any]) -> Manifest:
    """What a stored manifest says. ValueError, KeyError, TypeError: it is none."""
    sums = tuple((str(p), int(size), str(checksum)) for p, size, checksum, _ in body["files"])
    return Manifest(sums, tuple(map(str, body.get("left_out", ()))))


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
    stored = manifest.stored(target, attempt)
    return told(manifest.make(target, fqid, attempt, found, known, left_out, stored))


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
