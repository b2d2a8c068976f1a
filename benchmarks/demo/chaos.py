"""Kills each worker, beat and Redis with -9 while the job runs, one after the other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable


class Chaos(threading.Thread):
    """``pause``: seconds between kills. ``kills``: (seconds since start, program, pid) of each."""

    def __init__(self, ps: Callable[[], dict[str, dict[str, object]]], pause: float) -> None:
        super().__init__(name="chaos", daemon=True)
        self.kills: list[tuple[float, str, int]] = []
        self.missed: list[str] = []
        self._ps = ps
        self._pause = pause
        self._over = threading.Event()

    def stop(self) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        begun = time.monotonic()
        for name in sorted(self._ps()):
            if name == "flower":
                continue
            if self._over.wait(self._pause):
                self.missed.append(name)
                continue
            program = self._ps().get(name, {})
            pid = program.get("pid")
            if not isinstance(pid, int) or pid <= 0:
                self.missed.append(name)
                continue
            os.kill(pid, signal.SIGKILL)
            self.kills.append((time.monotonic() - begun, name, pid))
            print(f"        killed {name} (pid {pid}) with -9", flush=True)


def programs(command: list[str], environment: dict[str, str]) -> dict[str, dict[str, object]]:
    """name -> {pid, state, ...} of what the instance runs."""
    answer = subprocess.run(
        [*command, "ps", "--json"], env=environment, capture_output=True, text=True, check=False
    )
    found = json.loads(answer.stdout or "{}").get("programs", [])
    return {program["name"]: program for program in found}
