"""Outputs that a job has put on storage itself: brought beside the others, where the user asks.

Ganga's wrapper notes in ``__postprocesslocations__`` where it put the files of a MassStorageFile or
SharedFile: ``massstorage PATTERN LOCATION`` (MassStorageFileWNScript.py.template, 8.7.12). Stock
Ganga leaves them there until the user calls ``get()``, so that no merger and no checker finds them.

``extra`` of an order, all absent or '' where there is nothing to bring: ``storage_files``, names
and patterns, a JSON list of text; ``storage_protocol``, what stands before a path that is not
mounted here (``[Output]MassStorageFile['defaultProtocol']``: ``root://eoslhcb.cern.ch``);
``storage_credential``, see Source. ``OUTPUT/.gangamon-stored.json``, what was brought::

    {"v": 1, "attempt": 1, "files": {NAME: URL}}
"""

from __future__ import annotations

import fnmatch
import io
import json
import os
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from urllib.parse import urlsplit

from gangamon.errors import (
    BackendUnreachable,
    BadInput,
    CredentialMissing,
    StorageAway,
)
from gangamon.fetchers import manifest, storage
from gangamon.fetchers.storage.file import bring_small
from gangamon.protocols import FetchOrder, Manifest, Source

#: ``[Output]PostProcessLocationsFileName`` of Ganga, and the most that is read of it.
LOCATIONS, MOST = "__postprocesslocations__", 16 << 20

NAME = f"{manifest.OURS}stored.json"

#: A slot of a storage endpoint, for as long as one brings from it.
Slot = Callable[[str], AbstractContextManager[object]]

#: Bytes below which a file of a disk of this host is copied by one thread at a time: more of them
#: take turns at the interpreter after each call of the system, and take twice as long together.
SMALL = 1 << 20

_turns: dict[int, threading.Lock] = {}

_WILD = re.compile(r"[*?\[\]]")


def complete(order: FetchOrder, done: Manifest, slot: Slot) -> Manifest:
    """The manifest with what was brought from storage, once for each attempt.

    Raises TransientError, also where a file is not there (it may come); StorageAway while a storage
    cannot be asked, or its credential is missing, and for what the file system refuses now;
    BadInput for a location that no storage here is for."""
    patterns = _patterns(order)
    target = os.path.realpath(order.target)
    if not patterns or not manifest.under(target, order.roots):
        return done
    try:
        wanted = {
            name: url
            for name, url in locations(target, str(order.extra.get("storage_protocol") or ""))
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
        }
        there = {path for path, _, _ in done.files}
        if not wanted or (wanted == _brought(target, order.attempt) and wanted.keys() <= there):
            return done
        sums = {path: checksum for path, _, checksum in done.files}
        credential = str(order.extra.get("storage_credential") or "")

        def bring(name: str) -> None:
            url = wanted[name]
            source = Source(url, credential if storage.endpoint(url) else "")
            sums[name] = storage.bring(source, os.path.join(target, name))

        here = {name: wanted[name] for name in sorted(wanted) if not storage.endpoint(wanted[name])}
        for name in sorted(wanted.keys() - here.keys()):
            with slot(storage.endpoint(wanted[name])):
                bring(name)
        device = os.stat(target).st_dev
        # Where a file system has no disk of its own (NFS, ...) its answers take time, and there is
        # no need to take turns.
        local = bool(here and os.major(device))
        with _one(device) if local else nullcontext():
            small = bring_small(here, target, device, SMALL) if local else {}
        sums.update(small)
        for name in sorted(here.keys() - small.keys()):
            bring(name)
        with _one(device) if local else nullcontext():
            _note(target, order.attempt, wanted)
            found = manifest.listing(target, order.roots)
            return manifest.write(target, order.fqid, order.attempt, found, sums)
    except (CredentialMissing, BackendUnreachable) as error:
        raise StorageAway(str(error)) from error
    except OSError as error:
        raise StorageAway(f"{error.filename or target}: {error.strerror}") from error


def _one(device: int) -> threading.Lock:
    return _turns.setdefault(device, threading.Lock())


def locations(target: str, protocol: str) -> list[tuple[str, str]]:
    """(name in the output directory, URL or path) of what Ganga's wrapper has put somewhere."""
    try:
        with open(os.path.join(target, LOCATIONS), encoding="utf-8", errors="replace") as file:
            text = file.read(MOST)
    except FileNotFoundError:
        return []
    found = []
    for line in text.splitlines():
        words = line.split(None, 2)
        if len(words) == 3 and words[0] == "massstorage" and not words[2].startswith("ERROR"):
            pattern, place = words[1], words[2].strip()
            name = _name(pattern, place)
            if name not in ("", ".", "..") and not name.startswith(manifest.OURS):
                found.append((name, _url(place, protocol)))
    return found


def _name(pattern: str, place: str) -> str:
    """Only where the pattern is one is the name of the file the job wrote not known."""
    base = os.path.basename(place if place.startswith("/") else urlsplit(place).path)
    if _WILD.search(pattern) or "/" in pattern:
        return base
    packed = base.endswith(".gz") and not pattern.endswith(".gz")
    return f"{pattern}.gz" if packed else pattern


def _url(place: str, protocol: str) -> str:
    if not place.startswith("/"):
        return place
    if not protocol or protocol.startswith("file:") or os.path.exists(place):
        return place
    return f"{protocol.rstrip('/')}/{place}"


def _patterns(order: FetchOrder) -> list[str]:
    text = order.extra.get("storage_files") or "[]"
    try:
        found = json.loads(str(text))
        if isinstance(found, list) and all(isinstance(pattern, str) for pattern in found):
            return found
    except ValueError:
        pass
    raise BadInput([f"storage_files: got {text!r}; accepted: name patterns, a JSON list of text"])


def _brought(target: str, attempt: int) -> Mapping[str, str]:
    try:
        with open(os.path.join(target, NAME), encoding="utf-8") as file:
            body = json.load(file)
        if (body["v"], body["attempt"]) == (1, attempt):
            return {str(name): str(url) for name, url in body["files"].items()}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return {}


def _note(target: str, attempt: int, files: Mapping[str, str]) -> None:
    body = json.dumps({"v": 1, "attempt": attempt, "files": dict(files)})
    manifest.put(os.path.join(target, NAME), io.BytesIO(body.encode()))
