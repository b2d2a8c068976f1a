"""The service as processes that may be killed at any moment, each started again some time later."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from tests.support.proxy import Link
from tests.support.redis import PrivateRedis
from tests.support.sentinel import Sentries
from tests.support.worker import Service

#: Two of those that do most of the work; two beats.
PROGRAMS = ("tick", "poll", "poll-2", "transfer", "transfer-2", "merge", "beat-1", "beat-2")
CLIENT = "client"

#: Seconds. Shorter than by default, so that what a kill costs shows often.
LEASE = 6.0

CONFIG = """\
[backends.Simulated]
floor = 1.0
cap = 3.0
timeout = 5.0
"""


class Torn(Service):
    """Every process reaches Redis by the link only; ``store()`` and ``redis`` do not. With a
    ``redis`` of several servers there is no link."""

    def __init__(
        self,
        folder: Path,
        config: str = CONFIG,
        more: Mapping[str, str] | None = None,
        redis: Sentries | None = None,
    ) -> None:
        path = folder / "gangamon.toml"
        path.write_text(config)
        more = {
            "GANGAMON_CONFIG": str(path),
            "GANGAMON_ROOTS": str(folder),
            "GANGAMON_WORKERS_LEASE_SECONDS": str(LEASE),
            **(more or {}),
        }
        super().__init__(folder, more=more, redis=redis)
        if isinstance(self.redis, PrivateRedis):
            self.link = Link(self.redis.socket)
            self.url = self.link.url

    def _command(self, name: str) -> list[str]:
        if name == CLIENT:
            return [sys.executable, "-m", "benchmarks.torture.client", str(self.folder)]
        return super()._command(name)

    # --- what the chaos does ------------------------------------------------------------------

    def programs(self) -> list[str]:
        """What runs now and is to run."""
        with self._lock:
            return sorted(self._running)

    def kill(self, name: str) -> None:
        """kill -9 of a whole tree, at once; without effect on what does not run."""
        if name in self.programs():
            super().kill(name)

    def stop(self, name: str) -> None:
        """As by systemd: SIGTERM, and wait until it has ended what it has in hand."""
        with self._lock:
            process = self._running.pop(name)
            self._tree(process)  # to end them at the end, whatever comes
        process.terminate()
        process.wait(120)

    def orphan(self, name: str) -> None:
        """kill -9 of the parent alone: its children, if it has some, live on without it."""
        with self._lock:
            process = self._running.pop(name)
            self._tree(process)  # to end them at the end
            process.kill()
        process.wait(10)

    def bereave(self, name: str) -> bool:
        """kill -9 of one child; False if it has none."""
        with self._lock:
            tree = self._tree(self._running[name])
        if len(tree) < 2:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            tree[-1].kill()
        return True

    def launch(self, name: str) -> None:
        """Start it, and do not wait."""
        with self._lock:
            if name not in self._running:
                self._launch(name)

    def kill_redis(self) -> None:
        self.redis.kill()

    def freeze_redis(self, frozen: bool) -> None:
        if isinstance(self.redis, PrivateRedis) and self.redis.process is not None:
            os.kill(self.redis.process.pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def close(self) -> None:
        self.freeze_redis(False)
        super().close()
        if isinstance(self.redis, PrivateRedis):
            self.link.close()

    def left(self) -> list[str]:
        """Of what it ever started, what still runs."""
        return [f"{p.pid} {p.name()}" for p in self._all if p.is_running()]
