"""The manifest of a job's output directory: what lies in it, so that nothing is fetched twice.

``OUTPUT/.gangamon-manifest.json``::

    {"v": 1, "fqid": "42.7", "attempt": 1,
     "files": [[path, bytes, checksum, st_mtime_ns], ...],         by path, relative to OUTPUT
     "left_out": [LINE, ...],                                      only where something was
     "stored": {NAME: URL}}                                        only what came from storage

A checksum is blake2b-128 in hex, or (of a file from storage, or by ssh) ``adler32:HEX``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from gangamon.errors import TransientError
from gangamon.outdir.tree import NAME, Found, cleared, create, temporary, write

VERSION = 1

#: Lines that are kept of what was left out of one job's outputs.
TOLD = 20

_CHUNK = 1 << 20


def read(target: str, attempt: int) -> dict[str, Any] | None:
    """What is stored of this attempt; None: nothing, or what is not ours or was cut off when the
    host lost its power. OSError."""
    try:
        with open(os.path.join(target, NAME), encoding="ascii") as file:
            body = json.load(file)
        if (body["v"], body["attempt"]) == (VERSION, attempt):
            return dict(body)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    return None


def stored(target: str, attempt: int) -> dict[str, str]:
    """What came from storage, by name, as the manifest of this attempt says. OSError."""
    try:
        body = read(target, attempt) or {}
        return {str(name): str(url) for name, url in body.get("stored", {}).items()}
    except AttributeError:
        return {}  # not ours


def make(
    target: str,
    fqid: str,
    attempt: int,
    found: Sequence[Found],
    known: Mapping[str, str],
    left_out: Sequence[str],
    stored: Mapping[str, str],
) -> dict[str, Any]:
    """Read each file that has no checksum in ``known`` once, and write the manifest. What it says.
    Raises DiskFull, OSError, or TransientError if a file changes meanwhile."""
    files = [[f.path, f.size, known.get(f.path) or _checksum(f), f.modified_ns] for f in found]
    body: dict[str, Any] = {"v": VERSION, "fqid": fqid, "attempt": attempt, "files": files}
    if left_out:
        body["left_out"] = list(left_out[:TOLD])
        if (more := len(left_out) - TOLD) > 0:
            body["left_out"].append(f"and {more} more")
    if stored:
        body["stored"] = dict(stored)
    text = json.dumps(body).encode("ascii")
    path = os.path.join(target, NAME)
    hidden = temporary(path)
    with cleared(hidden, path):
        descriptor = create(hidden)
        try:
            write(descriptor, text)
        finally:
            os.close(descriptor)
        os.rename(hidden, path)
    return body


def blake2b(data: bytes = b"") -> hashlib.blake2b:
    """Of 128 bits."""
    return hashlib.blake2b(data, digest_size=16)


def _checksum(found: Found) -> str:
    """Of the very bytes that were listed."""
    digest = blake2b()
    # Between the listing and now the name may have been given to a pipe or a link.
    descriptor = os.open(found.real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        # One byte more than there is is asked for: less is the end.
        while chunk := os.read(descriptor, min(found.size + 1, _CHUNK)):
            digest.update(chunk)
            if len(chunk) == found.size:
                break
        facts = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if (facts.st_size, facts.st_mtime_ns) != (found.size, found.modified_ns):
        raise TransientError(f"{found.real}: changed while it was read")
    return digest.hexdigest()
