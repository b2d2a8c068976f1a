"""The file in which DiracX's own client keeps a user's tokens, used and renewed as it does.

``~/.cache/diracx/credentials.json``, as ``dirac login`` writes it (diracx-core 0.7.0, utils.py)::

    {"access_token": JWT, "refresh_token": JWT, "expires_on": seconds since the epoch}

A refresh token is good once: it is answered with the next one, and whoever uses one again has all
of the user's revoked (logic/auth/token.py). So the file is read, renewed and written under one
flock on it, which the client takes as well.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gangamon.errors import BackendUnreachable, CredentialMissing
from gangamon.grid import credential

#: Seconds before its end from which an access token is renewed: a query must end before it.
SPARE = credential.SPARE

#: Seconds in which a file that another process writes has its content.
PATIENCE = 2.0

#: What a refresh token is given for: the answer of the service, as json.
Renew = Callable[[str], Any]


@dataclass(frozen=True)
class Tokens:
    """``expires``: of the access token, seconds since the epoch. ``refresh``: '' if there is no
    such token."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires: float

    @property
    def ends(self) -> float | None:
        """Until when it can be used or renewed; None: it does not say."""
        return credential.expiry(self.refresh) if self.refresh else self.expires


def read(path: str, owner: str = "") -> Tokens:
    """What is in the file now. Raises CredentialMissing."""
    with credential.opened(path, owner) as descriptor:
        return _settled(path, descriptor)


def valid(path: str, owner: str, deadline: float, renew: Renew) -> Tokens:
    """Tokens of which the access token is good for a minute at least, renewed if need be.
    ``deadline``: by time.monotonic.

    Raises CredentialMissing if there are none, none that can be renewed, or the file cannot be
    written to; BackendUnreachable if another process holds the file for too long; and what
    ``renew`` does.
    """
    tokens = read(path, owner)
    if time.time() + SPARE < tokens.expires:
        return tokens
    with credential.opened(path, owner, os.O_RDWR) as descriptor:
        _lock(path, descriptor, deadline)
        tokens = _settled(path, descriptor)
        if time.time() + SPARE < tokens.expires:
            return tokens  # another process has renewed it
        if not tokens.refresh:
            credential.in_force(path, tokens.expires)
        credential.in_force(path, credential.expiry(tokens.refresh))
        found = _answered(path, renew(tokens.refresh), tokens.refresh)
        _write(descriptor, found)
        return found


def _lock(path: str, descriptor: int, deadline: float) -> None:
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EINTR):
                raise CredentialMissing(f"{path}: cannot be locked: {error.strerror}") from error
        if time.monotonic() > deadline:
            raise BackendUnreachable(f"{path}: another process holds its lock")
        time.sleep(0.05)


def _settled(path: str, descriptor: int) -> Tokens:
    """DiracX's client empties the file before it locks and writes it: that is waited for."""
    late = time.monotonic() + PATIENCE
    while True:
        try:
            return _parsed(path, os.pread(descriptor, credential.MOST, 0))
        except CredentialMissing:
            if time.monotonic() > late:
                raise
        time.sleep(0.05)


def _parsed(path: str, raw: bytes) -> Tokens:
    try:
        found = json.loads(raw)
        access, refresh = found["access_token"], found.get("refresh_token") or ""
        if not isinstance(access, str) or not access.isascii() or not isinstance(refresh, str):
            raise ValueError
        return Tokens(access, refresh, float(found["expires_on"]))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise CredentialMissing(f"{path}: no credentials of DiracX (dirac login)") from None


def _answered(path: str, answer: Any, old: str) -> Tokens:
    """RFC 6749, 5.1. A service that does not rotate answers with the old refresh token."""
    try:
        access, lasts = answer["access_token"], float(answer["expires_in"])
        refresh = answer.get("refresh_token") or old
        if not access or not isinstance(access, str) or not isinstance(refresh, str):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise BackendUnreachable(f"{path}: DiracX renewed no token") from None
    return Tokens(access, refresh, int(time.time() + lasts - 15))  # as its client reckons


def _write(descriptor: int, tokens: Tokens) -> None:
    """In place, for the lock is on this very file and others wait for it; by one write, for if this
    process is killed the old token is worth nothing any more."""
    body = json.dumps(
        {
            "access_token": tokens.access,
            "refresh_token": tokens.refresh,
            "expires_on": int(tokens.expires),
        }
    )
    os.pwrite(descriptor, body.ljust(os.fstat(descriptor).st_size).encode("ascii"), 0)
    os.fsync(descriptor)
