"""The manifest of what was fetched, in the same form as those of the other fetchers.

``OUTPUT/.gangamon-manifest.json``::

    {"v": 1, "fqid": "42.7", "attempt": 1, "files": [[path, bytes, blake2b-128, st_mtime_ns], ...]}
"""

from __future__ import annotations

import errno
import hashlib
import json
import os

from gangamon.errors import DiskFull
from gangamon.protocols import Manifest

NAME = ".gangamon-manifest.json"
_VERSION = 1


def known(target: str, attempt: int) -> Manifest | None:
    """The stored manifest, if it is of this attempt and its files are as they were."""
    try:
        with open(os.path.join(target, NAME), encoding="ascii") as file:
            body = json.load(file)
        if (body["v"], body["attempt"]) != (_VERSION, attempt):
            return None
        for path, size, _, modified in body["files"]:
            facts = os.lstat(os.path.join(target, path))
            if (facts.st_size, facts.st_mtime_ns) != (size, modified):
                return None
        return Manifest(tuple((str(p), int(n), str(s)) for p, n, s, _ in body["files"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return None  # not ours, or cut off


def write(target: str, fqid: str, attempt: int, contents: dict[str, bytes]) -> Manifest:
    """Put files in place, each whole or not at all, and the manifest last. DiskFull, OSError."""
    files, sums = [], []
    for name in sorted(contents):
        path, content = os.path.join(target, name), contents[name]
        _put(path, content)
        checksum = hashlib.blake2b(content, digest_size=16).hexdigest()
        files.append([name, len(content), checksum, os.lstat(path).st_mtime_ns])
        sums.append((name, len(content), checksum))
    body = {"v": _VERSION, "fqid": fqid, "attempt": attempt, "files": files}
    _put(os.path.join(target, NAME), json.dumps(body).encode("ascii"))
    return Manifest(tuple(sums))


def _put(path: str, content: bytes) -> None:
    temporary = os.path.join(os.path.dirname(path), f"{NAME}.{os.urandom(8).hex()}")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError as error:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"{path}: {error.strerror}") from error
        raise
