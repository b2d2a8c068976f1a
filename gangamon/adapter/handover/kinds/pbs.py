"""PBS: known by qsub's number and the time of its submission."""

from __future__ import annotations

from typing import Any

from gangamon.adapter.handover.kinds.batch import hand
from gangamon.adapter.handover.kinds.kind import Kind
from gangamon.grid import pbs


def endpoint(backend: Any) -> str:
    """The server that ``backend.queue`` names (``queue@server``), else this session's; '' if none
    is known."""
    return str(backend.queue or "").partition("@")[2] or pbs.server()


KIND = Kind(endpoint=endpoint, hand=hand)
