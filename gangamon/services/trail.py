"""What a log line is about: the way from a job over its claim to the Celery task.

``repository`` and ``job`` (its fqid) name a job for ever, ``claim`` is the lease's token, ``queue``
what was claimed from, ``task`` Celery's id of the task, as Flower shows it. Who formats log lines
reads it (``workers/logs.py``); nothing else does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_TRAIL: ContextVar[Mapping[str, str]] = ContextVar("trail", default={})  # noqa: B039 - never changed


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
