"""The manifest of a master job's merged outputs: what must lie there, and from what it was made.

``TARGET/.gangamon-merge.json``::

    {"v": 1, "attempt": 1, "merges": [
      {"spec": [kind, files, ignorefailed, overwrite, compress, options, if any],
       "inputs": fingerprint,
       "outputs": [[path, bytes, sha256], ...]}, ...]}       path relative to TARGET

It is written before the outputs get their names. So after a crash in between, an output that
fits it is known to be ours, and a missing one to be still due. A checksum of 32 hex digits is
blake2b's, from before sha256, which processors have an instruction for.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

from gangamon.domain.command import MergerSpec
from gangamon.errors import DiskFull, TransientError
from gangamon.protocols import Manifest

NAME = ".gangamon-merge.json"

_VERSION = 1
_OLD = 32
_CHUNK = 1 << 20
_TEMPORARY = ".gangamon-tmp-"

#: sync_file_range(2): SYNC_FILE_RANGE_WRITE.
_WRITE = 2
_sync_file_range = getattr(ctypes.CDLL(None), "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)

#: Seconds after which a temporary of another host belongs to a process that died.
_ABANDONED = 86400.0


def load(target: str, attempt: int, spec: MergerSpec, inputs: str) -> Manifest | None:
    """What a merge of this attempt, spec and inputs has made or was about to; None if none."""
    for merge in _merges(target, attempt):
        if merge["spec"] == as_list(spec) and merge["inputs"] == inputs:
            return Manifest(tuple((str(p), int(n), str(s)) for p, n, s in merge["outputs"]))
    return None


def store(target: str, attempt: int, spec: MergerSpec, inputs: str, made: Manifest) -> None:
    """Note a merge beside those of the master's other mergers of the same attempt."""
    entry = {"spec": as_list(spec), "inputs": inputs, "outputs": [list(f) for f in made.files]}
    others = [m for m in _merges(target, attempt) if m["spec"] != entry["spec"]]
    mine = {path for path, _, _ in made.files}
    for other in others:  # what it made under these names is overwritten
        other["outputs"] = [output for output in other["outputs"] if output[0] not in mine]
    body = {"v": _VERSION, "attempt": attempt, "merges": [*others, entry]}
    with disk(target):
        put(os.path.join(target, NAME), json.dumps(body).encode("ascii"))


def verify(target: str) -> list[str]:
    """Compare the merged outputs on disk with the manifest: one line for each fault.

    A target without a manifest is a fault: ask only where something was to be merged. Raises
    TransientError where a file cannot be read, which says nothing about it.
    """
    body = _read(target)
    if body is None:
        return [f"{os.path.join(target, NAME)}: no manifest of a merge"]
    outputs = [entry for merge in body["merges"] for entry in merge["outputs"]]
    return [fault for entry in outputs if (fault := _fault(target, *entry))]


def fits(target: str, entry: Sequence[Any]) -> bool:
    """Whether the file of a manifest's entry (path, bytes, checksum) is there and is it."""
    return not _fault(target, *entry)


def checksum() -> Any:
    """Of nothing; ``update`` and ``hexdigest`` as hashlib's."""
    return hashlib.sha256()


def settle(file: IO[bytes]) -> None:
    """To the disk, before the name says that it is whole."""
    file.flush()
    os.fsync(file.fileno())


def begin_to_settle(file: int) -> None:
    """What was written so far is on its way to the disk, so that ``settle`` waits less. Nothing is
    waited for, where the system can (Linux); errors are told by ``settle``."""
    if _sync_file_range is not None:
        _sync_file_range(file, 0, 0, _WRITE)


@contextmanager
def disk(path: str) -> Iterator[None]:
    """Errors of the file system as ours: DiskFull where there is no room, else TransientError."""
    try:
        yield
    except OSError as error:
        where = f"{error.filename or path}: {error.strerror or error}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(where) from error
        raise TransientError(where) from error


def hidden(directory: str) -> str:
    """A path for a temporary in ``directory``, which names the process it belongs to."""
    owner = f"{os.getpid()}-{os.urandom(6).hex()}-{socket.gethostname()}"
    return os.path.join(directory, f"{_TEMPORARY}{owner}")


def write_all(file: int, data: bytes | memoryview) -> None:
    """All of it, however little the system takes at once. Raises OSError."""
    while data:
        data = data[os.write(file, data) :]


def discard(path: str) -> None:
    """Remove a temporary, file or directory, if it has not got its name."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(FileNotFoundError):
        os.unlink(path)


def put(path: str, content: bytes) -> None:
    """Write a small file, which appears whole or not at all. Raises OSError."""
    temporary = hidden(os.path.dirname(path))
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            settle(file)
        os.replace(temporary, path)
    finally:
        discard(temporary)


def sweep(directory: str) -> None:
    """Remove the temporaries of processes that were killed. Raises OSError."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.startswith(_TEMPORARY) and _abandoned(entry):
                discard(entry.path)


def _abandoned(entry: os.DirEntry[str]) -> bool:
    pid, _, host = entry.name.removeprefix(_TEMPORARY).split("-", 2)
    if host != socket.gethostname():
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > _ABANDONED
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def as_list(spec: MergerSpec) -> list[Any]:
    common = [spec.kind, list(spec.files), spec.ignorefailed, spec.overwrite, spec.compress]
    return [*common, dict(spec.options)] if spec.options else common


def _merges(target: str, attempt: int) -> list[dict[str, Any]]:
    body = _read(target)
    return body["merges"] if body is not None and body["attempt"] == attempt else []


def _read(target: str) -> dict[str, Any] | None:
    """The manifest's body; None if there is none, or what is there is not one of this version."""
    path = os.path.join(target, NAME)
    try:
        with open(path, encoding="ascii") as file:
            body = json.load(file)
    except FileNotFoundError:
        return None
    except ValueError:
        return None
    except OSError as error:
        raise TransientError(f"{path}: {error.strerror}") from error
    good = isinstance(body, dict) and body.get("v") == _VERSION
    return body if good and {"attempt", "merges"} <= set(body) else None


def _fault(target: str, name: str, size: int, checksum: str) -> str:
    path = os.path.join(target, name)
    old = len(checksum) == _OLD
    digest = hashlib.blake2b(digest_size=_OLD // 2) if old else hashlib.sha256()
    try:
        with open(path, "rb") as file:
            if (there := os.fstat(file.fileno()).st_size) != size:
                return f"{path}: has {there} bytes; the merge wrote {size}"
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except (FileNotFoundError, NotADirectoryError):
        return f"{path}: missing"
    except IsADirectoryError:
        return f"{path}: is a directory"
    except OSError as error:
        raise TransientError(f"{path}: {error.strerror}") from error
    return "" if digest.hexdigest() == checksum else f"{path}: its checksum is not the merge's"
