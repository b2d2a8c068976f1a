"""Requests to a DiracX with a user's tokens."""

from __future__ import annotations

import contextlib
import os
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from gangamon.errors import BackendUnreachable, CredentialMissing
from gangamon.grid import credential
from gangamon.grid.diracx import tokens
from gangamon.grid.http import Requests

#: As which DiracX's own command line registers (diracx-core 0.7.0).
CLIENT = "myDIRACClientID"

#: Jobs of one search (diracx-logic 0.7.0, MAX_PER_PAGE).
MOST = 10_000


class Service:
    """``url``: of the DiracX, as in DIRACX_URL. ``path``: the file of the tokens, of ``owner``.
    ``timeout``: seconds for all requests together. To be used as a context manager."""

    def __init__(self, url: str, path: str, owner: str, timeout: float) -> None:
        self.url = url.rstrip("/")
        self._path, self._owner = path, owner
        self._deadline = time.monotonic() + timeout
        self._stack = contextlib.ExitStack()
        self._requests: Requests

    def __enter__(self) -> Service:
        """Raises CredentialMissing, BackendUnreachable (while tokens are renewed)."""
        try:
            host = urlsplit(self.url).hostname
        except ValueError:
            host = None
        if not host:
            raise BackendUnreachable(f"{self.url!r}: no DiracX; accepted: its URL, as DIRACX_URL")
        tls = _trusted()
        with Requests(self._left, tls) as plain:
            found = tokens.valid(
                self._path, self._owner, self._deadline, lambda refresh: self._renew(plain, refresh)
            )
        headers = {"Authorization": f"Bearer {found.access}"}
        self._requests = self._stack.enter_context(Requests(self._left, tls, headers))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ask(self, method: str, path: str, **given: Any) -> Any:
        """The json of an answer. Raises as Requests.ask does."""
        return self._requests.ask(method, f"{self.url}/api{path}", **given).value

    def search(self, ids: Sequence[int], parameters: Sequence[str]) -> list[Mapping[str, Any]]:
        """Rows of those of the jobs that DiracX has and the user may see. Raises
        BackendUnreachable for an answer that is no list of rows, or not the whole of it."""
        rows: list[Mapping[str, Any]] = []
        for n in range(0, len(ids), MOST):
            values = [str(number) for number in ids[n : n + MOST]]
            answer = self._requests.ask(
                "POST",
                f"{self.url}/api/jobs/search",
                params={"page": 1, "per_page": MOST},
                json={
                    "parameters": ["JobID", *parameters],
                    "search": [{"parameter": "JobID", "operator": "in", "values": values}],
                    "sort": [{"parameter": "JobID", "direction": "asc"}],
                },
            )
            if answer.status != 200:
                where = answer.headers.get("content-range", "")
                raise BackendUnreachable(f"DiracX: HTTP {answer.status}: a part only ({where})")
            found = answer.value
            if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
                raise BackendUnreachable(f"DiracX: no list of jobs: {str(found)[:200]}")
            rows += found
        return rows

    @contextlib.contextmanager
    def elsewhere(self) -> Iterator[Requests]:
        """For a URL that is its own permission: no token goes there."""
        with Requests(self._left, _trusted()) as requests:
            yield requests

    @property
    def _left(self) -> float:
        return max(self._deadline - time.monotonic(), 0.001)

    def _renew(self, requests: Requests, refresh: str) -> Any:
        given = {"grant_type": "refresh_token", "client_id": CLIENT, "refresh_token": refresh}
        answer = requests.ask("POST", f"{self.url}/api/auth/token", data=given, allowed=(400,))
        if answer.status == 400:  # RFC 6749, 5.2: invalid_grant
            raise CredentialMissing(f"{self._path}: DiracX renews it no more (dirac login)")
        return answer.value


def _trusted() -> ssl.SSLContext:
    """The CAs of this host and of grids, and DIRACX_CA_PATH, as for DiracX's client."""
    own = os.environ.get("DIRACX_CA_PATH")
    context = ssl.create_default_context()
    try:
        if own:
            context.load_verify_locations(**{"capath" if os.path.isdir(own) else "cafile": own})
    except (OSError, ssl.SSLError) as error:
        raise CredentialMissing(f"DIRACX_CA_PATH: {own}: {error}") from error
    grid = os.environ.get("X509_CERT_DIR") or credential.CA_DIRECTORY
    if os.path.isdir(grid):
        context.load_verify_locations(capath=grid)
    return context
