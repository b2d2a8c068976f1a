"""``status``, ``watch``, ``why``, ``enqueue``: what the service knows of jobs, and one way in."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gangamon import settings
from gangamon.domain.command import Enqueue, Register
from gangamon.domain.job import Job
from gangamon.domain.rollup import rollup
from gangamon.domain.status import FINAL, JobStatus
from gangamon.domain.wire import Faults, from_wire
from gangamon.errors import BadInput, PermanentError
from gangamon.protocols import Master

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
        click.echo(json.dumps([_as_dict(master) for master in found]))
        return
    if not found:
        click.echo("no jobs")
    for master in found:
        click.echo(_line(master))


@click.command()
@click.argument("job")
@REPOSITORY
@click.option("--timeout", type=float, default=None, help="Give up after this many seconds.")
@JSON
def watch(job: str, repository: str | None, timeout: float | None, as_json: bool) -> None:
    """Follow a master JOB until it ends; exit code 0 if it completed, 1 if not."""
    client = _client()
    number, _ = _fqid(job)
    repository = _holder(client, number, repository)
    deadline = time.monotonic() + timeout if timeout else None
    follower = client.follow(repository)
    shown = ""
    while True:
        master = next((m for m in client.masters(repository) if m.id == number), None)
        if master is None:
            raise PermanentError(f"job {number} was withdrawn")
        line = json.dumps(_as_dict(master)) if as_json else _line(master)
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
    number, sub = _fqid(job)
    repository = _holder(client, number, repository)
    found = client.job(repository, number, sub)
    if found is None and sub < 0:
        master = next(m for m in client.masters(repository) if m.id == number)
        if as_json:
            click.echo(json.dumps(_as_dict(master)))
        else:
            click.echo(_line(master))
            for stage, result in master.results.items():
                click.echo(f"  {stage}: {json.dumps(result)}")
        return
    if found is None:
        raise BadInput([f"job: got {job!r}; accepted: a subjob that job {number} has enqueued"])
    click.echo(json.dumps(_story(found)) if as_json else "\n".join(_tell(found)))


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


def _fqid(text: str) -> tuple[int, int]:
    master, dot, sub = text.partition(".")
    if not master.isdecimal() or (dot and not sub.isdecimal()):
        raise BadInput([f"job: got {text!r}; accepted: 42 or 42.7"])
    return int(master), int(sub) if dot else -1


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


def _as_dict(master: Master) -> dict[str, Any]:
    return {
        "job": master.id,
        "repository": master.repository,
        "name": master.name,
        "lane": str(master.lane),
        "attempt": master.attempt,
        "status": str(master.status or rollup(master.counts) or ""),
        "ended": master.status is not None,
        "phase": master.phase,
        "total": master.total,
        "subjobs": {s.value: master.counts.get(s, 0) for s in JobStatus},
        "results": master.results,
    }


def _line(master: Master) -> str:
    done = sum(master.counts.get(s, 0) for s in FINAL)
    filled = 20 * done // master.total
    counts = ", ".join(f"{n} {s}" for s in JobStatus if (n := master.counts.get(s, 0)))
    state = str(master.status or (master.phase if master.phase != "open" else ""))
    name = f" {master.name}" if master.name else ""
    return (
        f"job {master.id}{name} [{'#' * filled}{'.' * (20 - filled)}] {done}/{master.total} "
        f"{counts}{': ' + state if state else ''}"
    )


def _show(line: str, live: bool, last: bool) -> None:
    if live:
        click.echo(f"\r\x1b[K{line}", nl=last)
    else:
        click.echo(line)


def _story(job: Job) -> dict[str, Any]:
    evidence = job.evidence
    return {
        "job": job.fqid,
        "status": job.status.value,
        "attempt": job.attempt,
        "restart": job.restart,
        "native_status": job.native_status,
        "unmapped": job.unmapped,
        "stale": job.stale,
        "site": job.site,
        "absences": job.absences,
        "evidence": vars(evidence) if evidence else None,
        "checks": [asdict(check) for check in job.checks],
        "history": [
            {"attempt": e.attempt, "restart": e.restart, "status": e.status.value, "at": e.at,
             "source": e.source}
            for e in job.history
        ],
    }  # fmt: skip


def _tell(job: Job) -> list[str]:
    lines = [f"job {job.fqid} is {job.status}{' (stale)' if job.stale else ''}"]
    if job.native_status:
        unknown = ", a code gangamon does not know: the status is kept" if job.unmapped else ""
        lines.append(f"  the backend says: {job.native_status}{unknown}")
    if job.absences:
        lines.append(f"  missing in the last {job.absences} good answers")
    if evidence := job.evidence:
        code = "" if evidence.exit_code is None else f", exit code {evidence.exit_code}"
        lines.append(f"  evidence: {evidence.source}: {evidence.native_status}{code}")
        if evidence.reason:
            lines.append(f"  reason: {evidence.reason}")
        for what, at in (("started", evidence.started_at), ("ended", evidence.ended_at)):
            if at:
                lines.append(f"  {what}: {_time(at)}")
    for check in job.checks:
        said = "passed" if check.ok and not check.error else check.error or "failed"
        lines.append(f"  {check.kind}: {said}")
    for entry in job.history:
        restart = f".{entry.restart}" if entry.restart else ""
        when = _time(entry.at) if entry.at else "when enqueued"
        lines.append(f"  attempt {entry.attempt}{restart}: {entry.status} ({entry.source}, {when})")
    return lines


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"
