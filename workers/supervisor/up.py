"""`gangamon up`: start everything, and return when it runs, or end everything again."""

from __future__ import annotations

import http.client
import math
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gangamon import instance as instances
from gangamon import settings as configuration
from gangamon.errors import BadInput, PermanentError, TransientError
from gangamon.instance import Instance
from gangamon.settings import Settings, hostname
from gangamon.web.auth import read_password
from workers.supervisor import places as directories
from workers.supervisor import processes, programs, redis_server, rpc
from workers.supervisor.locks import held, pause
from workers.supervisor.places import Places
from workers.supervisor.programs import Flower, Program, Web
from workers.supervisor.running import RUNNING, Elsewhere, elsewhere, end_all, shown, states_of

#: Seconds: for all programs to answer; for Redis to read its AOF.
READY = 120.0
LOADING = 900.0

_BROKEN = ("BACKOFF", "FATAL", "EXITED")

Runs = Callable[[Settings, Places, str, Flower | None, Web | None], list[Program]]

#: What the web extra brings, of which the job page has need.
WEB_NEEDS = ("fastapi", "jinja2", "uvicorn")


class DidNotStart(PermanentError):
    """A program did not come up; everything was ended again."""


def up(
    settings: Settings,
    *,
    flower: bool = True,
    web: bool = True,
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
        instances.ended_mark(settings).unlink(missing_ok=True)
        started = _start(settings, places, flower, web, runs)
        return started, False


def _start(settings: Settings, places: Places, flower: bool, web: bool, runs: Runs) -> Instance:
    tasks = _flower(settings, places) if flower and settings.flower_enabled else None
    page = _web(settings, places) if web and settings.web_enabled and web_installed() else None
    all_of_them = runs(settings, places, hostname(), tasks, page)
    if settings.redis_url:
        _reach(settings)
    pages = {programs.FLOWER: f"{tasks.url}/healthcheck"} if tasks else {}
    pages |= {programs.WEB: f"{page.url}/healthz"} if page else {}
    start = _Start(settings, places, all_of_them, pages)
    directories.write(places.redis_config, redis_server.configuration(places))
    text = programs.configuration(places, start.identity, all_of_them)
    directories.write(places.supervisor_config, text)
    for path in places.starts.iterdir():
        path.unlink()
    _set_stale_data_aside(places)
    try:
        started = Instance(
            id=start.identity,
            host=hostname(),
            pid=start.run(),
            redis_url=start.environment["GANGAMON_REDIS_URL"],
            flower_url=tasks.url if tasks else "",
            web_url=f"{page.url}{settings.web_url_prefix}" if page else "",
            local_dir=str(places.local),
            started=time.time(),
            supervisor=str(places.supervisor_socket),
        )
        started.save(settings.instance_file)
        return started
    except BaseException:
        end_all(settings, places)
        raise


class _Start:
    """One start: the programs, and how far each has come."""

    def __init__(
        self, settings: Settings, places: Places, runs: Sequence[Program], pages: dict[str, str]
    ) -> None:
        """``pages``: program -> an address that answers 200 when it is well."""
        self.identity = secrets.token_hex(8)
        self.environment = programs.environment(settings, places, self.identity, os.environ)
        self._settings = settings
        self._places = places
        self._programs = {program.name: program for program in runs}
        self._pages = pages
        self._socket = str(places.supervisor_socket)
        self._sizes = {name: _size(programs.log(places, name)) for name in self._programs}
        self._supervisord: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Redis answers; then every program runs, every worker answers a ping, a tick was done,
        and Flower and the page answer. supervisord's pid."""
        self._supervisord = supervisord = _supervisord(self._places, self.environment)
        deadline = time.monotonic() + READY
        while not self._states():
            pause(deadline, f"supervisord: no answer within {READY:.0f} s")
        if programs.REDIS in self._programs:
            self._wait_for_redis()
        for program in self._programs.values():
            if program.name != programs.REDIS:
                rpc.call(self._socket, "startProcess", f"{program.group}:{program.name}", False)
        self._wait_for_all()
        return supervisord.pid

    def _wait_for_redis(self) -> None:
        deadline = time.monotonic() + READY
        while (answer := redis_server.ping(self._places.redis_socket)) != "PONG":
            self._states()
            if answer == "LOADING":
                deadline = max(deadline, time.monotonic() + LOADING)
            pause(deadline, f"redis: no answer within {READY:.0f} s: {answer}")

    def _wait_for_all(self) -> None:
        began = time.monotonic()
        silent = {p.node: p.name for p in self._programs.values() if p.node}
        application = _Application(self.environment) if silent else None
        # Beat's first tick comes after one period.
        ticks = self._settings.tick_seconds < READY / 4
        while True:
            waiting = {
                name: info["statename"]
                for name, info in self._states().items()
                if info["statename"] != RUNNING
            }
            if application:
                for node in application.ping(sorted(silent)) if silent else ():
                    silent.pop(node, None)
                waiting |= dict.fromkeys(silent.values(), "does not answer a ping")
                if ticks and not waiting and application.tick_age() > time.monotonic() - began:
                    waiting[programs.TICK] = "has not done a tick"
            for name, url in self._pages.items():
                if not _answers(url):
                    waiting[name] = f"does not answer at {url}"
            if not waiting:
                return
            if time.monotonic() - began > READY:
                said = [self._said(f"{name} {fault}", name) for name, fault in waiting.items()]
                raise DidNotStart(f"not ready within {READY:.0f} s\n" + "\n".join(said))
            time.sleep(0.1)

    def _states(self) -> dict[str, dict[str, Any]]:
        """supervisord's view by program, empty if it does not answer yet. DidNotStart if a
        program failed."""
        if self._supervisord and (code := self._supervisord.poll()) is not None:
            said = _tail(self._places.logs / "supervisord.out", 0)
            raise DidNotStart(f"supervisord ended with exit code {code}:\n{said}")
        try:
            found = states_of(self._socket)
        except rpc.SupervisorAway:
            return {}
        for name, info in found.items():
            if info["spawnerr"] or info["statename"] in _BROKEN:
                fault = info["spawnerr"] or f"exit code {info['exitstatus']}"
                raise DidNotStart(self._said(f"{name} did not start: {fault}", name))
        return found

    def _said(self, fault: str, name: str) -> str:
        log = programs.log(self._places, name)
        return f"{fault}; last lines of {log}:\n{_tail(log, self._sizes[name])}"


class _Application:
    """Our Celery application, as its processes have it. That a process lives says little: a
    worker may not reach Redis, a tick may fail each time."""

    def __init__(self, environment: dict[str, str]) -> None:
        os.environ.update(environment)
        # By that our processes are known, and this is none.
        del os.environ["GANGAMON_INSTANCE"]
        from gangamon.client import Client  # with redis and celery long to import

        try:
            from workers.app import app
        except ImportError as error:
            raise DidNotStart(f"the Celery application cannot be imported: {error}") from error
        self._app = app
        self._client = Client(configuration.load())

    def ping(self, nodes: Sequence[str]) -> set[str]:
        """Which workers answer, asked as `celery inspect ping` does."""
        from kombu.exceptions import OperationalError

        try:
            asked = self._app.control.inspect(destination=list(nodes), timeout=1.0)
            return set(asked.ping() or ())
        except (OperationalError, OSError):
            return set()

    def tick_age(self) -> float:
        try:
            age = self._client.tick_age()
        except TransientError:
            age = None
        return math.inf if age is None else age


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


def _reach(settings: Settings) -> None:
    """A Redis that is configured must answer before anything is started that needs it."""
    from kombu.exceptions import OperationalError

    try:
        with redis_server.broker(settings.redis_url) as connection:
            connection.ensure_connection(max_retries=1, timeout=10)
    except (OperationalError, OSError) as error:
        raise BadInput(
            [f"redis.url: got {shown(settings.redis_url)}: cannot be reached: {error}"]
        ) from error


def web_installed() -> bool:
    return all(find_spec(name) is not None for name in WEB_NEEDS)


def _flower(settings: Settings, places: Places) -> Flower:
    """Where Flower will listen, and its password."""
    port = _free_port("flower", settings.flower_address, settings.flower_port)
    return Flower(settings.flower_address, port, _password(places.flower_password))


def _web(settings: Settings, places: Places) -> Web:
    """Where the job page will listen: with a password on loopback too, for others are on this host.
    One that is configured is looked at now, so that what is wrong with it is said."""
    port = _free_port("web", settings.web_address, settings.web_port)
    file = settings.web_password_file
    if file is None:
        file = places.web_password
        _password(file)
    read_password(file)
    return Web(settings.web_address, port, file)


def _free_port(what: str, address: str, port: int) -> int:
    """A port that is free now, and kept when the page is started again."""
    try:
        known = socket.getaddrinfo(
            address or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, where = known[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            return int(probe.getsockname()[1])
    except OSError as error:
        raise BadInput(
            [
                f"{what}.address {address}, {what}.port {port}: cannot listen there: "
                f"{error.strerror}; set another {what}.port, or 0 for any free one "
                f"(GANGAMON_{what.upper()}_PORT=0), or run gangamon up --no-{what}"
            ]
        ) from error


def _password(path: Path) -> str:
    """That of an earlier `up`, else a new one."""
    with suppress(FileNotFoundError):
        if password := path.read_text(encoding="ascii").strip():
            return password
    password = secrets.token_urlsafe(24)
    directories.write(path, f"{password}\n")
    return password


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=2)
    try:
        connection.request("GET", parts.path)
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


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _tail(path: Path, since: int, lines: int = 12) -> str:
    """The last lines that were written after ``since`` bytes, each indented."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return f"  ({error.strerror})"
    text = (data[since:] if len(data) >= since else data).decode(errors="replace")
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:]) or "  (nothing)"
