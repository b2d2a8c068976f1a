"""What qstat prints of PBS Professional, OpenPBS and Torque, as rows.

Three forms of the same attributes: JSON (PBS Professional 14 and later), XML (Torque), and text,
which all have. Asked for with ``TZ=UTC``, for JSON and text have local times without a zone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from xml.etree import ElementTree

from gangamon.backends import jobstatus
from gangamon.errors import BackendUnreachable

_ID = re.compile(r"(\d{1,18})(\[\d{0,18}\])?(?:\.[A-Za-z0-9_.-]+)?(?:@[A-Za-z0-9_.-]+)?", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,18}", re.ASCII)
_UNITS = {"b": 1, "kb": 2**10, "mb": 2**20, "gb": 2**30, "tb": 2**40}

#: What qstat says of a job that the server does not know, or no longer: an answer. PBS 2021, Torque
#: 6, and a server without history.
_UNKNOWN = re.compile(r"^qstat: (?:Unknown Job Id(?: Error)? (\S+)|(\S+) Job has finished\b.*)$")

Attributes = Mapping[str, str]


class JobId(NamedTuple):
    """``123``, ``123.server``; a task ``123[4]``, an array ``123[]``. ``asked``: as qstat is asked;
    ``name``: without the server, which not all of Ganga's patterns keep."""

    asked: str
    name: str

    @classmethod
    def parse(cls, text: str) -> JobId | None:
        """None: no id of PBS's."""
        match = _ID.fullmatch(text)
        return cls(text, match[1] + (match[2] or "")) if match else None

    def is_array(self) -> bool:
        return self.name.endswith("[]")


@dataclass(slots=True)
class Row:
    """One job. ``status``: its exit status, None: not told. ``created``, ``started``, ``ended``:
    seconds since the epoch; ``ended`` of a job that is over. ``runs``: how often it was run.
    ``cpu``: seconds, ``memory``: bytes. ``comment``: PBS's, for people."""

    name: str
    owner: str
    state: str
    substate: int | None
    status: int | None
    queue: str
    host: str
    created: float | None
    started: float | None
    ended: float | None
    runs: int | None
    cpu: float | None
    memory: int | None
    comment: str


def from_json(text: str) -> dict[str, Row]:
    """Of ``qstat -f -F json``. Raises BackendUnreachable if it cannot be read: PBS does not escape
    what stands in a job's environment (openpbs#2541)."""
    try:
        answer = json.loads(text, strict=False)
    except (ValueError, RecursionError) as error:
        raise _unreadable(error, text) from error
    jobs = answer.get("Jobs", {}) if isinstance(answer, dict) else None
    if not isinstance(jobs, dict) or "pbs_version" not in answer:
        raise _unreadable("it has no jobs", text)
    return dict(_rows((name, _flat(job)) for name, job in jobs.items()))


def from_xml(text: str) -> dict[str, Row]:
    """Of Torque's ``qstat -f -x``. Empty is no answer: 4.2.7 and earlier print nothing where they
    know no job (torque#357)."""
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise _unreadable(error, text) from error
    if root.tag != "Data":
        raise _unreadable(f"it is about {root.tag!r}", text)
    jobs = ({"Job_Id": "", **_nested(job)} for job in root.iter("Job"))
    return dict(_rows((job["Job_Id"], job) for job in jobs))


def from_text(text: str) -> dict[str, Row]:
    """Of ``qstat -f``. A line that begins with a tab goes on with the one before. A job's
    environment may hold lines of any kind, so of each attribute the first counts (the environment
    is one of the last), and a job that is there twice makes that nothing is believed."""
    jobs: dict[str, dict[str, str]] = {}
    values: dict[str, str] = {}
    last = ""
    for line in text.split("\n"):
        if line.startswith("Job Id:"):
            name, values, last = line[7:].strip(), {}, ""
            if name in jobs:
                raise _unreadable(f"{name} is there twice", text)
            jobs[name] = values
        elif line.startswith("\t") and last:
            values[last] += line[1:]
        elif line.startswith("    ") and jobs:
            name, _, value = line.strip().partition(" = ")
            last = "" if name in values else name
            values.setdefault(name, value)
        elif line.strip() and not jobs:
            raise _unreadable("it is no list of jobs", text)
    return dict(_rows(jobs.items()))


def unknown(complaint: str) -> tuple[set[str], bool]:
    """The jobs that a complaint says are not known, and whether it says anything else."""
    names, other = set(), False
    for line in filter(str.strip, complaint.splitlines()):
        match = _UNKNOWN.match(line.strip())
        id_ = JobId.parse(match[1] or match[2]) if match else None
        if id_ is None:
            other = True
        else:
            names.add(id_.name)
    return names, other


def _rows(jobs: Any) -> Iterator[tuple[str, Row]]:
    for full, job in jobs:
        id_ = JobId.parse(full)
        state = job.get("job_state", "")
        if id_ is None or not state:
            raise _unreadable(f"job {full!r}, state {state!r}", "")
        yield id_.name, _row(id_.name, state, job)


def _row(name: str, state: str, job: Attributes) -> Row:
    over = state in ("C", "F", "X")
    # Torque: comp_time. PBS Professional: mtime, of a job that is over the time of its end.
    ended = job.get("comp_time") or job.get("mtime", "")
    return Row(
        name=name,
        owner=job.get("Job_Owner", "").partition("@")[0],
        state=state,
        substate=_number(job.get("substate", "")),
        status=_number(job.get("Exit_status") or job.get("exit_status", "")),
        queue=job.get("queue", ""),
        host=re.split(r"[/+]", job.get("exec_host", ""), maxsplit=1)[0],
        created=_time(job.get("ctime", "")),
        started=_time(job.get("stime") or job.get("start_time", "")),
        ended=_time(ended) if over else None,
        runs=_number(job.get("run_count") or job.get("start_count", "")),
        cpu=_seconds(job.get("resources_used.cput", "")),
        memory=_bytes(job.get("resources_used.mem", "")),
        comment=job.get("comment", ""),
    )


def _flat(job: Any) -> dict[str, str]:
    """``{"resources_used": {"cput": ...}}`` as ``resources_used.cput``. Numbers become text: PBS
    writes a value that looks like one as a number, whatever it is."""
    found: dict[str, str] = {}
    for name, value in job.items() if isinstance(job, dict) else ():
        if isinstance(value, dict):
            found.update({f"{name}.{inner}": str(v) for inner, v in value.items()})
        else:
            found[name] = str(value)
    return found


def _nested(job: ElementTree.Element) -> dict[str, str]:
    found: dict[str, str] = {}
    for child in job:
        if len(child):
            found.update({f"{child.tag}.{inner.tag}": inner.text or "" for inner in child})
        else:
            found[child.tag] = child.text or ""
    return found


def _unreadable(why: object, text: str) -> BackendUnreachable:
    return BackendUnreachable(f"qstat: unreadable: {why}: {text[:100]!r}")


def _number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None


@lru_cache(4096)
def _time(text: str) -> float | None:
    """``Fri Jul  1 14:42:57 2022`` and, in Torque's XML, seconds since the epoch."""
    number = _number(text)
    return float(number) or None if number is not None else jobstatus.seconds(text)


def _seconds(text: str) -> float | None:
    """Of ``420:16:02``."""
    match = re.fullmatch(r"(?:(\d{1,9}):)?(\d{1,9}):(\d{1,9})", text, re.ASCII)
    return int(match[1] or 0) * 3600 + int(match[2]) * 60 + float(match[3]) if match else None


def _bytes(text: str) -> int | None:
    match = re.fullmatch(r"(\d{1,18})([kmgt]?b)", text, re.ASCII)
    return int(match[1]) * _UNITS[match[2]] if match else None
