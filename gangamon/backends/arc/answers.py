"""What A-REX answers to ``POST /jobs?action=status`` and ``action=info`` (REST 1.0, ARC 6.17).

One job is an object, several are a list, none is an empty body; numbers are strings::

    {"job": {"status-code": "200", "reason": "OK", "id": "bI6M...", "state": "RUNNING"}}
    {"job": [{"status-code": "404", "reason": "Job not found", "id": "x", "state": "None"}, ...]}
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from gangamon.errors import BackendUnreachable

OK, NOT_FOUND = "200", "404"


@dataclass(frozen=True)
class Status:
    """``code``: of this job alone, as in HTTP. ``state``: '' where it is not told."""

    code: str
    reason: str
    state: str


@dataclass(frozen=True)
class Info:
    """A job's document (GLUE2 ComputingActivity). ``state``: '' where it is not told; ``whole``:
    written by A-REX's information provider, which alone knows what follows; before its first round
    there is a stopgap. Times: seconds since the epoch. ``cpu``: seconds; ``memory``: KB."""

    state: str = ""
    whole: bool = False
    code: int | None = None
    error: str = ""
    started: float | None = None
    ended: float | None = None
    queue: str = ""
    node: str = ""
    cpu: int | None = None
    memory: int | None = None


def statuses(value: Any, asked: Collection[str]) -> dict[str, Status]:
    """By id, of those that were asked about. Raises BackendUnreachable if it is no such answer."""
    return {
        name: Status(*(_text(job.get(field)) for field in ("status-code", "reason", "state")))
        for name, job in _jobs(value, asked).items()
    }


def infos(value: Any, asked: Collection[str]) -> dict[str, Info]:
    """The documents, by id, of those of the jobs that have one. Raises BackendUnreachable."""
    found = {}
    for name, job in _jobs(value, asked).items():
        document = job.get("info_document")
        activity = document.get("ComputingActivity") if isinstance(document, dict) else None
        if isinstance(activity, dict) and _text(job.get("status-code")) == OK:
            found[name] = _info(activity)
    return found


def _jobs(value: Any, asked: Collection[str]) -> dict[str, Mapping[str, Any]]:
    """A job that is named twice, in two ways, is not believed."""
    if value is None and not asked:
        return {}
    if not isinstance(value, dict):
        raise BackendUnreachable("ARC: an answer without jobs")
    jobs = value.get("job")
    found: dict[str, Mapping[str, Any]] = {}
    doubled = set()
    for job in jobs if isinstance(jobs, list) else [jobs]:
        if not isinstance(job, dict) or not isinstance(name := job.get("id"), str):
            raise BackendUnreachable("ARC: an answer with a job without id")
        if name in found and found[name] != job:
            doubled.add(name)
        found[name] = job
    return {name: found[name] for name in asked if name in found and name not in doubled}


def _info(activity: Mapping[str, Any]) -> Info:
    states = activity.get("State")
    rest = [
        text.removeprefix("arcrest:")
        for text in (states if isinstance(states, list) else [states])
        if isinstance(text, str) and text.startswith("arcrest:")
    ]
    submitted = _time(activity.get("SubmissionTime"))
    code = _number(activity.get("ExitCode"))
    return Info(
        state=rest[0] if rest else "",
        whole=submitted is not None,
        # -1: the batch system has not told it.
        code=None if code == -1 else code,
        error="; ".join(_texts(activity.get("Error"))),
        started=_time(activity.get("StartTime")),
        # EndTime is that of the job in A-REX, after its outputs were uploaded; it is missing for
        # some that failed.
        ended=_time(activity.get("EndTime")) or _time(activity.get("ComputingManagerEndTime")),
        queue=_text(activity.get("Queue")),
        node=", ".join(_texts(activity.get("ExecutionNode"))),
        cpu=_number(activity.get("UsedTotalCPUTime")),
        memory=_number(activity.get("UsedMainMemory")),
    )


def _texts(value: Any) -> list[str]:
    """What may be one or several."""
    return [text for text in map(_text, value if isinstance(value, list) else [value]) if text]


def _text(value: Any) -> str:
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        return str(value).strip()[:1000]
    return ""


def _number(value: Any) -> int | None:
    text = _text(value)
    return int(text) if re.fullmatch(r"-?\d{1,15}", text, re.ASCII) else None


def _time(value: Any) -> float | None:
    text = _text(value)
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text, re.ASCII) is None:
        return None
    try:
        moment = datetime.fromisoformat(text[:-1]).replace(tzinfo=timezone.utc)
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None
