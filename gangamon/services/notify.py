"""The notify stage: tell whoever asked to be told that a master job has ended."""

from __future__ import annotations

import json
import logging
import shlex
import subprocess
from collections.abc import Mapping
from typing import Any

from gangamon.domain.effect import Stage
from gangamon.protocols import JobStore, Master
from gangamon.services.due import Dispatcher
from gangamon.services.leases import LeaseKeeper
from gangamon.services.stages import MasterStage, verdict

log = logging.getLogger(__name__)

TIMEOUT = 30.0


class Notify(MasterStage):
    """Runs ``notify.command``, if set, with the event as json on its standard input.

    At least once: the event's ``id`` is the same if a crash makes it run again. A command that
    fails is logged and does not hold the job up: the sessions are told by the update stream.
    """

    stage = Stage.NOTIFY

    def __init__(
        self, store: JobStore, keeper: LeaseKeeper, dispatcher: Dispatcher, command: str
    ) -> None:
        super().__init__(store, keeper, dispatcher)
        self._command = command

    def work(self, master: Master) -> Mapping[str, Any]:
        if not self._command:
            return {"ok": True, "told": False}
        event = {
            "id": f"{master.repository}:{master.id}@{master.attempt}",
            "job": str(master.id),
            "name": master.name,
            "status": verdict(master, master.results).value,
            "subjobs": {status.value: n for status, n in master.counts.items() if n},
        }
        try:
            subprocess.run(
                shlex.split(self._command),
                input=json.dumps(event).encode(),
                timeout=TIMEOUT,
                check=True,
                capture_output=True,
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            log.warning("notify.command for job %s: %s", master.id, error)
            return {"ok": True, "told": False, "reason": str(error)[:500]}
        return {"ok": True, "told": True}
