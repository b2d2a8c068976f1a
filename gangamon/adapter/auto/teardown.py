"""Frees what a backend's class keeps for its monitoring, when its last job is over."""

from __future__ import annotations

from collections.abc import Iterable

from GangaCore.Utility.logging import getLogger
from GangaCore.Utility.Plugin import allPlugins

logger = getLogger("gangamon")


def tear_down(backends: Iterable[str]) -> None:
    """As MonitoringService.py:137-160 (Ganga 8.7.12). DIRAC ends its processes, which what the
    user types (finalise_jobs, ...) may have started."""
    for name in backends:
        try:
            allPlugins.find("backends", name).tear_down_monitoring()
        except NotImplementedError:
            continue
        except Exception as error:  # noqa: BLE001 - a backend's own code
            logger.debug("gangamon: %s: tear_down_monitoring: %s", name, error)
