"""Credentials by reference: a lane names the file, and only the worker that asks reads it."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import pwd
import re
import ssl
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone

from gangamon.domain.lane import NO_CREDENTIAL
from gangamon.errors import CredentialMissing

#: Bytes of a credential that are read: a proxy of a long chain with VOMS attributes has some 20 KB.
MOST = 256 * 1024

#: Seconds before its end from which a credential counts as expired: a query must end before it.
SPARE = 60.0

#: Where the CA certificates of grids lie, unless X509_CERT_DIR says where.
CA_DIRECTORY = "/etc/grid-security/certificates"

_CERTIFICATE = re.compile(
    rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----"
)
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Credential:
    """What a file holds. ``ends``: seconds since the epoch, None: it does not say. ``token``: a
    bearer token, '' for an X.509 proxy. ``pem``: that of a proxy, which may hold more."""

    path: str
    ends: float | None
    token: str = field(default="", repr=False)
    pem: bytes = field(default=b"", repr=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def present(self, tls: ssl.SSLContext) -> ssl.SSLContext:
        """Make a proxy the client's certificate. Raises CredentialMissing."""
        if not self.token:
            try:
                tls.load_cert_chain(self.path)
            except (ssl.SSLError, OSError) as error:
                raise CredentialMissing(f"{self.path}: no proxy: {error}") from error
        return tls


def read(path: str, owner: str = "") -> Credential:
    """The proxy or the token (a JWT, as in WLCG's bearer token discovery) in a file.

    ``owner``: the user for whom it is to be used; it must be that user's file, for whoever sends
    jobs chooses the path. Raises CredentialMissing.
    """
    raw = contents(path, owner)
    chain = _CERTIFICATE.findall(raw)
    if chain:
        ends = min(_ends(path, pem) for pem in chain)
        found = Credential(path, ends, pem=raw)
    else:
        text = raw.decode("ascii", "replace").strip()
        if _TOKEN.fullmatch(text) is None:
            raise CredentialMissing(f"{path}: neither an X.509 proxy nor a token")
        found = Credential(path, expiry(text), token=text)
    in_force(path, found.ends)
    return found


def in_force(path: str, ends: float | None) -> None:
    """Raises CredentialMissing if it ends within a minute."""
    if ends is not None and ends < time.time() + SPARE:
        when = datetime.fromtimestamp(ends, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
        raise CredentialMissing(f"{path} expired at {when}")


def contents(path: str, owner: str = "") -> bytes:
    """The bytes of a regular file of that user. Raises CredentialMissing."""
    with opened(path, owner) as descriptor:
        return os.read(descriptor, MOST)


@contextlib.contextmanager
def opened(path: str, owner: str = "", how: int = os.O_RDONLY) -> Iterator[int]:
    """The descriptor of a regular file of that user. Raises CredentialMissing, also for an OSError
    of what is done with it."""
    if path in ("", NO_CREDENTIAL):
        raise CredentialMissing("the lane names no credential; accepted: the path of its file")
    if not os.path.isabs(path):
        raise CredentialMissing(f"{path}: not a path of a credential; accepted: an absolute one")
    try:
        descriptor = os.open(path, how | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                raise CredentialMissing(f"{path}: not a regular file")
            if owner and facts.st_uid != _uid(path, owner):
                raise CredentialMissing(f"{path}: does not belong to {owner}")
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as error:
        raise CredentialMissing(f"{path}: {error.strerror}") from error


def expiry(token: str) -> float | None:
    """``exp`` of a JWT (RFC 7519, 4.1.4), seconds since the epoch; None if it has none that can be
    read. The signature is for the server to judge."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        return None
    try:
        padded = match[1] + "=" * (-len(match[1]) % 4)
        claims = json.loads(base64.urlsafe_b64decode(padded))
        return float(claims["exp"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def trusted(directory: str | None = None) -> ssl.SSLContext:
    """TLS that believes the CAs of ``directory``, by default those of X509_CERT_DIR or of the
    grid, named by their hashes as ``openssl rehash`` does. Raises CredentialMissing."""
    found = directory or os.environ.get("X509_CERT_DIR") or CA_DIRECTORY
    if not os.path.isdir(found):
        raise CredentialMissing(
            f"{found}: no directory of CA certificates; set X509_CERT_DIR where workers run"
        )
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, capath=found)
    # Grid CAs' older certificates lack extensions that Python 3.13 and later insist on.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    return context


def _uid(path: str, owner: str) -> int:
    try:
        return pwd.getpwnam(owner).pw_uid
    except (KeyError, ValueError):
        raise CredentialMissing(f"{path}: this host has no user {owner}, to own it") from None


def _ends(path: str, pem: bytes) -> float:
    """``notAfter`` of a certificate (RFC 5280, 4.1): of the first sequence in it the fifth field,
    or the fourth where the version is left out."""
    try:
        der = base64.b64decode(pem)
        certificate = _inner(der, 0)[1]
        body = _inner(certificate, 0)[1]
        at = 0
        if body[0] == 0xA0:
            at = _inner(body, at)[2]
        for _ in range(3):  # serialNumber, signature, issuer
            at = _inner(body, at)[2]
        validity = _inner(body, at)[1]
        tag, value, _ = _inner(validity, _inner(validity, 0)[2])
        text = value.decode("ascii") + "+0000"
        if tag == 0x17:
            return datetime.strptime(text, "%y%m%d%H%M%SZ%z").timestamp()
        return datetime.strptime(text, "%Y%m%d%H%M%SZ%z").timestamp()
    except (binascii.Error, IndexError, ValueError, OverflowError) as error:
        raise CredentialMissing(f"{path}: a certificate in it cannot be read") from error


def _inner(der: bytes, at: int) -> tuple[int, bytes, int]:
    """Tag and value of the element at this place, and where the next one begins (X.690, 8.1)."""
    tag, length = der[at], der[at + 1]
    at += 2
    if length & 0x80:
        count = length & 0x7F
        length = int.from_bytes(der[at : at + count], "big")
        at += count
    if at + length > len(der):
        raise IndexError
    return tag, der[at : at + length], at + length
