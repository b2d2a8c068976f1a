"""What bjobs and bhist print (IBM Spectrum LSF 10.1), as rows.

Asked for with ``TZ=UTC``, for both print local times without a zone; mostly also without a year
(LSB_DISPLAY_YEAR in lsf.conf), and bjobs without seconds: the latest such time that is not ahead.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, NamedTuple

from gangamon.errors import BackendUnreachable

#: Fields of ``bjobs -o`` (bjobs(1)).
FIELDS = (
    *("jobid", "jobindex", "stat", "user", "queue", "exec_host", "submit_time", "start_time"),
    *("finish_time", "exit_code", "exit_reason", "cpu_used", "max_mem"),
)

_ID = re.compile(r"(\d{1,18})(?:\[(\d{1,18})\])?", re.ASCII)
_DIGITS = re.compile(r"\d{1,9}", re.ASCII)
_TIME = re.compile(
    r"(?:\w{3} )?(\w{3}) +(\d{1,2}) (\d{1,2}):(\d\d)(?::(\d\d))?(?: (\d{4}))?(?: [A-Z])?", re.ASCII
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
#: A run begins, on this host.
_HOST = re.compile(r"(?:\[\d+\] )?(?:[Dd]ispatched|[Ss]tarted)\b[^<]*<([^>]*)>", re.ASCII)
#: bhist wraps its lines, and begins what is left with so many blanks.
_WRAPPED = " " * 21


class JobId(NamedTuple):
    """``123``, or an element ``123[4]`` of an array."""

    number: str
    element: str = ""

    @property
    def name(self) -> str:
        return f"{self.number}[{self.element}]" if self.element else self.number

    @classmethod
    def parse(cls, text: str) -> JobId | None:
        """None: no id of LSF's."""
        match = _ID.fullmatch(text)
        return cls(match[1], match[2] or "") if match else None


@dataclass(slots=True)
class Row:
    """One job, or element of an array. ``code``: exit code, None: not told. Times are seconds since
    the epoch. ``reason``: why LSF ended it, with its keyword. ``used``: in LSF's words."""

    id: JobId
    user: str
    state: str
    queue: str = ""
    host: str = ""
    submitted: float | None = None
    started: float | None = None
    ended: float | None = None
    code: int | None = None
    reason: str = ""
    used: str = ""
    restarts: int = 0


@dataclass
class Answer:
    rows: dict[JobId, Row] = field(default_factory=dict)
    _elements: dict[str, list[Row]] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        self.rows[row.id] = row
        if row.id.element:
            self._elements.setdefault(row.id.number, []).append(row)

    def find(self, id_: JobId) -> Sequence[Row]:
        """The row of this job; of an array as a whole those of its elements."""
        row = self.rows.get(id_)
        if row is not None:
            return (row,)
        return () if id_.element else self._elements.get(id_.number, ())


def bjobs(text: str, now: float | None = None) -> Answer:
    """The answer of ``bjobs -json``. What stands before it ("Please wait ...") is no part of it.

    Raises BackendUnreachable unless all of it is there."""
    begin = text.find("{")
    try:
        found = json.loads(text[begin:], strict=False) if begin >= 0 else None
    except (ValueError, RecursionError) as error:
        raise _unreadable("bjobs", error, text) from error
    table = found if isinstance(found, dict) else {}
    records = table.get("RECORDS")
    if not isinstance(records, list) or str(table.get("JOBS")) != str(len(records)):
        raise _unreadable("bjobs", "not all its jobs are there", text)
    answer = Answer()
    for record in records:
        answer.add(_row(record, text, now))
    return answer


def bhist(text: str, now: float | None = None) -> Answer:
    """The answer of ``bhist -l``: jobs that are over, in their last run; the others are left out,
    for a history that is not at its end tells nothing of one that the queue has forgotten."""
    rows: list[Row] = []
    for line in _unwrapped(text):
        if head := re.match(r"Job <([^>]+)>", line):
            id_ = JobId.parse(head[1])
            user = re.search(r"\bUser <([^>]*)>", line)
            rows.append(Row(id_ or JobId(""), user[1] if user else "", ""))
        elif rows:
            _event(rows[-1], line, now)
    answer = Answer()
    for row in rows:
        if row.state and row.id.number:
            answer.add(row)
    return answer


def _event(row: Row, line: str, now: float | None) -> None:
    """``Sun Jan 10 17:47:39: Done successfully. The CPU time used is 0.0 seconds;``"""
    match = re.match(r"(\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d(?: \d{4})?): (.*)", line, re.ASCII)
    if match is None:
        return
    at, told = _time(match[1], now), match[2]
    if code := re.match(r"Exited with exit code (\d{1,5})\b", told):
        row.state, row.code, row.ended = "EXIT", int(code[1]), at
    elif told.startswith(("Exited by", "Exited;")):
        row.state, row.ended = "EXIT", at
    elif told.startswith("Done successfully"):
        row.state, row.code, row.ended = "DONE", 0, at
    elif told.startswith("Completed <exit>"):
        row.state, row.ended = "EXIT", row.ended or at
        reason = re.search(r"\b(TERM_[A-Z_]+): *([^;.]*)", told)
        row.reason = f"{reason[1]}: {reason[2].strip()}" if reason else row.reason
    elif told.startswith("Submitted from"):
        queue = re.search(r"\bto Queue <([^>]*)>", told)
        row.submitted, row.queue = at, queue[1] if queue else ""
    elif host := _HOST.match(told):
        row.restarts += bool(row.started)
        row.host, row.started = _first(host[1]), at
        row.state, row.code, row.reason, row.ended = "", None, "", None
    elif re.search(r"\b[Rr]equeued\b|^Starting\b|^Running\b|^Pending\b", told):
        row.state, row.code, row.reason, row.ended = "", None, "", None


def _unwrapped(text: str) -> Iterator[str]:
    whole = ""
    for line in text.splitlines():
        if line.startswith(_WRAPPED) and whole:
            whole += line[len(_WRAPPED) :]
        else:
            yield whole
            whole = line
    yield whole


def _row(record: Any, text: str, now: float | None) -> Row:
    values = {k: str(v) for k, v in record.items()} if isinstance(record, dict) else {}
    number, state = values.get("JOBID", ""), values.get("STAT", "")
    index = values.get("JOBINDEX", "")
    id_ = JobId.parse(number if index in ("", "0") else f"{number}[{index}]")
    if id_ is None or not state:
        raise _unreadable("bjobs", f"job {number!r}, state {state!r}", text)
    used = ((values.get("CPU_USED"), "of CPU"), (values.get("MAX_MEM"), "at most"))
    code = values.get("EXIT_CODE", "")
    return Row(
        id=id_,
        user=values.get("USER", ""),
        state=state,
        queue=values.get("QUEUE", ""),
        host=_first(values.get("EXEC_HOST", "")),
        submitted=_time(values.get("SUBMIT_TIME", ""), now),
        started=_time(values.get("START_TIME", ""), now),
        ended=_time(values.get("FINISH_TIME", ""), now),
        code=int(code) if _DIGITS.fullmatch(code) else None,
        reason=values.get("EXIT_REASON", "").strip().rstrip(".;"),
        used=", ".join(f"{value} {what}" for value, what in used if value and value != "-"),
    )


def _first(hosts: str) -> str:
    """The first of ``4*node1:node2``; '' for ``-``."""
    name = hosts.split(":")[0].split("*")[-1]
    return "" if name == "-" else name


def _time(text: str, now: float | None) -> float | None:
    return _at(text, int((now or time.time()) // 3600)) if text and text != "-" else None


@lru_cache(4096)  # many jobs are submitted within the same minute
def _at(text: str, hour: int) -> float | None:
    """``hour``: now, in hours since the epoch."""
    match = _TIME.fullmatch(text)
    if match is None or match[1] not in _MONTHS:
        return None
    ahead = datetime.fromtimestamp(hour * 3600.0, timezone.utc) + timedelta(days=2)
    year = int(match[6]) if match[6] else ahead.year
    for back in range(8):  # 29 February
        try:
            moment = datetime(year - back, _MONTHS.index(match[1]) + 1, int(match[2]),
                              int(match[3]), int(match[4]), int(match[5] or 0),
                              tzinfo=timezone.utc)  # fmt: skip
        except ValueError:
            moment = None
        if match[6]:
            break
        if moment is not None and moment <= ahead:
            break
    return moment.timestamp() if moment is not None else None


def _unreadable(program: str, why: object, text: str) -> BackendUnreachable:
    return BackendUnreachable(f"{program}: unreadable: {why}: {text[:100]!r}")
