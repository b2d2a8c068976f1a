"""Before every answer: who asks, from where; and what a browser is told never to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

from gangamon.web.auth import COOKIE, Gate, Refused, Session

#: Everything comes from here, scripts and styles as files: what a job is named is never code.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With no-referrer a form's Origin would be null.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
App = Callable[..., Awaitable[None]]


def whose(request: Request) -> Session | None:
    """Refused: too many wrong passwords."""
    gate: Gate = request.app.state.gate
    return gate.session(
        request.cookies.get(COOKIE), request.headers.get("authorization"), peer(request)
    )


def peer(request: Request) -> str:
    return request.client.host if request.client else ""


def below(request: Request) -> str:
    """The path without what goes before every path."""
    return str(request.scope["path"]).removeprefix(request.scope.get("root_path", ""))


async def reading(request: Request) -> Session:
    """For what shows something. Refused."""
    found = whose(request)
    if found is None:
        raise Refused(401, "log in first")
    return found


async def changing(request: Request) -> Session:
    """For what changes something. Refused."""
    found = await reading(request)
    request.app.state.gate.check_change(request.headers, found)
    return found


class Shield:
    """Around the whole application: the Host header is checked, the headers above are set.
    ``prefix`` goes before every path; a proxy may have taken it away, or not."""

    def __init__(self, app: App, gate: Gate, prefix: str = "") -> None:
        self._app, self._gate, self._prefix = app, gate, prefix

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        if self._prefix:
            path: str = scope["path"]
            if not path.startswith(f"{self._prefix}/"):
                path = self._prefix + path
            scope = {**scope, "path": path, "root_path": self._prefix}

        async def shielded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            self._gate.check_host(Headers(scope=scope))
        except Refused as refused:
            answer = PlainTextResponse(refused.why, refused.status)
            await answer(scope, receive, shielded)
            return
        await self._app(scope, receive, shielded)
