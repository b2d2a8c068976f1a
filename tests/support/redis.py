"""A private Redis server on a unix socket, with the project's own settings and AOF."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import redis

from gangamon import settings
from tests.support.waiting import tail, until
from workers.supervisor import redis_server


class PrivateRedis:
    """``start``, ``kill`` (-9) and start again: the same AOF. ``login``: ``user:password@`` of who
    looks; ``more``: options of the server."""

    def __init__(self, folder: Path, login: str = "", more: Sequence[str] = ()) -> None:
        self.folder = folder
        # A unix socket's path has at most 107 bytes; pytest's folders are longer.
        self._sockets = tempfile.mkdtemp(prefix="gm-")
        self.socket = Path(self._sockets) / "redis.sock"
        self.url = f"unix://{login}{self.socket}"
        self._more = list(more)
        self.process: subprocess.Popen[bytes] | None = None
        self._log = Path(self._sockets) / "redis.log"

    def start(self) -> None:
        binary = redis_server.find(settings.load({})).path
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    str(binary), "--port", "0", "--unixsocket", str(self.socket),
                    "--unixsocketperm", "700", "--dir", str(self.folder), "--save", "",
                    "--appendonly", "yes", "--appendfsync", "everysec",
                    "--maxmemory-policy", "noeviction", *self._more,
                ],
                stdout=log,
                stderr=log,
            )  # fmt: skip
        until(self._answers, 120, "Redis answers", lambda: tail(self._log))

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(60)
        self.process = None

    def close(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
        shutil.rmtree(self._sockets)

    def connection(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, protocol=2, decode_responses=True)

    def _answers(self) -> bool:
        try:
            return bool(self.connection().ping())
        except redis.RedisError:
            return False
