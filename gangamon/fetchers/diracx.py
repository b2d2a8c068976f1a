"""Output sandboxes of DiracX's jobs, by its REST interface and the storage that it names."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Mapping
from typing import Any

from gangamon.errors import (
    BackendUnreachable,
    OutputMissing,
    StorageAway,
    TransientError,
)
from gangamon.fetchers import manifest
from gangamon.fetchers.bringing import brought
from gangamon.fetchers.dirac import archive
from gangamon.grid.diracx import Service, seconds
from gangamon.protocols import FetchOrder, Manifest

#: Seconds of a whole fetch; bytes of an archive, of which DiracX takes 100 MiB.
TIMEOUT, MOST = 600.0, 1 << 30

#: Seconds after its last sign in which a failed job that ran may still upload its sandbox, as in
#: DIRAC (fetchers/dirac).
YET = 120.0

#: Its name says what is in it (diracx-logic 0.7.0, jobs/sandboxes.py).
_SUM = re.compile(r"/sha256:([0-9a-f]{64})\.(tar\.[a-z0-9]+)")


class DiracXFetcher:
    """``extra`` of an order: ``unpack``: False keeps the archive as it is."""

    name = "DiracX"

    def fetch(self, order: FetchOrder) -> Manifest:
        """See Fetcher. Raises OutputMissing if there is no sandbox, or too much in it; StorageAway
        while DiracX or its storage cannot be asked, and for what the file system refuses now;
        BadInput if the target is not under the roots."""
        return brought(order, _bring)


def _bring(order: FetchOrder, target: str) -> list[str]:
    if not order.native_id.isdecimal():
        raise OutputMissing(f"DiracX has given the job no number: {order.native_id!r}")
    job = int(order.native_id)
    left_out: list[str] = []
    with (
        Service(order.lane.endpoint, order.lane.credential, "", TIMEOUT) as service,
        tempfile.TemporaryDirectory(prefix="gangamon-fetch-") as folder,
    ):
        for name in _sandboxes(service, job):
            path = os.path.join(folder, "archive")
            _download(service, name, path)
            if order.extra.get("unpack", True):
                left_out += archive.unpack(path, target)
                archive.name_stdout(target)
            else:
                with open(path, "rb") as file:
                    manifest.put(os.path.join(target, _parts(name)[1]), file)
    return left_out


def _sandboxes(service: Service, job: int) -> list[str]:
    """Raises OutputMissing where there is none, StorageAway where there may be one soon."""
    rows = service.search([job], ("Status", "StartExecTime", "LastUpdateTime"))
    row: Mapping[str, Any] = next((r for r in rows if r.get("JobID") == job), {})
    if not row:
        raise OutputMissing(f"DiracX has no job {job} of this user")
    status = row.get("Status")
    if status in ("Killed", "Deleted"):
        return []  # nobody wants them, as in Ganga
    found = service.ask("GET", f"/jobs/{job}/sandbox/output")
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise BackendUnreachable(f"DiracX: no list of sandboxes: {str(found)[:200]}")
    if found:
        return found
    fresh = time.time() - (seconds(row.get("LastUpdateTime")) or 0.0) < YET
    if status == "Failed" and row.get("StartExecTime") and fresh:
        raise StorageAway(f"not yet there: the sandbox of job {job}")
    raise OutputMissing(f"DiracX has no output sandbox of job {job}")


def _download(service: Service, name: str, path: str) -> None:
    """Raises TransientError where it is not what its name says."""
    checksum, _ = _parts(name)
    answer = service.ask("GET", "/jobs/sandbox", params={"pfn": name})
    url = answer.get("url") if isinstance(answer, dict) else None
    if not isinstance(url, str):
        raise BackendUnreachable(f"DiracX: no URL of {name}")
    with service.elsewhere() as requests, open(path, "wb") as file:
        if requests.save(url, file, MOST, allowed=(404,)) == 404:
            raise TransientError(f"{name}: the store has it not")
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() != checksum:
        raise TransientError(f"{name}: what came has another checksum")


def _parts(name: str) -> tuple[str, str]:
    """Checksum, and a name for its file."""
    match = _SUM.search(name)
    if match is None:
        raise TransientError(f"{name[:200]!r}: no name of a sandbox")
    return match[1], f"sandbox.{match[2]}"
