"""The ear in Ganga's state machine: an ``IMonitoringService`` that only notes what happened.

Ganga calls it in the thread that changes the job, for every subjob, before the status is set:
so it puts (kind, master id) in a queue and returns. Of what is submitted it clears away what
another job may have left.
"""

from __future__ import annotations

import queue
import threading
from typing import Any

from GangaCore.GPIDev.Adapters.IMonitoringService import IMonitoringService

from gangamon.adapter.watch import leftovers

#: Its name in [MonitoringServices].
PATH = "gangamon.adapter.watch.hooks.Hook"


class Ear:
    """Where the hooks put what they heard; closed while no component listens."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[str, int]] | None = None
        self._deaf: threading.Thread | None = None

    def listen(self, heard: queue.SimpleQueue[tuple[str, int]], deaf: threading.Thread) -> None:
        """``deaf``: the thread whose own changes are no news."""
        self._queue, self._deaf = heard, deaf

    @property
    def listens(self) -> bool:
        return self._queue is not None

    def hear(self, kind: str, job: Any) -> None:
        if self._queue is None or threading.current_thread() is self._deaf:
            return
        master = job.master
        self._queue.put((kind, job.id if master is None else master.id))


ear = Ear()


class Hook(IMonitoringService):
    """Ganga makes one for every call."""

    def submit(self, **opts: Any) -> None:
        ear.hear("submit", self.job_info)
        if ear.listens:
            leftovers.clear(self.job_info)

    def complete(self, **opts: Any) -> None:
        ear.hear("complete", self.job_info)

    def fail(self, **opts: Any) -> None:
        ear.hear("fail", self.job_info)

    def kill(self, **opts: Any) -> None:
        ear.hear("kill", self.job_info)

    def rollback(self, **opts: Any) -> None:
        ear.hear("rollback", self.job_info)

    def event(self, what: str = "", values: Any = None) -> None:
        """Nothing else is of interest."""
