"""Listening: where, and for how long."""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from gangamon.client import Client
from gangamon.errors import BadInput
from gangamon.settings import Settings
from gangamon.web.app import create_app
from gangamon.web.auth import Gate, check_address, read_password

#: Seconds that answers may take when the page ends; viewers are cut off.
GRACE = 1


def serve(settings: Settings, say: Callable[[str], None]) -> int:
    """Until a signal; the exit code. ``say`` is told the address once it listens. BadInput: it may
    not, or cannot, listen there."""
    password = read_password(settings.web_password_file) if settings.web_password_file else ""
    check_address(settings.web_address, password)
    listening = listen(settings.web_address, settings.web_port)
    prefix = settings.web_url_prefix
    say(url_of(settings.web_address, listening.getsockname()[1]) + prefix.lstrip("/"))
    app = create_app(lambda: Client(settings), Gate(password), prefix)
    # What is loaded by now stays; what is looked at later are some hundred thousand subjobs.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
    found = server(app, settings.log_level.lower())
    found.run(sockets=[listening])
    return 0 if found.started else 1


def server(app: FastAPI, log_level: str) -> uvicorn.Server:
    """That runs the application."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_level=log_level,
            access_log=False,  # what a user searches for is theirs
            server_header=False,
            # What X-Forwarded-For says, anybody can say.
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=GRACE,
        )
    )


def listen(address: str, port: int) -> socket.socket:
    """A socket that listens there. BadInput."""
    try:
        known = socket.getaddrinfo(
            address or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, where = known[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(where)
        found.listen(512)
    except OSError as error:
        raise BadInput(
            [f"web.address {address}, web.port {port}: cannot listen there: {error.strerror}; "
             "accepted: a free port, or 0 for any"]
        ) from error  # fmt: skip
    return found


def url_of(address: str, port: int) -> str:
    """As a browser on this host takes it."""
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
