"""``gangamon doctor``: what is well, what is not, and what to do about it."""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from gangamon import __version__, instance
from gangamon import settings as configuration
from gangamon.cli import facts, service
from gangamon.domain.lane import NO_CREDENTIAL, Lane
from gangamon.errors import BadInput, GangamonError, StoreUnavailable
from gangamon.instance import environment
from gangamon.protocols import FAIL, OK, WARN, Finding
from gangamon.settings import Settings
from gangamon.views import health, logins

if TYPE_CHECKING:
    from gangamon.client import Client

PACKAGES = ("gangamon", "redis", "celery", "kombu", "flower", "supervisor", "psutil", "ganga")
#: Bytes: a journal and logs stop growing below the one; below the other it is time to look.
NO_SPACE, LITTLE_SPACE = 100 * 2**20, 2**30
#: Workers hold a connection for each thread, and their backends' programs some more.
FILES = 1024
#: Seconds without a tick.
LATE = 30.0


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="In JSON.")
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Check the settings, the disks, and what runs. Exit code 1 if a check fails."""
    if context.invoked_subcommand is None:
        _tell(checks(), as_json)


@doctor.command()
@click.argument("name")
@click.option("--endpoint", help="Cluster, schedd or host. Default: those in use, or this host.")
@click.option("--credential", default=NO_CREDENTIAL, help="Its name; used with --endpoint.")
@click.option("--json", "as_json", is_flag=True, help="In JSON.")
def backend(name: str, endpoint: str | None, credential: str, as_json: bool) -> None:
    """Try a backend for real: its commands, its answers, and one query of each of its lanes. Exit
    code 1 if something is missing."""
    from gangamon.client import Client  # the redis client takes long to import

    client = Client(configuration.load())
    lanes = [Lane(name, endpoint, credential)] if endpoint else _lanes_of(client, name)
    several = len(lanes) > 1
    _tell(
        (
            replace(found, name=f"{lane.endpoint}: {found.name}") if several else found
            for lane in lanes
            for found in client.examine(lane)
        ),
        as_json,
    )


def _lanes_of(client: Client, name: str) -> list[Lane]:
    """Those that the service has, if one runs; else that of this host."""
    try:
        known = [Lane.parse(str(lane)) for lane in client.lanes()]
    except StoreUnavailable:
        known = []
    return [lane for lane in known if lane.backend == name] or [
        Lane(name, configuration.hostname())
    ]


def _tell(found: Iterable[Finding], as_json: bool) -> NoReturn:
    """Print them, each as soon as it is known, and end."""
    told = []
    for finding in found:
        told.append(finding)
        if not as_json:
            fix = f"  -> {finding.fix}" if finding.fix else ""
            click.echo(f"{finding.level:5}{finding.name}: {finding.text}{fix}")
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in told]))
    sys.exit(any(finding.level == FAIL for finding in told))


def checks() -> Iterator[Finding]:
    yield from _versions()
    try:
        settings = configuration.load()
    except BadInput as error:
        for fault in error.faults:
            yield Finding("settings", FAIL, fault)
        return
    yield Finding("settings", OK, settings.source or "no file: defaults and the environment")
    yield from _backends(settings)
    yield from _state_dir(settings)
    yield from _limits()
    yield from _server_checks()
    lanes = yield from _store_checks(settings)
    yield from _logins(settings, lanes)


def _versions() -> Iterator[Finding]:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    yield Finding("versions", OK, f"Python {platform.python_version()}, {', '.join(found)}")


def _backends(settings: Settings) -> Iterator[Finding]:
    from gangamon.client import Client

    known = Client.backends()
    yield Finding("backends", OK, ", ".join(known))
    for name in sorted(set(settings.backends) - set(known)):
        fix = f"its limits have no effect; accepted: {', '.join(known)}"
        yield Finding("backends", WARN, f"backends.{name}: no such backend is installed", fix)


def _state_dir(settings: Settings) -> Iterator[Finding]:
    path = settings.state_dir
    if path.exists():
        found = path.stat()
        mode = stat.S_IMODE(found.st_mode)
        if not path.is_dir() or found.st_uid != os.getuid():
            yield Finding("state dir", FAIL, f"{path} is no directory of yours", "set state_dir")
        elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            yield Finding("state dir", FAIL, f"{path} cannot be written", f"chmod 700 {path}")
        elif mode & 0o077:
            text = f"{path} is open to others (mode {mode:04o})"
            yield Finding("state dir", WARN, text, f"chmod 700 {path}")
        else:
            yield Finding("state dir", OK, str(path))
    else:
        parent = _existing(path)
        if os.access(parent, os.W_OK | os.X_OK):
            yield Finding("state dir", OK, f"{path} (not yet there)")
        else:
            yield Finding("state dir", FAIL, f"{parent} cannot be written", "set state_dir")
    free = shutil.disk_usage(_existing(path)).free
    level = FAIL if free < NO_SPACE else WARN if free < LITTLE_SPACE else OK
    fix = "" if level == OK else "make room: without it no command and no output is taken in"
    yield Finding("disk space", level, f"{free / 2**30:.1f} GiB free at {_existing(path)}", fix)


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())


def _limits() -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < FILES:
        fix = f"ulimit -n {FILES}" if hard < 0 or hard >= FILES else "ask for a higher hard limit"
        yield Finding("open files", WARN, f"limit {soft} (hard {hard}); wanted {FILES}", fix)
    else:
        yield Finding("open files", OK, f"limit {soft if soft >= 0 else 'none'}")


def _server_checks() -> Iterator[Finding]:
    """The server binary, the local directory, the programs, the embedded Redis."""
    try:
        command = service.supervisor("checks")
    except BadInput as error:
        yield Finding("server", WARN, "not installed: this host can only be a client", str(error))
        return
    given = environment(os.environ)
    try:
        ran = subprocess.run(
            command, cwd="/", env=given, capture_output=True, text=True, timeout=60
        )
    except subprocess.TimeoutExpired:
        yield Finding("server", FAIL, "no answer within 60 s", "gangamon down, then gangamon up")
        return
    if ran.returncode:
        said = (ran.stderr.strip().splitlines() or ["no reason given"])[-1]
        yield Finding("server", FAIL, f"exit code {ran.returncode}: {said}")
        return
    for fields in json.loads(ran.stdout):
        yield Finding(**fields)


def _store_checks(settings: Settings) -> Generator[Finding, None, Sequence[str]]:
    """Whether the store can be reached, the tick goes on, and all that should follow from it does.
    Returns the lanes in use."""
    from gangamon.client import Client  # the redis client takes long to import

    if not instance.redis_url(settings):
        return ()
    client = Client(settings)
    try:
        census = client.census()
        before = time.time()
        theirs = client.clock()
        skew = (before + time.time()) / 2 - theirs
    except GangamonError as error:
        yield Finding("store", FAIL, str(error), "gangamon ps")
        return ()
    age = census.tick_age
    late = max(LATE, 10 * settings.tick_seconds)
    fix = "gangamon ps; see worker-tick.log and beat.log where it runs"
    if age is None:
        yield Finding("tick", FAIL, "there was none", fix)
    elif age > late:
        yield Finding("tick", FAIL, f"the last one was {age:.0f} s ago", fix)
    else:
        yield Finding("tick", OK, f"{age:.1f} s ago")
    yield from health.clocks(skew, census.processes)
    yield from health.processes(census.processes, __version__, age)
    yield from health.work(census)
    return [name for name, lane in census.lanes.items() if lane.queue.waiting or lane.queue.claims]


def _logins(settings: Settings, lanes: Sequence[str]) -> Iterator[Finding]:
    """Credentials, and what happens at logout."""
    held = facts.credentials(lanes, os.environ, os.getuid(), settings.state_dir)
    yield from logins.credentials(held, time.time())
    yield from logins.caches(facts.caches(settings))
    yield from logins.logout(facts.logout(settings))


COMMANDS = (doctor,)
