"""The registries of mergers and checkers, by Ganga's class name."""

from __future__ import annotations

from gangamon.errors import BadInput
from gangamon.postprocess.manifest import verify
from gangamon.postprocess.search import FileChecker
from gangamon.postprocess.text import TextMerger
from gangamon.protocols import Checker, PostProcessor

__all__ = ["checker", "checkers", "for_kind", "kinds", "verify"]

_MERGERS: dict[str, type[PostProcessor]] = {"TextMerger": TextMerger}
_CHECKERS: dict[str, type[Checker]] = {"FileChecker": FileChecker}


def kinds() -> tuple[str, ...]:
    """The mergers that gangamon can run."""
    return tuple(sorted(_MERGERS))


def for_kind(kind: str) -> PostProcessor:
    """The merger of this kind. BadInput names the accepted kinds."""
    if kind not in _MERGERS:
        raise BadInput([f"merger: got {kind!r}; accepted: {', '.join(kinds())}"])
    return _MERGERS[kind]()


def checkers() -> tuple[str, ...]:
    """The checkers that gangamon can run."""
    return tuple(sorted(_CHECKERS))


def checker(kind: str) -> Checker:
    """The checker of this kind. BadInput names the accepted kinds."""
    if kind not in _CHECKERS:
        raise BadInput([f"checker: got {kind!r}; accepted: {', '.join(checkers())}"])
    return _CHECKERS[kind]()
