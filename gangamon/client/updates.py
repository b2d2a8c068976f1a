"""What the service tells: updates and views, as they are read from the store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gangamon.domain.job import Job
from gangamon.domain.observation import Check, Put, Scalar
from gangamon.domain.status import JobStatus
from gangamon.protocols import Master
from gangamon.store.codec import load_puts
from gangamon.store.inbox import parse_json


@dataclass(frozen=True)
class Ack:
    """The service's answer to a command; ``reason`` says why not."""

    command_id: str
    ok: bool
    reason: str = ""


@dataclass(frozen=True)
class JobUpdate:
    """One job's state. ``sub`` is -1 for a job that was not split. ``ended_at``, ``started_at``: at
    the backend, seconds since the epoch; known once the backend has said that it ended. ``checks``:
    what the service's checkers said of a subjob, in Ganga's order; without them its status is the
    backend's word. ``puts``: outputs that it has put on storage."""

    sub: int
    attempt: int
    restart: int
    status: JobStatus
    attributes: Mapping[str, Scalar] = field(default_factory=dict)
    ended_at: float | None = None
    started_at: float | None = None
    checks: tuple[Check, ...] = ()
    puts: tuple[Put, ...] = ()


@dataclass(frozen=True)
class MasterFinal:
    """A master job's end. ``results``: ``merge`` is a list of {kind, ok, reason, files}, one for
    each merger in the job's order, and ``bytes``; ``check`` and ``notify`` are objects."""

    attempt: int
    status: JobStatus
    results: Mapping[str, Any]


@dataclass(frozen=True)
class Update:
    """One entry of the update stream: an acknowledgement, transitions of one master's jobs, or
    the end of a master. ``at``: seconds since the epoch, Redis's clock. ``noted``: attributes that
    changed of jobs that did not move, only those; their status is what it was."""

    epoch: str
    at: float
    master: int = -1
    jobs: tuple[JobUpdate, ...] = ()
    ack: Ack | None = None
    final: MasterFinal | None = None
    noted: tuple[JobUpdate, ...] = ()


@dataclass(frozen=True)
class MasterView:
    """A master as it is now. ``position``: where to follow the updates from."""

    record: Master
    jobs: Mapping[int, JobUpdate]
    final: MasterFinal | None
    position: str
    epoch: str


def as_update(sub: int, job: Job) -> JobUpdate:
    times = (job.evidence.ended_at, job.evidence.started_at) if job.evidence else (None, None)
    return JobUpdate(
        sub,
        job.attempt,
        job.restart,
        job.status,
        job.attributes,
        *times,
        checks=job.checks,
        puts=job.puts,
    )


def final_of(
    attempt: int, status: JobStatus | None, results: Mapping[str, Any]
) -> MasterFinal | None:
    if status is None:
        return None
    merged = results.get("merge") or {}
    return MasterFinal(attempt, status, {**results, "merge": merged.get("mergers", [])})


def parse(fields: Mapping[str, str]) -> Update:
    epoch, at = fields["e"], float(fields["t"]) / 1000
    if fields["k"] == "a":
        return Update(epoch, at, ack=Ack(fields["id"], not fields["why"], fields["why"]))
    master = int(fields["m"])
    if fields["k"] == "f":
        results = {stage: parse_json(fields[stage]) for stage in ("merge", "check", "notify")}
        final = final_of(int(fields["a"]), JobStatus(fields["s"]), results)
        return Update(epoch, at, master, final=final)
    # A service of the version before has no notes.
    jobs, noted = (
        tuple(_job_update(*row) for row in json.loads(fields.get(name, "[]"))) for name in "dn"
    )
    return Update(epoch, at, master, jobs=jobs, noted=noted)


def _job_update(
    sub: int,
    attempt: int,
    restart: int,
    status: str,
    attributes: Mapping[str, Scalar],
    ended_at: float | None = None,
    started_at: float | None = None,
    checks: Sequence[Mapping[str, Any]] = (),
    puts: Sequence[Sequence[Any]] = (),
) -> JobUpdate:
    """As ``store.codec.dump_update`` writes it."""
    said = tuple([Check(**check) for check in checks])
    return JobUpdate(
        sub,
        attempt,
        restart,
        JobStatus(status),
        attributes,
        ended_at,
        started_at,
        said,
        load_puts(puts),
    )
