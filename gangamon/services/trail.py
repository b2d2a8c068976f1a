"""What a log line is about: the way from a job over its claim to the Celery task.

``repository`` and ``job`` (its fqid) name a job for ever, ``claim`` is the lease's token, ``queue``
what was claimed from, ``task`` Celery's id of the task, as Flower shows it; ``trace`` and ``span``
are OpenTelemetry's where traces are wanted. Who formats log lines reads it (``workers/logs.py``),
and who traces (``workers/tracing.py``); nothing else does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Protocol

_TRAIL: ContextVar[Mapping[str, str]] = ContextVar("trail", default={})  # noqa: B039 - never changed


class Tracer(Protocol):
    def span(
        self, name: str, fields: Mapping[str, str | int]
    ) -> AbstractContextManager[Mapping[str, str]]:
        """A span of what happens inside, with the trail's fields and these; its ids, by the names
        that the trail has for them. An exception that leaves it is noted in it."""


_NOTHING = nullcontext()
_tracer: Tracer | None = None


def trace_with(tracer: Tracer | None) -> None:
    """From now on, in the whole process. None: no more."""
    global _tracer
    _tracer = tracer


def step(name: str, **fields: str | int) -> AbstractContextManager[object]:
    """A part of the work of which a trace tells how long it took; without a tracer nothing."""
    return _NOTHING if _tracer is None else _traced(_tracer, name, fields)


@contextmanager
def _traced(tracer: Tracer, name: str, fields: Mapping[str, str | int]) -> Iterator[None]:
    with tracer.span(name, fields) as named, about(**named):
        yield


@contextmanager
def about(**fields: str) -> Iterator[None]:
    """Lines from in here, of this thread, are about these, and about what they were before."""
    token = _TRAIL.set({**_TRAIL.get(), **fields})
    try:
        yield
    finally:
        _TRAIL.reset(token)


@contextmanager
def about_member(queue: str, member: str) -> Iterator[None]:
    """Of a stage: a job's fetch (OWNER:REPOSITORY:MASTER:SUB@ATTEMPT) or a master's
    (OWNER:REPOSITORY:MASTER@ATTEMPT)."""
    _, repository, *numbers = member.rpartition("@")[0].split(":")
    job = ".".join(number for number in numbers if number != "-1")
    with about(queue=queue, repository=repository, job=job):
        yield


def trail() -> Mapping[str, str]:
    """What the lines of this thread are about now."""
    return _TRAIL.get()
