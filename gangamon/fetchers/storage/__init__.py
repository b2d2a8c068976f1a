"""Files by where they lie: entry points of the group ``gangamon.storages``, by URL scheme.

A path is a URL of the scheme ``file``. One object of each is kept: connections live in it.
"""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import urlsplit

from gangamon import plugins
from gangamon.protocols import Source, Storage

GROUP = "gangamon.storages"


def _check(name: str, kind: Any) -> None:
    plugins.has(kind, "bring")
    if name not in kind.schemes:
        raise TypeError(f"is for {kind.schemes}, not for {name!r}")


PLUGINS = plugins.Plugins(GROUP, _check, "storage")

_made: dict[str, Storage] = {}
_lock = threading.Lock()


def schemes() -> tuple[str, ...]:
    """Those that have a storage installed, whether or not it can be loaded."""
    return PLUGINS.names()


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
        if kind not in _made:
            _made[kind] = PLUGINS.load(kind, f"location {shown(url)}: scheme")()
        return _made[kind]


def bring(source: Source, path: str) -> str:
    """See Storage.bring. BadInput."""
    return for_url(source.url).bring(source, path)
