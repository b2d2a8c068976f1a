"""Jobs and commands as the store writes them: compact json, versioned by the schema."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from functools import lru_cache
from typing import Any, cast

from gangamon.domain.command import CheckerSpec, JobSpec, MergerSpec
from gangamon.domain.job import Entry, Evidence, Job, decode_state
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Check
from gangamon.domain.status import JobStatus
from gangamon.protocols import Master

#: One for all: ``json.dumps`` would make one for each call.
_ENCODER = json.JSONEncoder(separators=(",", ":"), sort_keys=True)

#: What needs not be written of an evidence. An exit code of 0 is not its default, and is written.
_DEFAULTS = {field.name: field.default for field in fields(Evidence)}


_STATUSES = {status.value: status for status in JobStatus}


def dumps(value: object) -> str:
    return _ENCODER.encode(value)


def loads(texts: Iterable[str | None]) -> list[Any]:
    """The values of many texts, for a missing one ``{}``: parsed at once, for the call costs more
    than what it parses."""
    return cast("list[Any]", json.loads(f"[{','.join(text or '{}' for text in texts)}]"))


def dump_spec(spec: JobSpec) -> str:
    """What must be the same when the same attempt is enqueued again. Status may have moved."""
    return dumps([spec.native_id, dict(spec.extra)])


def load_spec(sub: int, state: str, spec: Sequence[Any]) -> JobSpec:
    attempt, _, status = decode_state(state)
    native_id, extra = spec
    return JobSpec(sub, attempt, status, native_id, extra)


def dump_facts(job: Job) -> str:
    facts: dict[str, Any] = {
        "ns": job.native_status,
        "u": job.unmapped,
        "site": job.site,
        "v": job.verdict.value if job.verdict else None,
        "abs": job.absences,
        "absat": job.absent_at,
        "absfor": round(job.absent_for, 3),
        "stale": job.stale,
        "ev": job.evidence and _evidence(job.evidence, job.native_status),
        "at": dict(job.attributes),
        "h": [
            [e.attempt, e.restart, e.status.value, round(e.at, 3), e.source] for e in job.history
        ],
        "ck": [asdict(check) for check in job.checks],
    }
    return dumps({key: value for key, value in facts.items() if value})


def _evidence(evidence: Evidence, native_status: str) -> dict[str, Any]:
    """Without what is the default, or stands in the job's other facts."""
    aside = {**_DEFAULTS, "native_status": native_status}
    return {key: value for key, value in vars(evidence).items() if value != aside[key]}


def load_job(fqid: str, state: str, facts: Mapping[str, Any]) -> Job:
    attempt, restart, status = decode_state(state)
    evidence = facts.get("ev")
    verdict = facts.get("v")
    return Job(
        fqid=fqid,
        attempt=attempt,
        restart=restart,
        status=status,
        native_status=facts.get("ns", ""),
        unmapped=facts.get("u", False),
        site=facts.get("site", ""),
        verdict=_STATUSES[verdict] if verdict else None,
        absences=facts.get("abs", 0),
        absent_at=facts.get("absat"),
        absent_for=facts.get("absfor", 0.0),
        stale=facts.get("stale", False),
        evidence=Evidence(**{"native_status": facts.get("ns", ""), **evidence})
        if evidence
        else None,
        attributes=facts.get("at", {}),
        history=tuple([_entry(*row) for row in facts.get("h", ())]),
        checks=tuple([Check(**check) for check in facts.get("ck", ())]),
    )


@lru_cache(maxsize=4096)
def _entry(attempt: int, restart: int, status: str, at: float, source: str) -> Entry:
    """One for all jobs that moved in the same commit, which are many."""
    return Entry(attempt, restart, _STATUSES[status], at, source)


def dump_update(sub: int, job: Job) -> str:
    """One job of an update: [sub, attempt, restart, status, attributes, ended at, started at], and
    the checks, if there were any."""
    rest: list[Any] = [None, None]
    if job.evidence:
        rest = [job.evidence.ended_at, job.evidence.started_at]
    if job.checks:
        rest.append([asdict(check) for check in job.checks])
    return dumps([sub, job.attempt, job.restart, job.status.value, dict(job.attributes), *rest])


def dump_parts(parts: Sequence[MergerSpec | CheckerSpec]) -> str:
    return dumps([asdict(part) for part in parts])


def load_master(
    owner: str,
    repository: str,
    number: int,
    fields: Mapping[str, str],
    roots: tuple[str, ...],
    rates: Mapping[str, float],
) -> Master:
    lane = Lane.parse(fields["lane"])
    mergers = tuple(
        MergerSpec(**{**merger, "files": tuple(merger["files"])})
        for merger in json.loads(fields["mergers"])
    )
    checkers = tuple(
        CheckerSpec(
            **{
                **checker,
                "files": tuple(checker["files"]),
                "search_strings": tuple(checker["search_strings"]),
            }
        )
        for checker in json.loads(fields.get("checkers", "[]"))
    )
    return Master(
        owner=owner,
        repository=repository,
        id=number,
        attempt=int(fields["attempt"]),
        total=int(fields["total"]),
        name=fields["name"],
        lane=lane,
        workspace=fields["workspace"],
        mergers=mergers,
        roots=roots,
        phase=fields["phase"],
        status=JobStatus(fields["status"]) if fields["status"] else None,
        counts={
            status: int(fields[f"n:{status}"]) for status in JobStatus if f"n:{status}" in fields
        },
        results={
            key[2:]: json.loads(value) for key, value in fields.items() if key.startswith("r:")
        },
        wish=rates.get(lane.backend),
        checkers=checkers,
    )
