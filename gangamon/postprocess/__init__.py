"""What is done with fetched outputs: mergers, checkers and notifiers, by Ganga's class name."""

from gangamon.postprocess.manifest import verify
from gangamon.postprocess.registry import (
    checker,
    checkers,
    failures,
    for_extension,
    for_kind,
    kinds,
    notifier,
    notifiers,
)

__all__ = [
    "checker",
    "checkers",
    "failures",
    "for_extension",
    "for_kind",
    "kinds",
    "notifier",
    "notifiers",
    "verify",
]
