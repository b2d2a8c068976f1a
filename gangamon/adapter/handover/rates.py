"""How often the user wants to know: Ganga's ``[PollThread]``, where it was changed."""

from __future__ import annotations

from collections.abc import Iterable

from GangaCore.Utility.Config import getConfig
from GangaCore.Utility.logging import getLogger

logger = getLogger("gangamon")

_REST = "default_backend_poll_rate"


def wishes(backends: Iterable[str]) -> dict[str, float]:
    """Seconds between two queries, by backend, where the user set other than Ganga's default
    (Ganga 8.7.12: GangaCore/__init__.py:429-464, MonitoringService.py:125-129)."""
    names = dict.fromkeys(backends, _REST)
    names |= {backend: backend for backend in names if backend in getConfig("PollThread").options}
    found = {backend: _changed(name) for backend, name in names.items()}
    return {backend: wish for backend, wish in found.items() if wish is not None}


def scan_interval(own: float, default: float) -> float:
    """Seconds between two looks for jobs: [Gangamon]ScanInterval, else [PollThread]base_poll_rate
    if that was changed."""
    return own if own != default else _changed("base_poll_rate") or own


def _changed(name: str) -> float | None:
    config = getConfig("PollThread")
    default, value = config.options[name].default_value, config[name]
    try:
        wish = float(value)
    except (TypeError, ValueError):
        wish = 0.0
    if value == default:
        return None
    if 0 < wish <= 86400:
        return wish
    logger.warning(
        "gangamon: [PollThread]%s: got %r, which is ignored; accepted: seconds from 0 to 86400",
        name,
        value,
    )
    return None
