"""Files behind HTTP: WebDAV doors of grid storage, presigned URLs, plain servers.

Asked for with ``Want-Digest`` (RFC 3230: dCache, StoRM, EOS and XRootD offer adler32 or md5) and
``Want-Repr-Digest`` (RFC 9530). A download that is cut off goes on by ``Range`` with ``If-Range``
(RFC 9110, 13.1.5 and 14.2), so that two versions are never put together.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from urllib.parse import urljoin, urlsplit

import httpx

from gangamon.errors import BackendUnreachable, CredentialMissing, RateLimited, TransientError
from gangamon.fetchers import storage
from gangamon.fetchers.storage.landing import KNOWN, LARGE, Facts, Landing, landing, parts
from gangamon.grid import credential
from gangamon.protocols import Source

#: Seconds: until a connection stands, between two pieces of an answer, of a whole file.
CONNECT, READ, LONGEST = 10.0, 60.0, 86400.0

#: Times that a download goes on by itself where it was cut off without a byte in between.
TRIES = 3

#: Redirects to the node that has the file.
REDIRECTS = 5

_WANT = {
    "Accept-Encoding": "identity",
    "Want-Digest": "adler32, md5;q=0.5, sha-256;q=0.4",
    "Want-Repr-Digest": "sha-256=5, md5=3",
}
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_DIGEST = re.compile(r"([A-Za-z0-9-]+)=(?::([^:]*):|([^,\s]+))")


class WebStorage:
    """``davs`` is https, ``dav`` http. A proxy or a token goes by https only (or to this host)."""

    schemes = ("http", "https", "dav", "davs")

    def __init__(self) -> None:
        self._clients: dict[tuple[str, float], httpx.Client] = {}
        self._lock = threading.Lock()

    def bring(self, source: Source, path: str) -> str:
        """See Storage."""
        url = re.sub("^dav(?=s?:)", "http", source.url, flags=re.I)
        with _told(url):
            client, headers = self._client(url, source.credential)
            deadline = time.monotonic() + LONGEST
            found: Facts | None = None
            if parts(path):
                with _answer(client, "HEAD", url, headers) as response:
                    found = _facts(response)
            return _Download(client, url, headers, path, deadline).run(found)

    def _client(self, url: str, path: str) -> tuple[httpx.Client, dict[str, str]]:
        """Connections are shared by all who have the same proxy; a token goes with each request."""
        parts = urlsplit(url)
        headers: dict[str, str] = {}
        key = ("", 0.0)
        given = None
        if path:
            if parts.scheme != "https" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
                raise CredentialMissing(f"{storage.shown(url)}: no credential is sent without TLS")
            given = credential.read(path)
            headers = given.headers
            if not headers:
                key = (path, os.stat(path).st_mtime)
        with self._lock:
            if key not in self._clients:
                tls = _trusted()
                if given is not None and not headers:
                    given.present(tls)
                    for old in [k for k in self._clients if k[0] == path]:
                        del self._clients[old]  # it ends with its last download
                self._clients[key] = httpx.Client(
                    verify=tls,
                    timeout=httpx.Timeout(READ, connect=CONNECT, pool=READ),
                    limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
                    trust_env=False,
                )
            return self._clients[key], headers


class _Download:
    def __init__(
        self, client: httpx.Client, url: str, headers: dict[str, str], path: str, deadline: float
    ) -> None:
        self._client, self._url, self._headers = client, url, headers
        self._path, self._deadline = path, deadline
        self._tries = 0

    def run(self, found: Facts | None) -> str:
        if found is None:
            with _answer(self._client, "GET", self._url, self._headers) as response:
                facts = _facts(response)
                if not facts.checksums and (facts.size or 0) >= LARGE:
                    facts = self._asked(facts)  # some say it to HEAD only
                with landing(self._path, facts) as place:
                    self._take(response, place)
                    self._go_on(place)
                return place.checksum
        with landing(self._path, found) as place:
            self._go_on(place)
        return place.checksum

    def _asked(self, facts: Facts) -> Facts:
        with _answer(self._client, "HEAD", self._url, self._headers) as response:
            more = _facts(response)
        same = (more.size, more.version) == (facts.size, facts.version)
        return more if same and facts.version else facts

    def _go_on(self, place: Landing) -> None:
        """Until all is there, or nothing more comes."""
        size, shown = place.facts.size, storage.shown(self._url)
        while size is not None and place.at < size and self._tries < TRIES:
            tag = place.facts.version
            if not tag and place.at:
                return  # it cannot be told whether it is the same file still
            headers = {**self._headers}
            if place.at:
                headers |= {"Range": f"bytes={place.at}-", "If-Range": tag}
            at = place.at
            with _answer(self._client, "GET", self._url, headers) as response:
                now = _facts(response)
                if now.version != tag or now.size != size:
                    raise TransientError(f"{shown}: changed while it was brought")
                if at and not _follows(response, at):
                    raise TransientError(f"{shown}: cannot be gone on with")
                self._take(response, place)

    def _take(self, response: httpx.Response, place: Landing) -> None:
        """What comes; a cut is no error as long as something came."""
        at = place.at
        try:
            for chunk in response.iter_raw():
                place.write(chunk)
                if place.facts.size is not None and place.at > place.facts.size:
                    raise TransientError(f"{storage.shown(self._url)}: more came than announced")
                if time.monotonic() > self._deadline:
                    raise BackendUnreachable(
                        f"{storage.shown(self._url)}: not within {LONGEST:.0f} s"
                    )
        except httpx.TransportError:
            self._tries = 0 if place.at > at else self._tries
            if place.facts.size is None:
                raise
        self._tries += 1


def _follows(response: httpx.Response, at: int) -> bool:
    match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return response.status_code == 206 and match is not None and int(match[1]) == at


@contextlib.contextmanager
def _answer(
    client: httpx.Client, method: str, url: str, headers: Mapping[str, str]
) -> Iterator[httpx.Response]:
    """A good one, of whoever has the file. What is sent to prove who we are goes to no other."""
    sent = {**_WANT, **headers}
    for _ in range(REDIRECTS + 1):
        with client.stream(method, url, headers=sent) as response:
            if not response.has_redirect_location:
                _good(response, url)
                yield response
                return
            there = urljoin(url, response.headers["Location"])
        if urlsplit(there).scheme not in ("http", "https"):
            raise BackendUnreachable(f"{storage.shown(url)}: leads to {storage.shown(there)}")
        if urlsplit(there)[:2] != urlsplit(url)[:2]:
            sent.pop("Authorization", None)
        url = there
    raise BackendUnreachable(f"{storage.shown(url)}: more than {REDIRECTS} redirects")


def _good(response: httpx.Response, url: str) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    said = f"{storage.shown(url)}: HTTP {status} {response.reason_phrase}".rstrip()
    if status in (401, 403):
        raise CredentialMissing(said)
    if status in (404, 410):
        raise TransientError(f"{storage.shown(url)}: not there (HTTP {status})")
    if status == 429:
        raise RateLimited(said)
    raise BackendUnreachable(said)


def _facts(response: httpx.Response) -> Facts:
    headers = response.headers
    match = _RANGE.fullmatch(headers.get("Content-Range", ""))
    length = headers.get("Content-Length", "")
    size = int(match[3]) if match else int(length) if length.isdecimal() else None
    tag = headers.get("ETag", "")
    # A weak one says only that it means the same (RFC 9110, 13.1.5).
    version = tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")
    said = ",".join(headers.get_list("Digest") + headers.get_list("Repr-Digest"))
    return Facts(size, version, _checksums(said))


def _checksums(said: str) -> dict[str, str]:
    """``adler32=03da0195,md5=BASE64`` (RFC 3230), ``sha-256=:BASE64:`` (RFC 9530)."""
    found: dict[str, str] = {}
    for name, new, old in _DIGEST.findall(said):
        kind = {"sha": "sha-1", "sha256": "sha-256", "sha512": "sha-512"}.get(
            name.lower(), name.lower()
        )
        value = new or old
        if kind not in KNOWN:
            continue
        if kind in ("adler32", "crc32"):
            if re.fullmatch("[0-9A-Fa-f]{1,8}", value):
                found[kind] = value.lower().zfill(8)
            continue
        with contextlib.suppress(binascii.Error, ValueError):
            found[kind] = base64.b64decode(value, validate=True).hex()
    return found


@contextlib.contextmanager
def _told(url: str) -> Iterator[None]:
    """Errors of the client as ours."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ssl.SSLError) as error:
        said = str(error) or type(error).__name__
        raise BackendUnreachable(f"{storage.shown(url)}: {said}") from error


def _trusted() -> ssl.SSLContext:
    """The CAs of this host, and of the grid where they are installed."""
    context = ssl.create_default_context()
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    found = os.environ.get("X509_CERT_DIR") or credential.CA_DIRECTORY
    if os.path.isdir(found):
        context.load_verify_locations(capath=found)
    return context
