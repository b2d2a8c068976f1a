"""Backends that gangamon has no plugin for: Ganga's own code asks them, in this session."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from GangaCore.Utility.Config import getConfig
from GangaCore.Utility.logging import getLogger
from GangaCore.Utility.Plugin import allPlugins

from gangamon.adapter.watch.reader import Gone, Reader

logger = getLogger("gangamon")


class Foreign:
    """As without gangamon: ``master_updateMonitoringInformation`` of the backend's class, with the
    masters that are submitted or running, every so many seconds of [PollThread]
    (MonitoringService.py:43-131, Ganga 8.7.12). Unlike there no two passes of a backend overlap.
    What it does to the session is the same as ever; it never holds up the adapter's thread."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._due: dict[str, float] = {}
        self._asking: set[str] = set()
        #: Names of those that have unfinished jobs.
        self.active: frozenset[str] = frozenset()

    def look(self, masters: Iterable[int]) -> None:
        """Ask what is due about these unfinished master jobs."""
        found: dict[str, list[Any]] = defaultdict(list)
        for master in masters:
            try:
                found[self._reader.backend(master)].append(self._reader.plain(master))
            except Gone:
                continue
        self.active = frozenset(found)
        now = time.monotonic()
        for name, jobs in found.items():
            if now >= self._due.get(name, 0.0) and name not in self._asking:
                self._due[name] = now + _rate(name)
                self._asking.add(name)
                threading.Thread(
                    target=self._ask, args=(name, jobs), name=f"gangamon-{name}", daemon=True
                ).start()

    def _ask(self, name: str, jobs: list[Any]) -> None:
        try:
            allPlugins.find("backends", name).master_updateMonitoringInformation(jobs)
        except Exception as error:  # noqa: BLE001 - a backend's own code
            logger.warning("gangamon: %s: %s", name, error)
        finally:
            self._asking.discard(name)


def _rate(name: str) -> float:
    config = getConfig("PollThread")
    return float(config[name if name in config.options else "default_backend_poll_rate"])
