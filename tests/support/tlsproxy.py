"""A small reverse proxy that does TLS, as nginx or Apache stand before the job page."""

from __future__ import annotations

import contextlib
import http.client
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from tests.integration.backends.certificates import Authority

#: Of one connection only (RFC 9110, 7.6.1).
_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer"}


class TlsProxy:
    """``url``: https, without the closing slash. What comes for ``prefix`` goes to ``target``, with
    the prefix or (``strip``) without; all else is 404. ``Host`` and ``Origin`` are passed on."""

    def __init__(self, folder: Path, target: str, prefix: str = "", strip: bool = False) -> None:
        authority = Authority(folder)
        names = "extendedKeyUsage=serverAuth\nsubjectAltName=IP:127.0.0.1"
        authority.certify("proxy", "CN=proxy", names)
        place = folder / "proxy"
        self.authority = folder / "ca" / "ca.pem"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(place / "cert.pem", place / "key.pem")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(target, prefix, strip))
        self._server.daemon_threads = True
        # The handshake is the handler's thread's, or one silent client would hold all others up.
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(60)


def _handler(target: str, prefix: str, strip: bool) -> type[BaseHTTPRequestHandler]:
    where = urlsplit(target)

    class Handler(BaseHTTPRequestHandler):
        def _pass(self) -> None:
            if not self.path.startswith(f"{prefix}/"):
                self.send_error(404)
                return
            path = self.path.removeprefix(prefix) if strip else self.path
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {n: v for n, v in self.headers.items() if n.lower() not in _HOP}
            headers |= {"X-Forwarded-Proto": "https", "X-Forwarded-For": self.client_address[0]}
            behind = http.client.HTTPConnection(str(where.hostname), where.port, timeout=120)
            with contextlib.closing(behind), contextlib.suppress(OSError):
                behind.request(self.command, path, body or None, headers)
                answer = behind.getresponse()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in _HOP:
                        self.send_header(name, value)
                self.end_headers()
                while part := answer.read1(65536):  # a stream of events goes on as it comes
                    self.wfile.write(part)
                    self.wfile.flush()

        do_GET = do_POST = _pass  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: what is asked is in the tests."""

    return Handler
