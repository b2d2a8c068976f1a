"""An HTTP server of files on loopback: ranges, ETags, digests, and what goes wrong with them."""

from __future__ import annotations

import contextlib
import hashlib
import re
import ssl
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileStore:
    """``files``: path -> content. ``cuts``: how many bytes each of the next answers sends of its
    content before the connection ends. ``digest``: what is said instead of the right one; '': none.
    ``token``: without it, 401. ``moved``: path -> URL to which it redirects. ``seen``: (method,
    path, headers) of each request, names in lower case."""

    files: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    digest: str | None = None
    token: str = ""
    moved: dict[str, str] = field(default_factory=dict)
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def ranges(self) -> list[str]:
        return [headers.get("range", "") for method, _, headers in self.seen if method == "GET"]


@contextlib.contextmanager
def filestore(tls: ssl.SSLContext | None = None) -> Iterator[FileStore]:
    """One that runs; with ``tls`` by https."""
    store = FileStore()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _answer(self, store)

        do_HEAD = do_GET  # noqa: N815 (a name of the base class)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    store.url = f"{'https://localhost' if tls else 'http://127.0.0.1'}:{server.server_port}"
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(asked: BaseHTTPRequestHandler, store: FileStore) -> None:
    headers = {name.lower(): value for name, value in asked.headers.items()}
    store.seen.append((asked.command, asked.path, headers))
    path = asked.path.partition("?")[0]
    content = store.files.get(path)
    status = 200
    if store.token and headers.get("authorization") != f"Bearer {store.token}":
        status = 401
    elif path in store.moved:
        status = 307
    elif content is None:
        status = 404
    if status != 200 or content is None:
        asked.send_response(status)
        asked.send_header("Content-Length", "0")
        if status == 307:
            asked.send_header("Location", store.moved[path])
        asked.end_headers()
        return
    tag = f'"{hashlib.md5(content).hexdigest()}"'
    first = 0
    match = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
    if match and headers.get("if-range") == tag and int(match[1]) < len(content):
        first, status = int(match[1]), 206
    asked.send_response(status)
    asked.send_header("Content-Length", str(len(content) - first))
    asked.send_header("ETag", tag)
    if status == 206:
        asked.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
    digest = f"adler32={zlib.adler32(content):08x}" if store.digest is None else store.digest
    if digest and "want-digest" in headers:
        asked.send_header("Digest", digest)
    asked.end_headers()
    if asked.command == "HEAD":
        return
    most = store.cuts.pop(0) if store.cuts else len(content)
    with contextlib.suppress(OSError):  # who asked may have gone
        asked.wfile.write(content[first : first + most])
    if first + most < len(content):
        asked.close_connection = True
