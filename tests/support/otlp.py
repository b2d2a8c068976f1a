"""A receiver of OTLP over HTTP: what an OpenTelemetry collector takes, decoded."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue


@dataclass(frozen=True)
class Span:
    """``id``, ``parent``, ``trace``: in hex, '' for none. ``took``: seconds."""

    name: str
    id: str
    parent: str
    trace: str
    took: float
    failed: bool
    attributes: Mapping[str, str | int]
    resource: Mapping[str, str | int]


class Receiver:
    """Takes traces at ``url``; ``spans``: all so far."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.kinds: set[str] = set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.kinds.add(f"{self.path} {self.headers['Content-Type']}")
                receiver.spans += _decoded(body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def named(self, name: str) -> list[Span]:
        return [span for span in list(self.spans) if span.name == name]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(60)


def _decoded(body: bytes) -> list[Span]:
    request = ExportTraceServiceRequest.FromString(body)
    return [
        Span(
            span.name,
            span.span_id.hex(),
            span.parent_span_id.hex(),
            span.trace_id.hex(),
            (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
            span.status.code == span.status.STATUS_CODE_ERROR,
            _plain(span.attributes),
            _plain(found.resource.attributes),
        )
        for found in request.resource_spans
        for scope in found.scope_spans
        for span in scope.spans
    ]


def _plain(attributes: object) -> dict[str, str | int]:
    pairs: list[KeyValue] = list(attributes)  # type: ignore[call-overload]
    return {p.key: getattr(p.value, p.value.WhichOneof("value") or "string_value") for p in pairs}
