"""Traces by OpenTelemetry: what each task, query, fetch and merge took, and which job it was about.

Off unless ``traces.endpoint`` is set; then spans go by OTLP over HTTP, in batches, from a thread of
their own. Whatever becomes of them, no task waits for it, or fails. OpenTelemetry's own variables
(OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER, ...) count as its documentation has them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import Any

from celery import signals

from gangamon import __version__
from gangamon.services import trail
from gangamon.settings import Settings, hostname

log = logging.getLogger(__name__)

#: Seconds that the receiver may take for a batch; the end of a worker waits no longer for it.
PATIENCE = 5

_providers: list[Any] = []


def connect(settings: Settings) -> None:
    """Trace from when a worker begins, where the settings say so."""
    if settings.traces_endpoint:
        signals.worker_init.connect(lambda **_: begin(settings), weak=False)


def begin(settings: Settings) -> None:
    """Trace from here on; what is left is sent when the worker, or a child of its pool, ends."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        log.error("traces.endpoint: no traces: %s; pip install 'gangamon[otel]'", error)
        return
    about = {
        "service.name": "gangamon",
        "service.version": __version__,
        "host.name": hostname(),
        "gangamon.cell": settings.redis_prefix,
    }
    provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(settings.traces_endpoint, timeout=PATIENCE)
    # It begins anew in a forked child. What it complains of, Told says once.
    told: Any = Told(exporter, settings.traces_endpoint)
    provider.add_span_processor(BatchSpanProcessor(told))
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    _providers.append(provider)
    signals.worker_process_shutdown.connect(end, weak=False)
    signals.worker_shutdown.connect(end, weak=False)
    trail.trace_with(Tracer(provider.get_tracer("gangamon", __version__)))


def end(**_: Any) -> None:
    """Send what is left, and no more after it; what takes longer than PATIENCE is dropped."""
    while _providers:
        sending = Thread(target=_providers.pop().shutdown, daemon=True)
        sending.start()
        sending.join(PATIENCE)


class Told:
    """An exporter of spans of which a log says when it begins to fail, and when that is over."""

    def __init__(self, exporter: Any, where: str) -> None:
        self._exporter, self._where, self._well = exporter, where, True

    def export(self, spans: Any) -> Any:
        result = self._exporter.export(spans)
        well = result.name == "SUCCESS"
        if well != self._well:
            self._well = well
            how = "are taken again" if well else "are dropped: it does not take them"
            log.warning("traces.endpoint: spans for %s %s", self._where, how)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 0) -> bool:
        return bool(self._exporter.force_flush(timeout_millis))


class Tracer:
    """``services.trail.Tracer`` over one of OpenTelemetry's."""

    def __init__(self, tracer: Any) -> None:
        self._tracer = tracer

    @contextmanager
    def span(self, name: str, fields: Mapping[str, str | int]) -> Iterator[Mapping[str, str]]:
        about = {**trail.trail(), **fields}
        attributes = {f"gangamon.{name}": value for name, value in about.items()}
        with self._tracer.start_as_current_span(name, attributes=attributes) as span:
            context = span.get_span_context()
            yield {"trace": f"{context.trace_id:032x}", "span": f"{context.span_id:016x}"}
