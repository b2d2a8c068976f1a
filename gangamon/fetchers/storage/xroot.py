"""Files behind XRootD, by its own client library (the wheel ``xrootd``).

The library has one set of time-outs for the process; they are set before the first connection
(XrdClConstants.hh, 5.5). A proxy is named in the URL (``xrd.gsiusrpxy``, XrdSecProtocolgsi.cc), a
token goes in it (``authz``) and so by ``roots`` only.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from functools import cache
from typing import Any
from urllib.parse import quote, urlsplit

from gangamon.errors import BackendUnreachable, CredentialMissing, TransientError
from gangamon.fetchers import storage
from gangamon.fetchers.storage.landing import KNOWN, LARGE, Facts, Landing, landing
from gangamon.grid import credential
from gangamon.protocols import Source

_log = logging.getLogger(__name__)

#: Where the answer to a request comes: its status, its data.
_Box = queue.SimpleQueue[tuple[Any, Any]]

#: Seconds: of one answer, of a checksum that the server may have to compute, of a whole file.
ANSWER, CHECKSUM, LONGEST = 60, 60, 86400.0

#: Bytes of one request.
_CHUNK = 1 << 20

#: Requests of a file that are under way, at most: over 50 ms 320 MB/s. (xrdcp has 4 of 8 MB;
#: XRD_CPPARALLELCHUNKS, xrdcp(1).) Beside the first of each file, which needs none, there are so
#: many places for all files that are brought at once: the library keeps each answer twice, and 16
#: files with as much as xrdcp's were 680 MB.
_AHEAD = 16
_PLACES = threading.BoundedSemaphore(16)

#: Errors of the protocol (XProtocol.hh, XErrorCode).
_NOT_FOUND, _NOT_AUTHORIZED, _AUTH_FAILED = 3011, 3010, 3030

#: Of the client (XrdClStatus.hh): authentication failed; the login did.
_NO_AUTH = (204, 203)


class XrootStorage:
    """See Storage."""

    schemes = ("root", "roots", "xroot", "xroots")

    def bring(self, source: Source, path: str) -> str:
        client = _library()
        url = _named(source)
        deadline = time.monotonic() + LONGEST
        file = client.File()
        _good(file.open(url, client.flags.OpenFlags.READ, timeout=ANSWER)[0], url)
        try:
            before = _stat(file, url, anew=False)  # it came with the answer to the opening
            facts = Facts(before.size, f"{before.id}/{before.modtime}", _checksum(url, before.size))
            with landing(path, facts) as place:
                _read(file, url, place, before.size, deadline)
                after = _stat(file, url, anew=before.size > _CHUNK)
                if (after.size, after.modtime) != (before.size, before.modtime):
                    place.wrong = True
                    raise TransientError(f"{storage.shown(url)}: changed while it was brought")
            return place.checksum
        finally:
            # Nobody waits for the answer; the object lives until it comes.
            file.close(timeout=ANSWER, callback=lambda *_, kept=file: None)


@cache
def _library() -> Any:
    from XRootD import client

    for name, value in (
        ("ConnectionWindow", 10),
        ("ConnectionRetry", 1),
        ("RequestTimeout", ANSWER),
        ("StreamTimeout", ANSWER),
        ("StreamErrorWindow", 10),
        ("RunForkHandler", 1),
    ):
        client.EnvPutInt(name, value)
    return client


def _named(source: Source) -> str:
    """With what proves who we are."""
    url = source.url
    if not source.credential:
        return url
    given = credential.read(source.credential)
    if given.token and urlsplit(url).scheme not in ("roots", "xroots"):
        raise CredentialMissing(f"{storage.shown(url)}: no token is sent without TLS (roots://)")
    word = (
        "authz=" + quote(f"Bearer {given.token}", safe="")
        if given.token
        else f"xrd.gsiusrpxy={quote(given.path)}"
    )
    return f"{url}{'&' if urlsplit(url).query else '?'}{word}"


def _stat(file: Any, url: str, *, anew: bool) -> Any:
    status, found = file.stat(force=anew, timeout=ANSWER)
    _good(status, url)
    return found


def _checksum(url: str, size: int) -> dict[str, str]:
    """What the server says, if it has checksums and tells in time. Of a small file it is not
    asked: what comes over TCP is as sure, and the question takes as long as the file."""
    if size < LARGE:
        return {}
    client = _library()
    parts = urlsplit(url)
    system = client.FileSystem(f"{parts.scheme}://{parts.netloc}")
    path = "/" + parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else "")
    status, said = system.query(client.flags.QueryCode.CHECKSUM, path, timeout=CHECKSUM)
    if not status.ok:
        _log.debug("%s: no checksum: %s", storage.shown(url), status.message)
        return {}
    words = bytes(said).decode("ascii", "replace").rstrip("\0\n").split()
    if len(words) != 2 or words[0].lower() not in KNOWN:
        return {}
    value = words[1].lower()
    return {words[0].lower(): value.zfill(8) if words[0].lower() in ("adler32", "crc32") else value}


def _read(file: Any, url: str, place: Landing, size: int, deadline: float) -> None:
    """Some requests are always under way; their answers are taken in order."""
    asked = place.at
    answers: deque[tuple[_Box, bool]] = deque()

    def ask(placed: bool) -> None:
        nonlocal asked
        box: _Box = queue.SimpleQueue()
        # If it is refused there is no answer to wait for, but the place is to be given back.
        answers.append((box, placed))
        count = min(_CHUNK, size - asked)
        status = file.read(
            asked, count, timeout=ANSWER, callback=lambda said, data, hosts: box.put((said, data))
        )
        if not status.ok:
            box.put((status, None))
        asked += count

    if size - asked <= _CHUNK:
        if size > asked:
            status, data = file.read(asked, size - asked, timeout=ANSWER)
            _good(status, url)
            place.write(data)
        return
    try:
        while place.at < size:
            if not answers:
                ask(placed=False)
            while asked < size and len(answers) < _AHEAD and _PLACES.acquire(blocking=False):
                ask(placed=True)
            status, data = _answer(answers)
            _good(status, url)
            if not data or time.monotonic() > deadline:
                return  # cut off
            at = place.at
            place.write(data)
            if place.at - at < min(_CHUNK, size - at):
                return
    except queue.Empty as error:
        raise BackendUnreachable(f"{storage.shown(url)}: no answer") from error
    finally:
        while answers:  # the file is closed when nothing is under way
            with contextlib.suppress(queue.Empty):
                _answer(answers)


def _answer(answers: deque[tuple[_Box, bool]]) -> tuple[Any, Any]:
    """To the oldest request, whose place is free then. Raises queue.Empty."""
    box, placed = answers.popleft()
    try:
        return box.get(timeout=2 * ANSWER)
    finally:
        if placed:
            _PLACES.release()


def _good(status: Any, url: str) -> None:
    if status.ok:
        return
    said = f"{storage.shown(url)}: {str(status.message).strip()}"
    if status.errno == _NOT_FOUND:
        raise TransientError(f"{storage.shown(url)}: not there")
    if status.errno in (_NOT_AUTHORIZED, _AUTH_FAILED) or status.code in _NO_AUTH:
        raise CredentialMissing(said)
    raise BackendUnreachable(said)
