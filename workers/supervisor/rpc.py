"""supervisord's XML-RPC over its unix socket, with a time limit on each answer."""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from typing import Any

from gangamon.errors import TransientError

SECONDS = 10.0


class SupervisorAway(TransientError):
    """supervisord does not answer."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(SECONDS)
        self.sock.connect(self._path)


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return _Connection(self._path)


def call(path: str, method: str, *arguments: Any) -> Any:
    """One call, e.g. ``getAllProcessInfo``. SupervisorAway if there is no good answer."""
    # Not kept alive: supervisord may go at any time.
    transport = _Transport(path)
    proxy = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=transport)
    try:
        return getattr(proxy, f"supervisor.{method}")(*arguments)
    except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
        raise SupervisorAway(f"{path}: {method}: {error}") from error
    finally:
        transport.close()
