"""The page's own files: read and compressed once, kept by a browser for as long as they are the
same."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response

#: Seconds that a browser keeps a file whose address names its version.
YEAR = 365 * 86_400

#: Fewer bytes are sent as they are: they fit into one packet.
SMALL = 1000

_IMPORTED = re.compile(r'^import .* from "\./([\w.-]+)";$', re.MULTILINE)


class Files:
    """An ASGI application for ``/static/VERSION/NAME``. ``version``: of all of them together, so
    that what a module imports by a relative address has the same one. An address of another
    version, or of none, gives the file as it is now, and is not kept."""

    def __init__(self, folder: Path) -> None:
        self._bodies = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        self._packed = {
            name: gzip.compress(body, mtime=0)
            for name, body in self._bodies.items()
            if len(body) >= SMALL
        }
        digest = hashlib.sha256()
        for name, body in self._bodies.items():
            digest.update(f"{name} {len(body)} ".encode() + body)
        self.version = digest.hexdigest()[:16]

    def address(self, name: str) -> str:
        return f"/static/{self.version}/{name}"

    def modules(self, name: str) -> list[str]:
        """The scripts that a script imports, and those import, without itself. A browser finds a
        script's imports when it has read it; told at once, it asks for all together."""
        found: dict[str, None] = {}
        left = [name]
        while left:
            for other in _IMPORTED.findall(self._bodies[left.pop()].decode()):
                if other not in found:
                    found[other] = None
                    left.append(other)
        return list(found)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        await self._answer(scope)(scope, receive, send)

    def _answer(self, scope: MutableMapping[str, Any]) -> Response:
        *folders, name = scope["path"].removeprefix(scope.get("root_path", "")).split("/")[1:]
        body = self._bodies.get(name)
        if body is None or len(folders) > 1 or ".." in folders:
            return Response("not known\n", 404, media_type="text/plain")
        if scope["method"] not in ("GET", "HEAD"):
            return Response("", 405, {"Allow": "GET, HEAD"})
        headers = {"Vary": "Accept-Encoding"}
        if folders == [self.version]:
            headers["Cache-Control"] = f"public, max-age={YEAR}, immutable"
        packed = self._packed.get(name)
        if packed is not None and "gzip" in Headers(scope=scope).get("accept-encoding", ""):
            body = packed
            headers["Content-Encoding"] = "gzip"
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Response(body, 200, headers, kind)
