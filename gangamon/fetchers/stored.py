"""Outputs that a job has put on storage itself: brought beside the others, where the user asks.

Ganga's wrapper notes in ``__postprocesslocations__`` where it put the files of a MassStorageFile or
SharedFile: ``massstorage PATTERN LOCATION`` (MassStorageFileWNScript.py.template, 8.7.12). Stock
Ganga leaves them there until the user calls ``get()``, so that no merger and no checker finds them.

``extra`` of an order, all absent or '' where there is nothing to bring: ``storage_files``, names
and patterns, a JSON list of text; ``storage_protocol``, what stands before a path that is not
mounted here (``[Output]MassStorageFile['defaultProtocol']``: ``root://eoslhcb.cern.ch``);
``storage_credential``, see Source. What was brought is in the manifest, as ``stored``; earlier
versions have written it to ``OUTPUT/.gangamon-stored.json``::

    {"v": 1, "attempt": 1, "files": {NAME: URL}}
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any

from gangamon.errors import (
    BackendUnreachable,
    BadInput,
    CredentialMissing,
    StorageAway,
)
from gangamon.fetchers import helpers, manifest, storage, turns
from gangamon.fetchers.storage.file import path_of
from gangamon.outdir import small
from gangamon.outdir.locations import LOCATIONS, MOST, locations
from gangamon.outdir.small import NOTE
from gangamon.protocols import FetchOrder, Manifest, Source

__all__ = ["LOCATIONS", "MOST", "NOTE", "Slot", "complete", "locations"]

#: A slot of a storage endpoint, for as long as one brings from it.
Slot = Callable[[str], AbstractContextManager[object]]

#: Files of a job that are worth asking a helper process for.
FEW = 4


class _Last:
    """The device of the last job if that was one for the helpers: then the next of this worker most
    likely is. Who has his files elsewhere starts none."""

    device: int | None = None


def complete(order: FetchOrder, done: Manifest, slot: Slot) -> Manifest:
    """The manifest with what was brought from storage, once for each attempt.

    Raises TransientError, also where a file is not there (it may come); StorageAway while a storage
    cannot be asked, or its credential is missing, and for what the file system refuses now;
    BadInput for a location that no storage here is for."""
    patterns = _patterns(order)
    if not patterns:
        return done
    request = {
        "target": order.target,
        "roots": order.roots,
        "fqid": order.fqid,
        "attempt": order.attempt,
        "patterns": patterns,
        "protocol": str(order.extra.get("storage_protocol") or ""),
        "sums": {path: checksum for path, _, checksum in done.files},
        "left_out": done.left_out,
    }
    try:
        answer = _helped(request) or _brought(request, order, slot)
    except (CredentialMissing, BackendUnreachable) as error:
        raise StorageAway(str(error)) from error
    except OSError as error:
        raise StorageAway(f"{error.filename or order.target}: {error.strerror}") from error
    if answer.get("done"):
        return done
    return manifest.told(answer)


def _helped(request: dict[str, Any]) -> dict[str, Any] | None:
    """See small.complete. None: it is for this process."""
    if _Last.device is not None:
        with suppress(helpers.Gone):
            answer = helpers.HELPERS.ask({**request, "device": _Last.device})
            if answer.get("done") is not False:
                return answer
            _Last.device = None
    return None


def _brought(request: dict[str, Any], order: FetchOrder, slot: Slot) -> dict[str, Any]:
    """As small.complete, from wherever it is."""
    target = os.path.realpath(order.target)
    wanted, fresh = small.missing(request, target)
    if not wanted:
        return {"done": True}
    credential = str(order.extra.get("storage_credential") or "")

    def bring(name: str) -> None:
        url = wanted[name]
        source = Source(url, credential if storage.endpoint(url) else "")
        request["sums"][name] = storage.bring(source, os.path.join(target, name))

    here = {name: path_of(url) for name, url in wanted.items() if not storage.endpoint(url)}
    for name in sorted(wanted.keys() - here.keys()):
        with slot(storage.endpoint(wanted[name])):
            bring(name)
    device = os.stat(target).st_dev
    # Where a file system has no disk of its own (NFS, ...) its answers take time, and one after the
    # other is not the way.
    if here and os.major(device):
        with turns.of(device):
            small.bring(here, target, device, fresh)
    if wanted.keys() <= fresh.keys() and len(wanted) >= FEW:
        _Last.device = device
    for name in sorted(here.keys() - fresh.keys()):
        bring(name)
    return small.finish(request, target, wanted, fresh)


def _patterns(order: FetchOrder) -> list[str]:
    text = order.extra.get("storage_files") or "[]"
    try:
        found = json.loads(str(text))
        if isinstance(found, list) and all(isinstance(pattern, str) for pattern in found):
            return found
    except ValueError:
        pass
    raise BadInput([f"storage_files: got {text!r}; accepted: name patterns, a JSON list of text"])
