"""The registry of mergers, by Ganga's class name."""

from __future__ import annotations

from gangamon.errors import BadInput
from gangamon.postprocess.manifest import verify
from gangamon.postprocess.text import TextMerger
from gangamon.protocols import PostProcessor

__all__ = ["for_kind", "kinds", "verify"]

_MERGERS: dict[str, type[PostProcessor]] = {"TextMerger": TextMerger}


def kinds() -> tuple[str, ...]:
    """The mergers that gangamon can run."""
    return tuple(sorted(_MERGERS))


def for_kind(kind: str) -> PostProcessor:
    """The merger of this kind. BadInput names the accepted kinds."""
    if kind not in _MERGERS:
        raise BadInput([f"merger: got {kind!r}; accepted: {', '.join(kinds())}"])
    return _MERGERS[kind]()
