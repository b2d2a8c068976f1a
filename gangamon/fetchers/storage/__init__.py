"""Files by where they lie: entry points of the group ``gangamon.storages``, by URL scheme.

A path is a URL of the scheme ``file``. One object of each is kept: connections live in it.
"""

from __future__ import annotations

import threading
from importlib.metadata import entry_points
from urllib.parse import urlsplit

from gangamon.errors import BadInput
from gangamon.protocols import Source, Storage

GROUP = "gangamon.storages"

_loaded: dict[str, Storage] = {}
_lock = threading.Lock()


def schemes() -> tuple[str, ...]:
    """Those that have a storage installed, whether or not it can be loaded."""
    return tuple(sorted(point.name for point in entry_points(group=GROUP)))


def scheme(url: str) -> str:
    return urlsplit(url).scheme.lower() or "file" if not url.startswith("/") else "file"


def endpoint(url: str) -> str:
    """What has a limit of its own: ``SCHEME://HOST[:PORT]``; '' for what is mounted here."""
    kind = scheme(url)
    return "" if kind == "file" else f"{kind}://{urlsplit(url).netloc.rpartition('@')[2].lower()}"


def shown(url: str) -> str:
    """For messages and logs: without what may be a secret (user, query)."""
    return url if url.startswith("/") else f"{endpoint(url)}{urlsplit(url).path}"


def for_url(url: str) -> Storage:
    """BadInput names the accepted schemes, or why its storage cannot be loaded."""
    kind = scheme(url)
    with _lock:
        if kind not in _loaded:
            _loaded[kind] = _load(kind, url)
        return _loaded[kind]


def bring(source: Source, path: str) -> str:
    """See Storage.bring. BadInput."""
    return for_url(source.url).bring(source, path)


def _load(kind: str, url: str) -> Storage:
    points = {point.name: point for point in entry_points(group=GROUP)}
    if kind not in points:
        known = ", ".join(sorted(points))
        raise BadInput([f"location {shown(url)}: scheme {kind!r}; accepted: {known}"])
    try:
        made: Storage = points[kind].load()()
    except Exception as error:
        raise BadInput(
            [f"location {shown(url)}: {points[kind].value} cannot be loaded: "
             f"{type(error).__name__}: {error}; pip install 'gangamon[storage]'"]
        ) from error  # fmt: skip
    if kind not in made.schemes:
        raise BadInput([f"location {shown(url)}: {points[kind].value} is for {made.schemes}"])
    return made
