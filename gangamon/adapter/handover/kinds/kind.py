"""What differs between Ganga's backends when their jobs are handed over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gangamon.adapter.watch.watched import Watched
from gangamon.domain.observation import Scalar


@dataclass(frozen=True)
class Handed:
    """A job as its backend knows it. ``native_id``: what the backend is asked by. ``extra``: for
    the backend's plugin in the service (``PollItem.extra``)."""

    native_id: str
    extra: Mapping[str, Scalar] = field(default_factory=dict)


def by_id(watched: Watched, master: Any, job: Any, sub: int, attempt: int) -> Handed | None:
    """Ganga keeps the native id in ``backend.id``."""
    return Handed(str(job.backend.id))


@dataclass(frozen=True)
class Kind:
    """``endpoint``: the lane's, from a Ganga backend object, '' for this host; None: by what the
    object says, as for Local. ``credential``: the path of its file, likewise; None, '': none is
    needed. ``hand``: a job, from the watched master, the master, the job, its number and attempt;
    None: the backend is not yet done with handing it over; look again."""

    endpoint: Callable[[Any], str] | None = None
    credential: Callable[[Any], str] | None = None
    hand: Callable[[Watched, Any, Any, int, int], Handed | None] = by_id
