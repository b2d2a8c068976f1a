"""``status``, ``watch``, ``why``, ``enqueue``: what the service knows of jobs, and one way in."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gangamon import settings
from gangamon.domain.command import Enqueue, Register
from gangamon.domain.status import JobStatus
from gangamon.domain.wire import Faults, from_wire
from gangamon.errors import BadInput, PermanentError
from gangamon.views import jobs as views
from gangamon.views.text import plain

if TYPE_CHECKING:
    from gangamon.client import Client
    from gangamon.settings import Settings

WAIT = 15.0
REPOSITORY = click.option("--repository", help="Repository id, where several hold the same job.")
JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.command()
@REPOSITORY
@JSON
def status(repository: str | None, as_json: bool) -> None:
    """Every master job that the service holds, with its subjobs by status."""
    client = _client()
    found = [m for r in _repositories(client, repository) for m in client.masters(r)]
    if as_json:
        click.echo(json.dumps([views.as_dict(master) for master in found]))
        return
    if not found:
        click.echo("no jobs")
    for master in found:
        click.echo(plain(views.line(master)))


@click.command()
@click.argument("job")
@REPOSITORY
@click.option("--timeout", type=float, default=None, help="Give up after this many seconds.")
@JSON
def watch(job: str, repository: str | None, timeout: float | None, as_json: bool) -> None:
    """Follow a master JOB until it ends; exit code 0 if it completed, 1 if not."""
    client = _client()
    number, _ = views.parse(job)
    repository = _holder(client, number, repository)
    deadline = time.monotonic() + timeout if timeout else None
    follower = client.follow(repository)
    shown = ""
    while True:
        master = next((m for m in client.masters(repository) if m.id == number), None)
        if master is None:
            raise PermanentError(f"job {number} was withdrawn")
        line = json.dumps(views.as_dict(master)) if as_json else plain(views.line(master))
        if line != shown:
            _show(line, live=not as_json and sys.stdout.isatty(), last=master.status is not None)
            shown = line
        if master.status is not None:
            sys.exit(0 if master.status is JobStatus.COMPLETED else 1)
        if deadline and time.monotonic() > deadline:
            raise PermanentError(f"job {number} has not ended within {timeout:.0f} s")
        follower.read(block=1.0, count=1000)


@click.command()
@click.argument("job")
@REPOSITORY
@JSON
def why(job: str, repository: str | None, as_json: bool) -> None:
    """Why a JOB (42 or 42.7) has the status it has: evidence, and how it got there."""
    client = _client()
    number, sub = views.parse(job)
    repository = _holder(client, number, repository)
    found = views.look(client, repository, number, sub)
    if found is None:
        raise BadInput([f"job: got {job!r}; accepted: a subjob that job {number} has enqueued"])
    body = views.story(found.job) if found.job else views.as_dict(found.master)
    click.echo(json.dumps(body) if as_json else "\n".join(map(plain, views.why(client, found))))


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--check", is_flag=True, help="Check the file and do nothing.")
@JSON
def enqueue(file: Path, check: bool, as_json: bool) -> None:
    """Watch the batch of jobs in FILE (json, - for standard input); docs/batch.md has the form.

    The repository is registered with the roots of the settings. Waits for the acknowledgement.
    """
    conf = settings.load()
    command = _read(file)
    if check:
        click.echo(f"{len(command.jobs)} jobs of job {command.master}: well formed")
        return
    client = _client(conf)
    outside = not any(
        Path(command.workspace).resolve().is_relative_to(Path(root).resolve())
        for root in conf.roots
    )
    if outside:
        raise BadInput(
            [
                f"workspace: got {command.workspace!r}; accepted: a path below one of the roots "
                f"in the settings: {', '.join(conf.roots)}"
            ]
        )
    client.store.repositories(client.owner)  # Redis away: say so before anything is spooled
    registration = Register(client.new_id(), command.repository, conf.roots)
    for entry in (registration, command):
        ack = client.wait(client.submit(entry), command.repository, WAIT)
        if ack is None:
            raise PermanentError(
                f"not acknowledged within {WAIT:.0f} s: kept in {conf.state_dir / 'spool'} and "
                "sent with the next command; `gangamon ps` tells whether the service runs"
            )
        if not ack.ok:
            raise BadInput([ack.reason])
    done = {"job": command.master, "jobs": len(command.jobs), "command": command.id}
    text = f"enqueued {len(command.jobs)} jobs of job {command.master}"
    click.echo(json.dumps(done) if as_json else text)


def _client(conf: Settings | None = None) -> Client:
    # Imports redis, a third of a second that --help must not wait for.
    from gangamon.client import Client

    return Client(conf or settings.load())


COMMANDS = (status, watch, why, enqueue)


def _read(file: Path) -> Enqueue:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        body = json.loads(text)
    except OSError as error:
        raise BadInput([f"file: {file}: {error.strerror}"]) from error
    except ValueError as error:
        raise BadInput([f"file: {file}: not json: {error}"]) from error
    if isinstance(body, dict):
        body = {"v": 1, "kind": "enqueue", "id": uuid.uuid4().hex, **body}
    try:
        command = from_wire(body)
    except Faults as error:
        raise BadInput(error.faults) from error
    if not isinstance(command, Enqueue):
        raise BadInput([f"kind: got {body['kind']!r}; accepted: 'enqueue'"])
    return command


def _repositories(client: Client, wanted: str | None) -> Sequence[str]:
    known = client.repositories()
    if wanted is None:
        return known
    if wanted not in known:
        raise BadInput(
            [f"--repository: got {wanted!r}; accepted: {', '.join(known) or 'none yet'}"]
        )
    return [wanted]


def _holder(client: Client, number: int, wanted: str | None) -> str:
    holders = [
        repository
        for repository in _repositories(client, wanted)
        if number in client.store.masters(client.owner, repository)
    ]
    if not holders:
        raise BadInput([f"job: got {number}; accepted: a job that `gangamon status` lists"])
    if len(holders) > 1:
        raise BadInput([f"job: {number} is in several repositories; say --repository: {holders}"])
    return holders[0]


def _show(line: str, live: bool, last: bool) -> None:
    if live:
        click.echo(f"\r\x1b[K{line}", nl=last)
    else:
        click.echo(line)
