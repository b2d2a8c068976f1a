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
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from gangamon import instance
from gangamon import settings as configuration
from gangamon.cli import service
from gangamon.errors import BadInput, GangamonError
from gangamon.instance import environment
from gangamon.settings import Settings

OK, WARN, FAIL = "OK", "WARN", "FAIL"

PACKAGES = ("gangamon", "redis", "celery", "kombu", "flower", "supervisor", "psutil", "ganga")
#: Bytes: a journal and logs stop growing below the one; below the other it is time to look.
NO_SPACE, LITTLE_SPACE = 100 * 2**20, 2**30
#: Workers hold a connection for each thread, and their backends' programs some more.
FILES = 1024
#: Seconds without a tick.
LATE = 30.0


@dataclass(frozen=True)
class Check:
    name: str
    level: str
    text: str
    fix: str = ""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="In JSON.")
def doctor(as_json: bool) -> None:
    """Check the settings, the disks, and what runs. Exit code 1 if a check fails."""
    found = list(checks())
    if as_json:
        click.echo(json.dumps([asdict(check) for check in found]))
    else:
        for check in found:
            fix = f"  -> {check.fix}" if check.fix else ""
            click.echo(f"{check.level:5}{check.name}: {check.text}{fix}")
    sys.exit(any(check.level == FAIL for check in found))


def checks() -> Iterator[Check]:
    yield from _versions()
    try:
        settings = configuration.load()
    except BadInput as error:
        for fault in error.faults:
            yield Check("settings", FAIL, fault)
        return
    yield Check("settings", OK, settings.source or "no file: defaults and the environment")
    yield from _backends(settings)
    yield from _state_dir(settings)
    yield from _limits()
    yield from _server_checks()
    yield from _store_checks(settings)


def _versions() -> Iterator[Check]:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    yield Check("versions", OK, f"Python {platform.python_version()}, {', '.join(found)}")


def _backends(settings: Settings) -> Iterator[Check]:
    from gangamon.client import Client

    known = Client.backends()
    yield Check("backends", OK, ", ".join(known))
    for name in sorted(set(settings.backends) - set(known)):
        fix = f"its limits have no effect; accepted: {', '.join(known)}"
        yield Check("backends", WARN, f"backends.{name}: no such backend is installed", fix)


def _state_dir(settings: Settings) -> Iterator[Check]:
    path = settings.state_dir
    if path.exists():
        found = path.stat()
        mode = stat.S_IMODE(found.st_mode)
        if not path.is_dir() or found.st_uid != os.getuid():
            yield Check("state dir", FAIL, f"{path} is no directory of yours", "set state_dir")
        elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            yield Check("state dir", FAIL, f"{path} cannot be written", f"chmod 700 {path}")
        elif mode & 0o077:
            text = f"{path} is open to others (mode {mode:04o})"
            yield Check("state dir", WARN, text, f"chmod 700 {path}")
        else:
            yield Check("state dir", OK, str(path))
    else:
        parent = _existing(path)
        if os.access(parent, os.W_OK | os.X_OK):
            yield Check("state dir", OK, f"{path} (not yet there)")
        else:
            yield Check("state dir", FAIL, f"{parent} cannot be written", "set state_dir")
    free = shutil.disk_usage(_existing(path)).free
    level = FAIL if free < NO_SPACE else WARN if free < LITTLE_SPACE else OK
    fix = "" if level == OK else "make room: without it no command and no output is taken in"
    yield Check("disk space", level, f"{free / 2**30:.1f} GiB free at {_existing(path)}", fix)


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())


def _limits() -> Iterator[Check]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < FILES:
        fix = f"ulimit -n {FILES}" if hard < 0 or hard >= FILES else "ask for a higher hard limit"
        yield Check("open files", WARN, f"limit {soft} (hard {hard}); wanted {FILES}", fix)
    else:
        yield Check("open files", OK, f"limit {soft if soft >= 0 else 'none'}")


def _server_checks() -> Iterator[Check]:
    """The server binary, the local directory, the programs, the embedded Redis."""
    try:
        command = service.supervisor("checks")
    except BadInput as error:
        yield Check("server", WARN, "not installed: this host can only be a client", str(error))
        return
    given = environment(os.environ)
    try:
        ran = subprocess.run(
            command, cwd="/", env=given, capture_output=True, text=True, timeout=60
        )
    except subprocess.TimeoutExpired:
        yield Check("server", FAIL, "no answer within 60 s", "gangamon down, then gangamon up")
        return
    if ran.returncode:
        said = (ran.stderr.strip().splitlines() or ["no reason given"])[-1]
        yield Check("server", FAIL, f"exit code {ran.returncode}: {said}")
        return
    for fields in json.loads(ran.stdout):
        yield Check(**fields)


def _store_checks(settings: Settings) -> Iterator[Check]:
    """Whether the store can be reached, and the tick goes on."""
    from gangamon.client import Client  # the redis client takes long to import

    if not instance.redis_url(settings):
        return
    try:
        age = Client(settings).tick_age()
    except GangamonError as error:
        yield Check("store", FAIL, str(error), "gangamon ps")
        return
    late = max(LATE, 10 * settings.tick_seconds)
    fix = "gangamon ps; see worker-tick.log and beat.log where it runs"
    if age is None:
        yield Check("tick", FAIL, "there was none", fix)
    elif age > late:
        yield Check("tick", FAIL, f"the last one was {age:.0f} s ago", fix)
    else:
        yield Check("tick", OK, f"{age:.1f} s ago")


COMMANDS = (doctor,)
