"""Jobs and commands as the store writes them: compact json, versioned by the schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from functools import lru_cache
from typing import Any, cast

from gangamon.domain.command import CheckerSpec, JobSpec, MergerSpec, NotifierSpec
from gangamon.domain.job import BLANK, Entry, Evidence, Job, decode_state
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Check, Put, Scalar
from gangamon.domain.status import JobStatus
from gangamon.protocols import Brought, Master, Merging


def _encoder() -> Callable[[object], str]:
    """Compact json with sorted keys. ``JSONEncoder.encode`` makes json's C encoder anew for each
    call, which takes longer than what it then encodes: so one is made here for all."""
    plain = json.JSONEncoder(separators=(",", ":"), sort_keys=True)
    make = getattr(json.encoder, "c_make_encoder", None)  # there is none but in CPython
    if make is None:
        return plain.encode
    quote = json.encoder.encode_basestring_ascii
    encode = make(None, plain.default, quote, None, ":", ",", True, False, True)
    return lambda value: "".join(encode(value, 0))


dumps = _encoder()

#: What needs not be written of an evidence. An exit code of 0 is not its default, and is written.
_DEFAULTS = {field.name: field.default for field in fields(Evidence)}


_STATUSES = {status.value: status for status in JobStatus}

#: Facts that are a field of the job as they are, and are left out where it says nothing.
_FIELDS = {
    "ns": "native_status",
    "u": "unmapped",
    "site": "site",
    "abs": "absences",
    "absat": "absent_at",
    "stale": "stale",
    "told": "told_at",
}
_LOADED = {**_FIELDS, "absfor": "absent_for", "at": "attributes"}


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


def dump_facts(job: Job, attributes: str) -> str:
    """``attributes``: the job's, as ``dumps`` writes them."""
    fields = vars(job)
    facts = {key: value for key, name in _FIELDS.items() if (value := fields[name])}
    if job.absent_for:
        facts["absfor"] = round(job.absent_for, 3)
    if job.verdict:
        facts["v"] = job.verdict.value
    if job.evidence:
        facts["ev"] = _evidence(job.evidence, job.native_status)
    if job.checks:
        facts["ck"] = [asdict(check) for check in job.checks]
    if job.left_out:
        facts["lo"] = list(job.left_out)
    if job.puts:
        facts["pu"] = _puts(job)
    rest = dumps(facts)[1:]
    entries = ",".join(
        [_dump_entry(e.attempt, e.restart, e.status, e.at, e.source) for e in job.history]
    )
    at = "" if attributes == "{}" else f'"at":{attributes},'
    return f'{{{at}"h":[{entries}]{"," if facts else ""}{rest}'


@lru_cache(maxsize=4096)
def _dump_entry(attempt: int, restart: int, status: JobStatus, at: float, source: str) -> str:
    """Written once for all jobs that moved in the same commit, which are many."""
    return dumps([attempt, restart, status.value, round(at, 3), source])


def _evidence(evidence: Evidence, native_status: str) -> dict[str, Any]:
    """Without what is the default, or stands in the job's other facts."""
    aside = {**_DEFAULTS, "native_status": native_status}
    return {key: value for key, value in vars(evidence).items() if value != aside[key]}


def load_job(fqid: str, state: str, facts: Mapping[str, Any]) -> Job:
    attempt, restart, status = decode_state(state)
    fields: dict[str, Any] = {
        "fqid": fqid,
        "attempt": attempt,
        "restart": restart,
        "status": status,
    }
    for key, value in facts.items():
        if key == "h":
            fields["history"] = tuple([_entry(*row) for row in value])
        elif key == "v":
            fields["verdict"] = _STATUSES[value]
        elif key == "ev":
            fields["evidence"] = Evidence(**{"native_status": facts.get("ns", ""), **value})
        elif key == "ck":
            fields["checks"] = tuple([Check(**check) for check in value])
        elif key == "lo":
            fields["left_out"] = tuple(value)
        elif key == "pu":
            fields["puts"] = load_puts(value)
        elif key in _LOADED:
            fields[_LOADED[key]] = value
    return BLANK.but(**fields)


@lru_cache(maxsize=4096)
def _entry(attempt: int, restart: int, status: str, at: float, source: str) -> Entry:
    """One for all jobs that moved in the same commit, which are many."""
    return Entry(attempt, restart, _STATUSES[status], at, source)


def dump_update(sub: int, job: Job, attributes: str) -> str:
    """One job of an update: [sub, attempt, restart, status, attributes, ended at, started at], and
    the checks and the puts, up to the last of which there were any. ``attributes`` as in
    ``dump_facts``."""
    times = "null,null"
    if job.evidence:
        times = dumps([job.evidence.ended_at, job.evidence.started_at])[1:-1]
    more = ""
    if job.checks or job.puts:
        more = f",{dumps([asdict(check) for check in job.checks])}"
    if job.puts:
        more += f",{dumps(_puts(job))}"
    return f'[{sub},{job.attempt},{job.restart},"{job.status.value}",{attributes},{times}{more}]'


def _puts(job: Job) -> list[Any]:
    return [[put.number, put.files, put.reason] for put in job.puts]


def load_puts(body: Iterable[Sequence[Any]]) -> tuple[Put, ...]:
    return tuple(
        Put(number, tuple((name, place) for name, place in files), reason)
        for number, files, reason in body
    )


def dump_note(sub: int, job: Job, told: Mapping[str, Scalar]) -> str:
    """What is told of a job that did not move: as an update, with those attributes only."""
    return f'[{sub},{job.attempt},{job.restart},"{job.status.value}",{dumps(dict(told))}]'


def dump_parts(parts: Sequence[MergerSpec | CheckerSpec | NotifierSpec]) -> str:
    return dumps([part.plain for part in parts])


def _merger(body: Mapping[str, Any]) -> MergerSpec:
    parts = tuple(_merger(part) for part in body.get("parts", ()))
    return MergerSpec(**{**body, "files": tuple(body["files"]), "parts": parts})


def _checker(body: Mapping[str, Any]) -> CheckerSpec:
    lists = {name: tuple(body[name]) for name in ("files", "search_strings")}
    return CheckerSpec(**{**body, **lists})


def load_master(
    owner: str,
    repository: str,
    number: int,
    fields: Mapping[str, str],
    roots: tuple[str, ...],
    rates: Mapping[str, float],
) -> Master:
    lane = Lane.parse(fields["lane"])
    mergers = tuple(_merger(merger) for merger in json.loads(fields["mergers"]))
    checkers = tuple(_checker(checker) for checker in json.loads(fields.get("checkers", "[]")))
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
        observe=fields.get("observe", "") == "1",
        notifiers=tuple(NotifierSpec(**one) for one in json.loads(fields.get("notifiers", "[]"))),
        brought=_brought(fields),
        merging=_merging(fields),
    )


def _merging(fields: Mapping[str, str]) -> Merging:
    done, files, whole, first, since, until = (
        int(fields.get(f"g:{name}", 0))
        for name in ("bytes", "files", "whole", "first", "since", "until")
    )
    return Merging(done, files, whole, first, (until - since) / 1000)


def _brought(fields: Mapping[str, str]) -> Brought:
    jobs, files, size, since, until = (
        int(fields.get(f"f:{name}", 0)) for name in ("jobs", "files", "bytes", "since", "until")
    )
    return Brought(jobs, files, size, (until - since) / 1000)
