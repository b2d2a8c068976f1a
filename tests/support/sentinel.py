"""Three Redis servers and three sentinels on loopback, with the settings that are shipped."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from gangamon import settings
from tests.support.local_jobs import ROOT
from tests.support.waiting import tail, until
from workers.supervisor import redis_server

NAME = "gangamon"

#: Lines of the shipped files that name hosts and places, which are others here.
_PLACES = re.compile(r"^(bind|dir|include|protected-mode|sentinel (resolve|announce|monitor))")


class Sentries:
    """``start`` all; ``kill`` the master; ``mend``: start again what was killed, as replicas of
    whoever is the master now. As ``PrivateRedis`` to those who only connect."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._sockets = tempfile.mkdtemp(prefix="gm-")
        self._binary = str(redis_server.find(settings.load({})).path)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        ports = _ports(6)
        self.servers, self.sentinels = ports[:3], ports[3:]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return f"sentinel://{hosts}/0?master={NAME}"

    def start(self) -> None:
        first, *others = self.servers
        self._serve(first)
        for port in others:
            self._serve(port, first)
        until(lambda: self._replicas(first) == 2, 120, "both replicas follow", self._told)
        for port in self.sentinels:
            self._watch(port, first)
        until(self._agreed, 120, "the sentinels know each other and the replicas", self._told)

    def master(self) -> int:
        """The port of the server that the sentinels name."""
        for port in self.sentinels:
            with contextlib.suppress(redis.RedisError):
                found = self._client(port).execute_command(
                    "SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME
                )
                return int(found[1])
        raise AssertionError("no sentinel answers")

    def kill(self) -> int:
        """kill -9 of the master; its port."""
        port = self.master()
        self._kill(port)
        return port

    def kill_losing(self, wait: Callable[[], object]) -> int:
        """The replicas stand still while the master goes on (``wait`` is called), then it dies;
        they do so too, with all that they had not read, and come back from their own files."""
        port = self.master()
        others = [other for other in self.servers if other != port and other in self._processes]
        for other in others:
            os.kill(self._processes[other].pid, signal.SIGSTOP)
        wait()
        self._kill(port)
        for other in others:
            self._kill(other)
        for other in others:
            self._serve(other, port, wait=False)
        return port

    def restart(self) -> None:
        """The master ends, at once and all others with it, and so no replica is made master; all
        come back from their own files."""
        port = self.master()
        for other in list(self._processes):
            self._kill(other)
        self._serve(port)
        for other in self.servers:
            if other != port:
                self._serve(other, port)
        for other in self.sentinels:
            self._watch(other, port)
        until(self._agreed, 120, "the sentinels know each other and the replicas", self._told)

    def mend(self) -> None:
        """All servers run again, and follow one master."""
        for port in self.servers:
            if port not in self._processes:
                self._serve(port, self.master())
        until(lambda: self._replicas(self.master()) == 2, 120, "both follow again", self._told)
        until(self._agreed, 120, "the sentinels see both replicas", self._told)

    def connection(self) -> redis.Redis:
        """To the present master."""
        return self._client(self.master())

    def close(self) -> None:
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)
            process.kill()
        for process in self._processes.values():
            process.wait(60)
        shutil.rmtree(self._sockets)

    # --- what makes them secure: nothing here ---------------------------------------------------

    def _listens(self, port: int) -> list[str]:
        return [f"port {port}"]

    def _of_server(self) -> list[str]:
        """More lines of each server."""
        return []

    def _of_sentinel(self) -> list[str]:
        return []

    def _login(self, port: int) -> dict[str, Any]:
        """Arguments of a connection."""
        return {}

    # --- one of them --------------------------------------------------------------------------

    def _serve(self, port: int, master: int = 0, wait: bool = True) -> None:
        place = self.folder / str(port)
        place.mkdir(exist_ok=True)
        lines = [
            *_shipped("redis.conf"),
            *_shipped("redis-ha.conf"),
            *self._listens(port),
            "bind 127.0.0.1",
            f"dir {place}",
            *self._of_server(),
            *([f"replicaof 127.0.0.1 {master}"] if master else []),
        ]
        self._run(port, lines)
        if wait:
            until(lambda: self._answers(port), 120, f"{port} answers", self._told)

    def _watch(self, port: int, master: int) -> None:
        place = self.folder / str(port)
        place.mkdir(exist_ok=True)
        monitor = f"sentinel monitor {NAME} 127.0.0.1 {master} 2"
        here = [*self._listens(port), "bind 127.0.0.1", f"dir {place}", monitor]
        self._run(port, [*here, *_shipped("sentinel.conf"), *self._of_sentinel()], "--sentinel")
        until(lambda: self._answers(port), 120, f"sentinel {port} answers", self._told)

    def _run(self, port: int, lines: list[str], *options: str) -> None:
        config = self.folder / f"{port}.conf"
        config.write_text("\n".join([*lines, ""]))
        with (self.folder / f"{port}.log").open("ab") as log:
            self._processes[port] = subprocess.Popen(
                [self._binary, str(config), *options], stdout=log, stderr=log
            )

    def _kill(self, port: int) -> None:
        process = self._processes.pop(port)
        process.kill()
        process.wait(60)

    def _replicas(self, port: int) -> int:
        try:
            info = self._client(port).info("replication")
        except redis.RedisError:
            return 0
        rows = [info.get(f"slave{n}") for n in range(2)]
        return sum(isinstance(row, dict) and row["state"] == "online" for row in rows)

    def _agreed(self) -> bool:
        for port in self.sentinels:
            try:
                state = self._client(port).sentinel_master(NAME)
            except redis.RedisError:
                return False
            flags = state["flags"]
            well = "down" not in str(flags) and "failover" not in str(flags)
            if not well or state["num-slaves"] != 2 or state["num-other-sentinels"] != 2:
                return False
        return True

    def _client(self, port: int) -> redis.Redis:
        return redis.Redis(
            "127.0.0.1", port, protocol=2, decode_responses=True, socket_timeout=5,
            **self._login(port),
        )  # fmt: skip

    def _answers(self, port: int) -> bool:
        try:
            return bool(self._client(port).ping())
        except redis.RedisError:
            return False

    def _told(self) -> str:
        return "\n".join(tail(log, 8) for log in sorted(self.folder.glob("*.log")))


def _shipped(name: str) -> list[str]:
    text = (ROOT / "config" / name).read_text()
    return [line for line in text.splitlines() if not _PLACES.match(line)]


def _ports(count: int) -> list[int]:
    """Free ones."""
    held = []
    try:
        while len(held) < count:
            held.append(socket.socket())
            held[-1].bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()
