"""What shadow mode has found, as it lies in the user's gangadir, and what it comes to.

``<gangadir>/gangamon/shadow/START-HOST-PID.jsonl``: a file for each session, so that no two write
the same. One json object a line: ``{"kind": "session", "at", "host"}``, and for each finding
``kind`` (``domain.shadow.Kind``, or ``unclear``), ``job``, ``attempt``, ``ganga`` and ``gangamon``
(statuses), ``ganga_at`` and ``gangamon_at`` (seconds since the epoch, the session's clock),
``leads``; of what is not agreed ``evidence``, of one that is late ``behind`` and ``what``.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gangamon.domain.shadow import END, RUNNING, Finding, Kind
from gangamon.errors import DiskFull

FOLDER = "shadow"

#: Ganga failed what the backend has completed, and it has checkers or output files of its own that
#: may have done so: those are not run when a job is only observed.
UNCLEAR = "unclear"

#: Of a kind, those that a text names one by one.
NAMED = 10


def line(finding: Finding, kind: str, evidence: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A finding as it is kept."""
    body: dict[str, Any] = {
        "kind": kind,
        "job": finding.fqid,
        "attempt": finding.attempt,
        "ganga": finding.ganga.status.value,
        "ganga_at": round(finding.ganga.at, 3),
        "gangamon": finding.gangamon.status.value,
        "gangamon_at": round(finding.gangamon.at, 3),
        "leads": {what: round(lead, 3) for what, lead in finding.leads.items()},
    }
    if finding.behind:
        body |= {"behind": finding.behind, "what": finding.what}
    if evidence is not None:
        body["evidence"] = dict(evidence)
    return body


class Record:
    """The file of one session; it appears with the first finding."""

    def __init__(self, place: Path, host: str) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        self.path = place / FOLDER / f"{stamp}-{host}-{os.getpid()}.jsonl"
        self._host = host
        self._begun = False

    def write(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Append. Raises DiskFull."""
        if not lines:
            return
        first = [] if self._begun else [{"kind": "session", "at": time.time(), "host": self._host}]
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(one) + "\n" for one in (*first, *lines))
        except OSError as error:
            raise DiskFull(f"{self.path}: {error.strerror}") from error
        self._begun = True


@dataclass(frozen=True)
class Spread:
    """Of so many leads, in seconds; positive: gangamon was first."""

    jobs: int
    median: float
    p95: float


@dataclass
class Summary:
    """``jobs``: attempts compared to their end. ``agreed``, ``taken_back``: how many of them.
    ``contradictions``, ``unclear``, ``behind``: as kept; of the last those that have not come to
    know it since. ``leads``: what -> their spread. ``unread``: lines that are none of ours."""

    sessions: int = 0
    jobs: int = 0
    agreed: int = 0
    taken_back: int = 0
    contradictions: list[dict[str, Any]] = field(default_factory=list)
    unclear: list[dict[str, Any]] = field(default_factory=list)
    behind: list[dict[str, Any]] = field(default_factory=list)
    leads: dict[str, Spread] = field(default_factory=dict)
    unread: int = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def files(place: Path) -> list[Path]:
    """Those of a repository, oldest first; ``place``: its ``<gangadir>/gangamon``."""
    return sorted((place / FOLDER).glob("*.jsonl"))


def summary(paths: Iterable[Path]) -> Summary:
    """What the files say together. Raises OSError."""
    found = Summary()
    late: dict[tuple[str, str, int, str], dict[str, Any]] = {}
    leads: dict[str, list[float]] = {RUNNING: [], END: []}
    for path in paths:
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                body = json.loads(text)
                _take(found, late, leads, path.name, body)
            except (ValueError, KeyError, TypeError, AttributeError):
                found.unread += 1
    found.behind = list(late.values())
    found.leads = {what: spread(values) for what, values in leads.items() if values}
    return found


def _take(
    found: Summary,
    late: dict[tuple[str, str, int, str], dict[str, Any]],
    leads: dict[str, list[float]],
    session: str,
    body: dict[str, Any],
) -> None:
    kind = body["kind"]
    if kind == "session":
        found.sessions += 1
        return
    job = (session, str(body["job"]), int(body["attempt"]))
    if kind == Kind.BEHIND:
        key = (*job, str(body["what"]))
        late[key] = body
        return
    lists = {Kind.CONTRADICTION.value: found.contradictions, UNCLEAR: found.unclear}
    if kind in lists:
        lists[kind].append(body)
    elif kind == Kind.AGREED:
        found.agreed += 1
    elif kind == Kind.TAKEN_BACK:
        found.taken_back += 1
    else:
        raise ValueError(kind)
    found.jobs += 1
    for what in (RUNNING, END):
        late.pop((*job, what), None)
        if kind != Kind.TAKEN_BACK and what in body["leads"]:
            leads[what].append(float(body["leads"][what]))


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return Spread(len(ordered), ordered[last // 2], ordered[round(0.95 * last)])


_WHAT = {RUNNING: "that a job runs", END: "that a job has ended"}


def _kinds(found: Summary) -> tuple[tuple[list[dict[str, Any]], str], ...]:
    return (
        (found.contradictions, "contradictions"),
        (found.unclear, "unclear"),
        (found.behind, "late"),
    )


def short(found: Summary) -> list[str]:
    """For people, in numbers; the first line is how many of what."""
    counts = ", ".join(f"{len(bodies)} {name}" for bodies, name in _kinds(found))
    lines = [
        f"{found.jobs} jobs compared in {found.sessions} sessions: {found.agreed} agreed, "
        f"{counts}, {found.taken_back} killed in Ganga"
    ]
    for what, one in found.leads.items():
        lines.append(
            f"gangamon knew {_WHAT[what]} {one.median:.1f} s earlier than Ganga (median of "
            f"{one.jobs}; 95 % at most {one.p95:.1f} s; negative: later)"
        )
    return lines


def text(found: Summary) -> list[str]:
    """The same, and what was found."""
    lines = short(found)
    for bodies, name in _kinds(found):
        lines += [tell(body) for body in bodies[:NAMED]]
        if len(bodies) > NAMED:
            lines.append(f"{name}: {len(bodies) - NAMED} more")
    if found.unread:
        lines.append(f"{found.unread} lines are not readable")
    return lines


def tell(body: Mapping[str, Any]) -> str:
    """One finding in a line."""
    kind = f"{body['behind']} is late" if body["kind"] == Kind.BEHIND else body["kind"]
    said = f"{kind}: job {body['job']}: Ganga says {body['ganga']} ({_clock(body['ganga_at'])}), "
    said += f"gangamon says {body['gangamon']} ({_clock(body['gangamon_at'])})"
    evidence = ", ".join(
        f"{k}={v}" for k, v in (body.get("evidence") or {}).items() if v not in ("", None)
    )
    return f"{said}{f': {evidence}' if evidence else ''}"


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def grouped(
    findings: Iterable[Mapping[str, Any]],
) -> dict[tuple[str, ...], list[Mapping[str, Any]]]:
    """Findings that say the same of subjobs of one master."""
    found: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for body in findings:
        key = (body["kind"], body["job"].partition(".")[0], body["ganga"], body["gangamon"])
        found.setdefault(key, []).append(body)
    return found
