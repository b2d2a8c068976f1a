"""The registry of fetchers: entry points of the group ``gangamon.fetchers``, by backend.

How the outputs of a backend's jobs come home.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from gangamon import plugins
from gangamon.protocols import Fetcher

GROUP = "gangamon.fetchers"


def _check(name: str, kind: Any) -> None:
    fetcher = kind()
    plugins.has(fetcher, "fetch")
    plugins.called(fetcher, "name", name)


PLUGINS = plugins.Plugins(GROUP, _check)


def names() -> tuple[str, ...]:
    """The backends that have a fetcher installed, whether or not it can be loaded."""
    return PLUGINS.names()


def failures() -> Mapping[str, str]:
    """Tries to load every fetcher; the reasons of those that cannot be, by name."""
    return PLUGINS.failures()


def for_backend(name: str) -> Fetcher:
    """The fetcher for a backend's outputs. BadInput names the accepted backends, or why it cannot
    be loaded."""
    return cast(Fetcher, PLUGINS.load(name, "fetcher")())
