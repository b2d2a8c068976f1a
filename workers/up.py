"""`gangamon up`: start everything, and return when it runs, or end everything again."""

from __future__ import annotations

import http.client
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gangamon import instance as instances
from gangamon.errors import BadInput, PermanentError
from gangamon.instance import Instance
from gangamon.settings import Settings, hostname
from workers import places as directories
from workers import processes, programs, redis_server, rpc
from workers.locks import held, pause
from workers.places import Places
from workers.programs import Flower, Program
from workers.running import RUNNING, Elsewhere, elsewhere, end_all, shown, states_of

#: Seconds: for all programs to answer; for Redis to read its AOF.
READY = 60.0
LOADING = 900.0

_BROKEN = ("BACKOFF", "FATAL", "EXITED", "STOPPED", "UNKNOWN")

Runs = Callable[[Settings, Places, str, Flower | None], list[Program]]


class DidNotStart(PermanentError):
    """A program did not come up; everything was ended again."""


def up(
    settings: Settings,
    *,
    flower: bool = True,
    take_over: bool = False,
    runs: Runs = programs.programs,
) -> tuple[Instance, bool]:
    """The running instance, and whether it was there already. Raises with nothing left behind."""
    places = directories.plan(settings)
    directories.create(places)
    with held(places):
        found = instances.read(settings.instance_file)
        if found and found.host != hostname() and not take_over:
            raise Elsewhere([elsewhere(found, up=True)])
        if found and found.host == hostname() and processes.carries(found.pid, found.id):
            return found, True
        processes.sweep(places.state)
        settings.instance_file.unlink(missing_ok=True)
        started = _start(settings, places, flower, runs)
        return started, False


def _start(settings: Settings, places: Places, flower: bool, runs: Runs) -> Instance:
    identity = secrets.token_hex(8)
    page = _flower(settings, places) if flower and settings.flower_enabled else None
    all_of_them = runs(settings, places, hostname(), page)
    environment = programs.environment(settings, places, identity, os.environ)
    if settings.redis_url:
        _reach(settings)
    for path, text in (
        (places.redis_config, redis_server.configuration(places)),
        (places.supervisor_config, programs.configuration(places, identity, all_of_them)),
    ):
        directories.write(path, text)
    for path in places.starts.iterdir():
        path.unlink()
    _set_stale_data_aside(places)
    sizes = {p.name: size(programs.log(places, p.name)) for p in all_of_them}
    try:
        supervisord = _supervisord(places, environment)
        _wait_until_ready(settings, places, all_of_them, page, supervisord, environment, sizes)
        started = Instance(
            id=identity,
            host=hostname(),
            pid=supervisord.pid,
            redis_url=environment["GANGAMON_REDIS_URL"],
            flower_url=page.url if page else "",
            local_dir=str(places.local),
            started=time.time(),
            supervisor=str(places.supervisor_socket),
        )
        started.save(settings.instance_file)
        return started
    except BaseException:
        end_all(settings, places)
        raise


def _supervisord(places: Places, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """In a session of its own: neither a terminal's end nor its Ctrl-C reaches it."""
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(places.supervisor_config)]
    with (places.logs / "supervisord.out").open("wb") as out:
        return subprocess.Popen(
            command,
            cwd=places.local,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait_until_ready(
    settings: Settings,
    places: Places,
    all_of_them: Sequence[Program],
    page: Flower | None,
    supervisord: subprocess.Popen[bytes],
    environment: dict[str, str],
    sizes: dict[str, int],
) -> None:
    """Redis answers; then every program runs, every worker answers a ping, and so does Flower."""

    def states() -> dict[str, dict[str, Any]]:
        if (code := supervisord.poll()) is not None:
            said = tail(places.logs / "supervisord.out", 0)
            raise DidNotStart(f"supervisord ended with exit code {code}:\n{said}")
        try:
            found = states_of(str(places.supervisor_socket))
        except rpc.SupervisorAway:
            return {}
        for program in all_of_them:
            info = found.get(program.name)
            if info and info["statename"] in _BROKEN and programs.starts(places, program.name):
                raise _failure(places, program, info, sizes)
            if info and info["spawnerr"]:
                raise _failure(places, program, info, sizes)
        return found

    if any(program.name == programs.REDIS for program in all_of_them):
        deadline, answer = time.monotonic() + READY, ""
        while answer != "PONG":
            states()
            answer = redis_server.ping(places.redis_socket)
            if answer == "LOADING":
                deadline = max(deadline, time.monotonic() + LOADING)
            pause(deadline, f"redis: no answer within {READY:.0f} s: {answer}")
    names = [program for program in all_of_them if program.name != programs.REDIS]
    deadline = time.monotonic() + READY
    while not states():
        pause(deadline, f"supervisord: no answer within {READY:.0f} s")
    for program in names:
        rpc.call(
            str(places.supervisor_socket), "startProcess", f"{program.group}:{program.name}", False
        )
    deadline = time.monotonic() + READY
    silent = {program.node for program in names if program.node}
    ping = _pinger(environment) if silent else None
    while True:
        found = states()
        waiting = [p.name for p in all_of_them if found.get(p.name, {}).get("statename") != RUNNING]
        if ping and silent:
            silent -= ping(sorted(silent))
        waiting += sorted(silent)
        if page and not _answers(page):
            waiting.append(page.url)
        if not waiting:
            return
        pause(deadline, f"not ready within {READY:.0f} s: {', '.join(waiting)}; see {places.logs}")


def _pinger(environment: dict[str, str]) -> Callable[[Sequence[str]], set[str]]:
    """Asks Celery workers by name, as `celery inspect ping` does; which of them answered."""
    # The app reads the settings that its processes have, not those of who calls.
    os.environ.update(environment)
    del os.environ["GANGAMON_INSTANCE"]
    from kombu.exceptions import OperationalError

    from workers.app import app

    def ping(nodes: Sequence[str]) -> set[str]:
        try:
            return set(app.control.inspect(destination=list(nodes), timeout=1.0).ping() or ())
        except (OperationalError, OSError):
            return set()

    return ping


def _reach(settings: Settings) -> None:
    """A Redis that is configured must answer before anything is started that needs it."""
    from kombu import Connection
    from kombu.exceptions import OperationalError

    try:
        with Connection(_kombu_url(settings.redis_url), connect_timeout=5) as connection:
            connection.ensure_connection(max_retries=1, timeout=10)
    except (OperationalError, OSError) as error:
        raise BadInput(
            [f"redis.url: got {shown(settings.redis_url)}: cannot be reached: {error}"]
        ) from error


def _kombu_url(url: str) -> str:
    return url.replace("unix://", "redis+socket://", 1) if url.startswith("unix://") else url


def _flower(settings: Settings, places: Places) -> Flower:
    """Where Flower will listen: a port that is free now, and kept when Flower is started again."""
    try:
        known = socket.getaddrinfo(
            settings.flower_address or None,
            settings.flower_port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
        family, kind, protocol, _, address = known[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            port = probe.getsockname()[1]
    except OSError as error:
        got = f"flower.address {settings.flower_address}, flower.port {settings.flower_port}"
        raise BadInput(
            [
                f"{got}: cannot listen there: {error.strerror}; set another flower.port, or 0 for "
                "any free one (GANGAMON_FLOWER_PORT=0), or run gangamon up --no-flower"
            ]
        ) from error
    with suppress(FileNotFoundError):
        if password := places.flower_password.read_text(encoding="ascii").strip():
            return Flower(settings.flower_address, port, password)
    password = secrets.token_urlsafe(24)
    directories.write(places.flower_password, f"{password}\n")
    return Flower(settings.flower_address, port, password)


def _answers(page: Flower) -> bool:
    parts = urlsplit(page.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=2)
    try:
        connection.request("GET", "/healthcheck")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _set_stale_data_aside(places: Places) -> None:
    """If another host was the last to run here, this host's Redis data are older than what it
    did: Redis begins empty, and is filled again from the journal."""
    try:
        last = places.last_host.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        last = hostname()
    if last != hostname() and any(places.data.iterdir()):
        aside = places.data.with_name(f"{places.data.name}.stale")
        shutil.rmtree(aside, ignore_errors=True)
        places.data.rename(aside)
        places.data.mkdir(mode=0o700)
    directories.write(places.last_host, f"{hostname()}\n")


def _failure(
    places: Places, program: Program, info: dict[str, Any], sizes: dict[str, int]
) -> DidNotStart:
    log = programs.log(places, program.name)
    said = info["spawnerr"] or f"exit code {info['exitstatus']}"
    lines = tail(log, sizes.get(program.name, 0))
    return DidNotStart(f"{program.name} did not start: {said}; last lines of {log}:\n{lines}")


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def tail(path: Path, since: int, lines: int = 12) -> str:
    """The last lines that were written after ``since`` bytes, each indented."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return f"  ({error.strerror})"
    text = (data[since:] if len(data) >= since else data).decode(errors="replace")
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:]) or "  (nothing)"
