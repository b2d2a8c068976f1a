"""Grid Engine: known by qsub's number and the time of its submission."""

from __future__ import annotations

from typing import Any

from gangamon.adapter.handover.kinds.batch import hand
from gangamon.adapter.handover.kinds.kind import Kind
from gangamon.grid import gridengine


def endpoint(backend: Any) -> str:
    """The cluster that this session's commands ask, by its name; '' if none is known."""
    return gridengine.cluster()


KIND = Kind(endpoint=endpoint, hand=hand)
