"""The registry of fetchers: entry points of the group ``gangamon.fetchers``, by backend.

How the outputs of a backend's jobs come home. A plugin that cannot be loaded stays in the list,
with its reason, as those of ``gangamon.backends`` do.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import cast

from gangamon.errors import BadInput
from gangamon.protocols import Fetcher

GROUP = "gangamon.fetchers"

#: Why a plugin could not be loaded, by name: asked once, kept for as long as the process lives.
_failures: dict[str, str] = {}

#: What is loaded, by name: a fetch must not read the installed distributions anew.
_loaded: dict[str, type[Fetcher]] = {}


def names() -> tuple[str, ...]:
    """The backends that have a fetcher installed, whether or not it can be loaded."""
    return tuple(sorted(_points()))


def failures() -> dict[str, str]:
    """Tries to load every fetcher; the reasons of those that cannot be, by name."""
    for name in names():
        try:
            for_backend(name)
        except BadInput:
            continue
    return dict(_failures)


def for_backend(name: str) -> Fetcher:
    """The fetcher for a backend's outputs. BadInput names the accepted backends, or why it cannot
    be loaded."""
    if name in _loaded:
        return _loaded[name]()
    points = _points()
    if name not in points:
        raise BadInput([f"fetcher: got {name!r}; accepted: {', '.join(sorted(points))}"])
    if name not in _failures:
        try:
            kind = points[name].load()
            fetcher = _checked(name, kind())
        except Exception as error:  # noqa: BLE001 (a plugin's import may raise anything; kept)
            _failures[name] = f"{type(error).__name__}: {error}"
        else:
            _loaded[name] = kind
            return fetcher
    raise BadInput(
        [f"fetcher: {name!r} ({points[name].value}) cannot be loaded: {_failures[name]}"]
    )


def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _checked(name: str, fetcher: object) -> Fetcher:
    if not callable(getattr(fetcher, "fetch", None)):
        raise TypeError("has no fetch")
    if getattr(fetcher, "name", None) != name:
        raise TypeError(f"calls itself {getattr(fetcher, 'name', None)!r}, not {name!r}")
    return cast(Fetcher, fetcher)
