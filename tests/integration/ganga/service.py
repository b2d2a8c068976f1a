"""``gangamon up`` for tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from gangamon import settings
from gangamon.client import Client
from tests.support.waiting import tail


class Service:
    """``gangamon up`` in a private state directory."""

    def __init__(self) -> None:
        # Sockets lie below it, and their paths have at most 107 bytes.
        self.state = Path(tempfile.mkdtemp(prefix="gm-"))
        self.environ = {**os.environ, "GANGAMON_STATE_DIR": str(self.state)}

    def up(self) -> None:
        self._run("up", "--no-flower", "--no-web")

    def down(self) -> None:
        self._run("down")

    def close(self) -> None:
        """End it. What it logged last is printed: pytest shows that with a failure."""
        for log in sorted(self.state.rglob("*.log")):
            print(tail(log))
        self.down()
        shutil.rmtree(self.state)

    def client(self) -> Client:
        return Client(settings.load(self.environ), self.state / "no-spool")

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "gangamon", *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=240,  # longer than any patience of the command itself
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
