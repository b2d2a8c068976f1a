"""The registry of fetchers: how the outputs of each backend's jobs come home."""

from __future__ import annotations

from gangamon.errors import BadInput
from gangamon.fetchers.local import LocalFetcher
from gangamon.protocols import Fetcher

_FETCHERS: dict[str, type[Fetcher]] = {"Local": LocalFetcher}


def for_backend(name: str) -> Fetcher:
    """The fetcher for a backend's outputs. BadInput names the accepted backends."""
    if name not in _FETCHERS:
        raise BadInput([f"fetcher: got {name!r}; accepted: {', '.join(sorted(_FETCHERS))}"])
    return _FETCHERS[name]()
