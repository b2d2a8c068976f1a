"""Outputs of ARC's jobs: what the job's session directory holds, by A-REX's REST interface.

When a job has ended A-REX keeps there what its description names as output and sends nowhere else.
It answers ``GET jobs/ID/session/DIR`` with ``{"file": [NAME, ...], "dir": NAME}``, where one is no
list and none is left out, or with nothing (6.17). It offers no checksums: that a file is whole is
known by its length, which HTTP tells.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from gangamon.errors import (
    OutputMissing,
    TransientError,
)
from gangamon.fetchers import manifest
from gangamon.fetchers.bringing import brought
from gangamon.grid import arc
from gangamon.grid.arc import JobId
from gangamon.grid.http import Requests
from gangamon.protocols import FetchOrder, Manifest

#: Seconds that it may take in all.
LONGEST = 86400.0

#: Files and directories of one job, and directories in each other.
MOST_FILES, MOST_DEPTH = 100_000, 50


class ArcFetcher:
    """The lane's credential is the path of the proxy or token, as for ``ArcBackend``."""

    name = "ARC"

    def fetch(self, order: FetchOrder) -> Manifest:
        """See Fetcher. Raises OutputMissing if the CE does not know the job any more; StorageAway
        while it cannot be asked or the credential is missing, and for what the file system refuses
        now; BadInput if the target is not under the roots."""
        return brought(order, _bring)


def _bring(order: FetchOrder, target: str) -> list[str]:
    left_out = []
    id_ = JobId.parse(order.native_id, order.lane.endpoint)
    if id_ is None:
        raise OutputMissing(f"ARC has given the job no id: {order.native_id!r}")
    session = f"{id_.jobs}/{id_.name}/session"
    with arc.requests(LONGEST, order.lane.credential) as requests:
        for parts in _tree(requests, session, id_):
            if any(part.startswith(manifest.OURS) for part in parts):
                left_out.append(manifest.left_out("/".join(parts), manifest.RESERVED))
                continue
            with manifest.placed(manifest.spot(target, parts)) as file:
                place = f"{session}/{_quoted(parts)}"
                if requests.save(place, file, sys.maxsize, allowed=(404,)) == 404:
                    raise TransientError(f"{id_.name}: {'/'.join(parts)} is listed, not found")
    return left_out


def _tree(requests: Requests, session: str, id_: JobId) -> Iterator[list[str]]:
    """The parts of each file's path."""
    waiting: list[list[str]] = [[]]
    count = 0
    while waiting:
        above = waiting.pop()
        answer = requests.ask("GET", f"{session}/{_quoted(above)}", allowed=(404,))
        if answer.status == 404:
            raise _missing(requests, id_, "/".join(above))
        for kind in ("file", "dir"):
            for name in _names(answer.value, kind):
                count += 1
                if count > MOST_FILES or len(above) >= MOST_DEPTH:
                    raise OutputMissing(f"{id_.name}: more than {MOST_FILES} files, or too deep")
                if kind == "dir":
                    waiting.append([*above, name])
                else:
                    yield [*above, name]


def _names(listing: Any, kind: str) -> list[str]:
    """Of one directory. Raises TransientError for what is no listing."""
    if listing is None:
        return []
    found = listing.get(kind, []) if isinstance(listing, dict) else None
    names: list[str] = []
    for name in found if isinstance(found, list) else [found]:
        if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or "\0" in name:
            raise TransientError(f"ARC: no listing of a session directory: {str(listing)[:200]}")
        names.append(name)
    return names


def _missing(requests: Requests, id_: JobId, where: str) -> Exception:
    """Why there is no such directory: for good only if A-REX knows the job no more."""
    answer = requests.ask(
        "POST", id_.jobs, params={"action": "status"}, json={"job": [{"id": id_.name}]}
    )
    job = answer.value.get("job") if isinstance(answer.value, dict) else None
    ours = job if isinstance(job, dict) and job.get("id") == id_.name else {}
    if str(ours.get("status-code")) == "404" or ours.get("state") == "WIPED":
        return OutputMissing(f"{id_.name}: the CE has it no more")
    return TransientError(f"{id_.name}: the CE does not find its directory {where or 'session'}")


def _quoted(parts: list[str]) -> str:
    return "/".join(quote(part, safe="") for part in parts)
