"""What qstat and qacct print (Son of Grid Engine 8.1.9), as rows and records.

Asked for with ``TZ=UTC``, for both print local times without a zone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache
from typing import NamedTuple
from xml.etree import ElementTree

from gangamon.backends import jobstatus
from gangamon.backends.sge import states
from gangamon.errors import BackendUnreachable

_ID = re.compile(r"(\d{1,18})(?:\.(\d{1,18}))?", re.ASCII)
_DIGITS = re.compile(r"\d{1,18}", re.ASCII)
_TASKS = re.compile(r"(\d{1,18})(?:-(\d{1,18})(?::(\d{1,18}))?)?", re.ASCII)
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
#: What XML 1.0 does not allow, and the name of a job may hold all the same.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")

#: The fields of a row that are read.
_NAMES = ("JB_job_number", "JB_owner", "state", "JB_submission_time", "JAT_start_time",
          "queue_name", "tasks")  # fmt: skip
#: A row as 8.1.9 prints it, with those as groups: to read 10,000 so takes a third of what it takes
#: to make elements of them. Rows of any other form are read as elements.
_PLAIN = re.compile(
    r'<job_list state="\w+">\s*<JB_job_number>(\d+)</JB_job_number>\s*<JAT_prio>[^<]*</JAT_prio>'
    r"\s*<JB_name>[^<]*</JB_name>\s*<JB_owner>([^<&]*)</JB_owner>\s*<state>([^<&]*)</state>\s*"
    r"(?:<JB_submission_time>([^<&]*)</JB_submission_time>|<JAT_start_time>([^<&]*)</JAT_start_time>)"
    r"\s*<queue_name>([^<&]*)</queue_name>\s*<slots>\d+</slots>\s*"
    r"(?:<tasks>([^<&]*)</tasks>\s*)?</job_list>",
    re.ASCII,
)
_GROUPS = _PLAIN.groups


class JobId(NamedTuple):
    """``123``, or a task ``123.4`` of an array."""

    number: str
    task: str = ""

    @classmethod
    def parse(cls, text: str) -> JobId | None:
        """None: no id of Grid Engine's."""
        match = _ID.fullmatch(text)
        return cls(match[1], match[2] or "") if match else None


@dataclass(slots=True)  # frozen it would take twice as long to make, for each of 10,000 jobs
class Row:
    """A job of qstat, a task that runs, or the tasks of an array that wait. ``tasks``: ``3`` or
    ``1-7:2,9``, '' for a job that is no array. ``submitted``, ``started``: seconds since the epoch;
    of a job that was started over ``submitted`` is when that was."""

    number: str
    owner: str
    state: str
    queue: str
    host: str
    submitted: float | None
    started: float | None
    tasks: str = ""


@dataclass
class Answer:
    """``unreadable``: of the first row that makes no sense: a job may be there."""

    unreadable: str = ""
    rows: dict[str, list[Row]] = field(default_factory=dict)

    def find(self, id_: JobId) -> Sequence[Row]:
        """The row of this job; of an array as a whole those of its tasks."""
        rows = self.rows.get(id_.number, ())
        return [row for row in rows if _covers(row.tasks, id_.task)] if id_.task else rows


@dataclass(frozen=True)
class Record:
    """A run of a job in the accounting (accounting(5)). ``failed``, ``status``: its code and exit
    status. ``cpu``: seconds; ``memory``: bytes at most; both None where not told. ``category``:
    what the job had asked for."""

    number: str
    task: str
    owner: str
    queue: str
    host: str
    submitted: float | None
    started: float | None
    ended: float | None
    failed: int
    status: int
    cpu: float | None
    memory: int | None
    category: str


def qstat(text: str) -> Answer:
    """The answer of ``qstat -xml``. Raises BackendUnreachable if it is none."""
    pieces = _PLAIN.split(text)
    answer = Answer()
    for n in range(1, len(pieces), _GROUPS + 1):
        _add(answer, *pieces[n : n + _GROUPS])
    rest = "".join(pieces[:: _GROUPS + 1])  # what is left without those rows is XML as well
    try:
        root = _parsed(rest)
    except (ElementTree.ParseError, ValueError) as error:
        raise BackendUnreachable(f"qstat: unreadable: {error}: {text[:100]!r}") from error
    if root.tag != "job_info":
        raise BackendUnreachable(f"qstat: unreadable: it is about {root.tag!r}")
    for element in root.iter("job_list"):
        values = {child.tag: child.text or "" for child in element}
        _add(answer, *(values.get(name, "") for name in _NAMES))
    return answer


def _add(
    answer: Answer,
    number: str,
    owner: str,
    state: str,
    submitted: str | None,
    started: str | None,
    place: str,
    tasks: str | None,
) -> None:
    if not (_DIGITS.fullmatch(number) and state):
        answer.unreadable = answer.unreadable or f"job {number!r}, state {state!r}"
    elif states.FINISHED not in state:  # of one that has ended the accounting knows how
        queue, _, host = place.partition("@")
        row = Row(number, owner, state, queue, host, _time(submitted), _time(started), tasks or "")
        answer.rows.setdefault(number, []).append(row)


def qacct(text: str) -> Mapping[JobId, Sequence[Record]]:
    """The answer of ``qacct -j``: the runs of each job, or task, in the order of their ends.

    Raises BackendUnreachable if a record makes no sense: it may be of any job."""
    found: dict[JobId, list[Record]] = defaultdict(list)
    for values in _blocks(text):
        number, task = values.get("jobnumber", ""), values.get("taskid", "")
        failed, status = (_first(values.get(name, "")) for name in ("failed", "exit_status"))
        if not _DIGITS.fullmatch(number) or failed is None or status is None:
            raise BackendUnreachable(f"qacct: unreadable: a record of {number!r}")
        id_ = JobId(number, task if _DIGITS.fullmatch(task) else "")
        found[id_].append(
            Record(
                number=number,
                task=id_.task,
                owner=values.get("owner", ""),
                queue=values.get("qname", ""),
                host=values.get("hostname", ""),
                submitted=_time(values.get("qsub_time", "")),
                started=_time(values.get("start_time", "")),
                ended=_time(values.get("end_time", "")),
                failed=failed,
                status=status,
                cpu=_float(values.get("cpu", "")),
                memory=_bytes(values.get("maxvmem", "")),
                category=values.get("category", ""),
            )
        )
    return found


def errors(text: str) -> dict[str, str]:
    """Why jobs are in the state E, from ``qstat -j``: number -> reason."""
    found: dict[str, str] = {}
    number = ""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == "job_number":
            number = value.strip()
        elif name.startswith("error reason") and number:
            # error reason  1:   11/23/2026 09:47:02 [0:11217]: unable to find shell "/bin/x"
            found.setdefault(number, re.sub(r"^\S+ \S+ \[\d+:\d+\]: ", "", value.strip()))
    return found


def _parsed(text: str) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return ElementTree.fromstring(_CONTROL.sub("?", text))


def _blocks(text: str) -> Iterator[dict[str, str]]:
    """Name -> value of each record. A line of ``=`` begins one, but under the head of a table."""
    values: dict[str, str] | None = None
    head = False
    for line in filter(str.strip, text.splitlines()):
        if line.startswith("====="):
            if values is not None:
                yield values
            values = None if head else {}
        elif not (head := {"WALLCLOCK", "UTIME"} <= set(line.split())) and values is not None:
            name, _, value = line.partition(" ")
            values.setdefault(name, value.strip())
    if values is not None:
        yield values


def _covers(tasks: str, task: str) -> bool:
    """Whether ``1-7:2,9`` has that task."""
    wanted = int(task)
    for part in tasks.split(","):
        if (match := _TASKS.fullmatch(part.strip())) is None:
            continue
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1) or 1
        if first <= wanted <= last and (wanted - first) % step == 0:
            return True
    return False


@lru_cache(4096)  # many jobs are submitted within the same second
def _time(text: str | None) -> float | None:
    """Seconds since the epoch of ``2026-11-23T09:47:01`` (qstat), ``Mon Nov 23 09:47:01 2026``
    (qacct), and of Univa's ``11/23/2026 09:47:01.123``."""
    if not text or text == "-/-":
        return None
    for form in ("%Y-%m-%dT%H:%M:%S", "%m/%d/%Y %H:%M:%S"):
        try:
            moment = datetime.strptime(text.partition(".")[0], form).replace(tzinfo=timezone.utc)
            return moment.timestamp() or None
        except (ValueError, OverflowError):
            continue
    return jobstatus.seconds(text) or None


def _first(text: str) -> int | None:
    """The code in ``100 : assumedly after job`` and in ``137   (Killed)``."""
    word = text.split(None, 1)[0] if text.strip() else ""
    return int(word) if _DIGITS.fullmatch(word) else None


def _float(text: str) -> float | None:
    match = re.fullmatch(r"(\d{1,18}(?:\.\d{1,9})?)s?", text, re.ASCII)
    return float(match[1]) if match else None


def _bytes(text: str) -> int | None:
    match = re.fullmatch(r"(\d{1,18}(?:\.\d{1,9})?)([KMGT]?)B?", text, re.ASCII)
    return int(float(match[1]) * _UNITS[match[2]]) or None if match else None
