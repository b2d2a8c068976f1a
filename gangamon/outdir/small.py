"""The small files that a job has put on this host's disk: brought into its output directory, and
the manifest written, with as few calls of the system, and as little Python, as that takes.

A request, of plain values (``helper.py``)::

    {"target": DIRECTORY, "roots": [DIRECTORY, ...], "fqid": "42.7", "attempt": 1,
     "device": DEVICE,         where all of it lies, st_dev
     "patterns": [PATTERN, ...], "protocol": TEXT,     see ``locations.py``
     "sums": {PATH: CHECKSUM}, "left_out": [LINE, ...]}    what is known already

and an answer: the manifest (``manifest.py``), or::

    {"done": True}       there is nothing to bring
    {"done": False}      not by this: something is not small, or elsewhere
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Mapping
from typing import Any

from gangamon.errors import BackendUnreachable, TransientError
from gangamon.outdir import locations, manifest
from gangamon.outdir.checksum import adler32
from gangamon.outdir.tree import (
    OURS,
    Fresh,
    cleared,
    create,
    directory,
    listing,
    real,
    temporary,
    under,
    write,
)

#: Bytes below which a file is small: read at once, and written from what the cache of a processor
#: still holds.
SMALL = 1 << 18

#: Bytes of a file that are read before anything is asked about it: most have fewer.
_ONCE = 1 << 16

#: Nanoseconds by which the time that a file was changed at may be older than the clock: the kernel
#: takes that of its last tick (current_time, 10 ms at the coarsest).
_TICK = 20_000_000

#: What earlier versions have written beside the manifest.
NOTE = f"{OURS}stored.json"


def complete(request: Mapping[str, Any]) -> dict[str, Any]:
    """See above. Raises BackendUnreachable for a file system that refuses now to give a file,
    TransientError, DiskFull, OSError."""
    try:
        with directory(request["target"]) as folder:
            return _complete(request, folder)
    except FileNotFoundError as error:
        if error.filename != request["target"]:
            raise
        return {"done": True}


def _complete(request: Mapping[str, Any], folder: int) -> dict[str, Any]:
    target = real(request["target"], folder)
    wanted, fresh = missing(request, target)
    if not wanted:
        return {"done": True}
    if all(place.startswith("/") for place in wanted.values()):
        _bring(wanted, target, folder, request["device"], fresh)
    if not wanted.keys() <= fresh.keys():
        return {"done": False}
    return finish(request, target, wanted, fresh)


def missing(request: Mapping[str, Any], target: str) -> tuple[dict[str, str], dict[str, Fresh]]:
    """URLs or paths by name of what is to be brought to ``target``, the real path; and the facts of
    the file that says so. OSError."""
    if not under(target, tuple(request["roots"])):
        return {}, {}
    text, facts = locations.read(target)
    wanted = locations.wanted(text, request["patterns"], request["protocol"])
    if wanted.keys() <= request["sums"].keys() and wanted == _brought(target, request["attempt"]):
        return {}, {}
    return wanted, {} if locations.LOCATIONS in wanted else facts


def _brought(target: str, attempt: int) -> Mapping[str, str]:
    if found := manifest.stored(target, attempt):
        return found
    try:
        with open(os.path.join(target, NOTE), encoding="utf-8") as file:
            body = json.load(file)
        if (body["v"], body["attempt"]) == (1, attempt):
            return {str(name): str(url) for name, url in body["files"].items()}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return {}


def bring(here: Mapping[str, str], target: str, device: int, fresh: dict[str, Fresh]) -> None:
    """Those of ``here`` (paths by name) that are small, if all is on this device, into ``fresh``.
    Raises as ``complete``."""
    with directory(target) as folder:
        _bring(here, target, folder, device, fresh)


def _bring(
    here: Mapping[str, str], target: str, folder: int, device: int, fresh: dict[str, Fresh]
) -> None:
    if os.fstat(folder).st_dev != device:
        return
    path = temporary(f"{target}/")  # of one after the other
    hidden = os.path.basename(path)
    try:
        with cleared(path, target):
            for name, place in here.items():
                data = _content(place, device)
                if data is not None:
                    copy = _written(data, hidden, folder)
                    os.rename(hidden, name, src_dir_fd=folder, dst_dir_fd=folder)
                    fresh[name] = copy
    except OSError as error:
        if error.filename is not None:
            error.filename = os.path.join(target, error.filename)
        raise


def finish(
    request: Mapping[str, Any], target: str, wanted: Mapping[str, str], fresh: Mapping[str, Fresh]
) -> dict[str, Any]:
    """Write the manifest when all is there: what it says. TransientError, DiskFull, OSError."""
    found = listing(target, tuple(request["roots"]), fresh)
    sums = {**request["sums"], **{name: copy.checksum for name, copy in fresh.items()}}
    return manifest.make(
        target, request["fqid"], request["attempt"], found, sums, request["left_out"], wanted
    )


def opened(place: str) -> tuple[int, os.stat_result]:
    """A regular file to be brought, and what is known of it. BackendUnreachable, TransientError."""
    descriptor = _open(place)
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        raise TransientError(f"{place}: not a regular file")
    return descriptor, facts


def _open(place: str) -> int:
    try:
        # A pipe must not hold us up.
        return os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise TransientError(f"{place}: not there") from error
    except OSError as error:
        raise BackendUnreachable(f"{place}: {error.strerror}") from error


def unchanged(descriptor: int, before: os.stat_result, size: int, place: str) -> None:
    """TransientError unless it still is as it was, and ``size`` bytes came."""
    after = os.fstat(descriptor)
    if after.st_mtime_ns != before.st_mtime_ns or not size == after.st_size == before.st_size:
        raise TransientError(f"{place}: changed while it was copied")


def _content(place: str, device: int) -> bytes | None:
    """Of a file that is small, and on this device; else None. Raises as ``bring``."""
    asked = time.time_ns()
    source = _open(place)
    try:
        data, facts = os.read(source, _ONCE), os.fstat(source)
        if (
            facts.st_ctime_ns < asked - _TICK  # as it was before it was opened
            and len(data) == facts.st_size < _ONCE
            and stat.S_ISREG(facts.st_mode)
        ):
            return data if facts.st_dev == device else None
    except OSError:
        pass  # it is met again
    finally:
        os.close(source)
    return _watched(place, device)


def _watched(place: str, device: int) -> bytes | None:
    """As ``_content``, of one that is not as small, or may be changing."""
    source, before = opened(place)
    try:
        if before.st_size >= SMALL or before.st_dev != device:
            return None
        try:
            # One byte more than there is is asked for.
            data = os.read(source, before.st_size + 1)
        except OSError as error:
            raise BackendUnreachable(f"{place}: {error.strerror}") from error
        unchanged(source, before, len(data), place)
        return data
    finally:
        os.close(source)


def _written(data: bytes, hidden: str, folder: int) -> Fresh:
    target = create(hidden, folder)
    try:
        write(target, data)
        facts = os.fstat(target)
    finally:
        os.close(target)
    return Fresh(facts.st_ino, len(data), facts.st_mtime_ns, f"adler32:{adler32(data, 1):08x}")
