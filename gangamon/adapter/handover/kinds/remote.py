"""Ganga's Remote: known by the number that a Ganga on another host gave it."""

from __future__ import annotations

from typing import Any

from GangaCore.GPIDev.Base.Proxy import stripProxy

from gangamon.adapter.handover.kinds.kind import Handed, Kind
from gangamon.adapter.handover.remote_job import endpoint, extra
from gangamon.adapter.watch.watched import Watched


def hand(watched: Watched, master: Any, job: Any, sub: int, attempt: int) -> Handed | None:
    """The far job, and where it lies."""
    backend = stripProxy(job.backend)
    return Handed(str(backend.remote_job_id), extra(backend))


KIND = Kind(endpoint=endpoint, hand=hand)
