"""Runs the server as a process of its own, and speaks to it."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

from gangamon.domain.lane import Lane
from gangamon.errors import GangamonError
from gangamon.testing.simulator.wire import Link

#: Longest path of a unix socket, in bytes.
_LONGEST_PATH = 100


class Simulator:
    """The server of one scenario, for as long as a ``with``. ``folder``: for its socket and its
    record; a TCP port is taken where the path would be too long."""

    def __init__(self, scenario: str | Path, folder: Path) -> None:
        self.endpoint = ""
        self.record = folder / "answers.jsonl"
        socket = folder / "simulator.sock"
        where = ["--socket", str(socket)] if len(bytes(socket)) < _LONGEST_PATH else ["--port", "0"]
        self._command = [sys.executable, "-m", "gangamon.testing.simulator", str(scenario)]
        self._command += [*where, "--record", str(self.record)]
        self.process: subprocess.Popen[str] | None = None

    @property
    def lane(self) -> Lane:
        return Lane("Simulated", self.endpoint)

    def __enter__(self) -> Simulator:
        """Raises GangamonError with what the server said if it does not start."""
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], 120)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self.close()
            raise GangamonError("the simulator did not start; see above")
        self.endpoint = json.loads(line)["endpoint"]
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> int:
        """End it; its exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        return code

    def call(self, op: str, **fields: Any) -> dict[str, Any]:
        """One control: start, stats, truth, fault, submit, kill, requeue, describe."""
        with Link(self.endpoint, 60.0) as link:
            return link.call(op, **fields)

    def fault(self, kind: str, **fields: Any) -> None:
        """Begin a fault; keys as in a scenario."""
        self.call("fault", fault={"kind": kind, **fields})

    def heal(self, kind: str) -> None:
        """End all faults of a kind, also the scenario's."""
        self.call("fault", fault={"kind": kind}, active=False)
