"""Ganga's Batch family but for Slurm: known by the number the batch system gave, and by when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from GangaCore.GPIDev.Base.Proxy import stripProxy

from gangamon.adapter.handover.kinds.kind import Handed
from gangamon.adapter.watch.watched import Watched
from gangamon.domain.observation import Scalar


def hand(watched: Watched, master: Any, job: Any, sub: int, attempt: int) -> Handed | None:
    """By the time of its submission a job is known from another that was given its number. Ganga
    notes it in UTC without saying so (GPIDev/Lib/Job/JobTime.py, 8.7.12)."""
    return Handed(str(job.backend.id), _submitted(stripProxy(job).time.timestamps))


def _submitted(stamps: Mapping[str, Any]) -> dict[str, Scalar]:
    at = stamps.get("submitted")
    if not isinstance(at, datetime):
        return {}
    return {"submitted_at": at.replace(tzinfo=timezone.utc).timestamp()}
