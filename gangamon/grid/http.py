"""The HTTP requests of one query, which together may take so many seconds."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import urlsplit

import httpx

from gangamon.errors import BackendUnreachable, CredentialMissing, RateLimited, TransientError

#: Seconds in which a connection must stand, and between two pieces of an answer.
CONNECT, READ = 10.0, 30.0

#: Bytes of an answer: some kilobytes for each of 10,000 jobs. More is no answer.
MOST = 64 * 1024 * 1024

#: What a server says as it ends a TLS connection for the sake of our certificate (RFC 8446, 6.2).
_REFUSED = re.compile(r"alert (bad |unsupported )?certificate|alert unknown ca|access denied", re.I)


@dataclass(frozen=True)
class Answer:
    """``value``: the json of the body, None if it is empty. ``headers``: names in lower case."""

    status: int
    value: Any
    headers: Mapping[str, str]


class Requests:
    """``tls``: whom to believe, and the client's certificate. ``headers``: of each request; they
    may hold a secret, and no error repeats them. To be used as a context manager.

    Redirects are not followed: what is sent is for that server only.
    """

    def __init__(
        self,
        timeout: float,
        tls: ssl.SSLContext,
        headers: Mapping[str, str] | None = None,
        most: int = MOST,
    ) -> None:
        self._timeout, self._most = timeout, most
        self._deadline = time.monotonic() + timeout
        self._socket: socket.socket | None = None
        self._late = False
        self._client = httpx.Client(verify=tls, headers=dict(headers or {}))
        self._watch = threading.Timer(timeout, self._cut)
        self._watch.daemon = True

    def __enter__(self) -> Requests:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.cancel()
        self._client.close()

    def ask(self, method: str, url: str, *, allowed: tuple[int, ...] = (), **given: Any) -> Answer:
        """One request and its whole answer. ``given``: as for httpx (``json``, ``data``,
        ``params``, ``headers``). A status of 200 to 299, or one that is ``allowed``, is an answer.

        Raises CredentialMissing (401, 403, a refused certificate), RateLimited (429), and
        BackendUnreachable for all that is no answer.
        """
        status, headers, body = self.read(method, url, allowed=allowed, **given)
        if not body.strip():
            return Answer(status, None, headers)
        try:
            return Answer(status, json.loads(body), headers)
        except (ValueError, RecursionError) as error:
            raise BackendUnreachable(f"{_place(url)}: not json: {_brief(body)}") from error

    def read(
        self, method: str, url: str, *, allowed: tuple[int, ...] = (), **given: Any
    ) -> tuple[int, Mapping[str, str], bytes]:
        """The same with the body as it is."""
        parts: list[bytes] = []
        status, headers = self._run(method, url, allowed, parts.append, self._most, **given)
        return status, headers, b"".join(parts)

    def save(
        self, url: str, file: IO[bytes], most: int, *, allowed: tuple[int, ...] = (), **given: Any
    ) -> int:
        """What is there, into a file, as it comes; the status. ``most``: bytes. Raises as ``ask``
        does, OSError of the file as it is, and BackendUnreachable where less comes than was
        announced."""
        written: list[OSError] = []

        def take(chunk: bytes) -> None:
            try:
                file.write(chunk)
            except OSError as error:
                written.append(error)
                raise

        try:
            return self._run("GET", url, allowed, take, most, **given)[0]
        except BackendUnreachable:
            if written:
                raise written[0] from None
            raise

    def _run(
        self,
        method: str,
        url: str,
        allowed: tuple[int, ...],
        take: Callable[[bytes], Any],
        most: int,
        **given: Any,
    ) -> tuple[int, Mapping[str, str]]:
        place = _place(url)
        _encrypted(url)
        with self._told(place):
            left = self._deadline - time.monotonic()
            if left <= 0 or self._late:
                raise self._too_late(place)
            with self._client.stream(
                method,
                url,
                timeout=httpx.Timeout(min(left, READ), connect=min(left, CONNECT)),
                extensions={"trace": self._trace},
                **given,
            ) as response:
                size = 0
                good = response.is_success or response.status_code in allowed
                said = bytearray()
                for chunk in response.iter_bytes():
                    size += len(chunk)
                    if size > most:
                        raise BackendUnreachable(f"{place}: it sent more than {most} bytes")
                    if good:
                        take(chunk)
                    elif len(said) < 1000:
                        said += chunk
                if not good:
                    raise _refusal(place, response.status_code, bytes(said))
                headers = {name.lower(): value for name, value in response.headers.items()}
                return response.status_code, headers

    @contextlib.contextmanager
    def _told(self, place: str) -> Iterator[None]:
        """Errors of the client as ours."""
        try:
            yield
        except TransientError:
            raise
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            if self._late or time.monotonic() >= self._deadline:
                raise self._too_late(place) from error
            if _REFUSED.search(said := str(error).replace("_", " ")):
                raise CredentialMissing(f"{place} refuses the certificate: {said}") from error
            raise BackendUnreachable(f"{place}: {said or type(error).__name__}") from error

    def _too_late(self, place: str) -> BackendUnreachable:
        return BackendUnreachable(f"{place}: no answer within {self._timeout:g} s")

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Keeps the socket: what the client's own time-outs do not end, the deadline does."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._socket = info["return_value"].get_extra_info("socket")

    def _cut(self) -> None:
        self._late = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                # Not SSLSocket's own, which changes what the reading thread is using.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _refusal(place: str, status: int, body: bytes) -> TransientError:
    said = f"{place}: HTTP {status}: {_words(body)}".rstrip(": ")
    if status in (401, 403):
        return CredentialMissing(said)
    return RateLimited(said) if status == 429 else BackendUnreachable(said)


def _words(body: bytes) -> str:
    """What a service says of its refusal: FastAPI's ``detail``, OAuth's ``error_description``, or
    the beginning of the text."""
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(body)
        if isinstance(value, dict):
            for name in ("detail", "error_description", "error", "reason"):
                if isinstance(value.get(name), str):
                    return _brief(value[name].encode())
    return _brief(body)


def _brief(body: bytes) -> str:
    text = " ".join(body[:600].decode("utf-8", "replace").split())
    return text if len(text) <= 200 else f"{text[:200]}..."


def _place(url: str) -> str:
    """The server in a URL, for messages: the rest may hold what is nobody's business."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _encrypted(url: str) -> None:
    """Plain HTTP only to this host: a token is sent along."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme == "https" and host:
        return
    with contextlib.suppress(ValueError):
        if parts.scheme == "http" and (
            host == "localhost" or ipaddress.ip_address(host).is_loopback
        ):
            return
    raise BackendUnreachable(f"{_place(url)!r}: no URL to be asked; accepted: https://HOST[:PORT]")
