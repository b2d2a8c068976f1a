"""What squeue, sacct and scontrol print (Slurm 22.05 to 24.11), as rows.

Asked for with ``SLURM_TIME_FORMAT=%s``, so that times are seconds since the epoch; for a version
that does not heed it with ``TZ=UTC``, so that its own format is UTC.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import lru_cache
from typing import NamedTuple

from gangamon.backends.slurm.states import STATES, state
from gangamon.domain.status import FINAL

#: Fields of ``squeue -O``. The directory comes last: it may hold anything.
SQUEUE = (
    *("JobArrayID", "JobID", "UserName", "State", "exit_code", "RestartCnt"),
    *("StartTime", "EndTime", "Partition", "BatchHost", "Reason", "WorkDir"),
)

#: Fields of ``sacct -o``.
SACCT = (
    *("JobID", "JobIDRaw", "User", "State", "ExitCode", "Submit"),
    *("Start", "End", "Partition", "NodeList", "TotalCPU", "MaxRSS", "WorkDir"),
)

_ID = re.compile(r"(\d{1,20})(?:_(\d{1,20})|\+(\d{1,20}))?(?:;([A-Za-z0-9_.-]+))?", re.ASCII)
#: The same without a cluster, and the tasks of an array that have not begun as one line.
_NAME = re.compile(r"\d{1,20}(?:[_+]\d{1,20}|_\[[^|]*\])?", re.ASCII)
_DIGITS = re.compile(r"\d{1,18}", re.ASCII)
_NOTHING = frozenset({"", "N/A", "n/a", "NONE", "None", "None assigned", "Unknown", "(null)"})
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}


class JobId(NamedTuple):
    """``123``, a task ``123_4`` of an array, a component ``123+1`` of a heterogeneous job; with
    ``;cluster`` as ``sbatch --parsable`` prints it. ``name``: without the cluster."""

    name: str
    base: str
    cluster: str = ""

    @classmethod
    def parse(cls, text: str) -> JobId | None:
        """None: no id of Slurm's."""
        if _DIGITS.fullmatch(text):
            return cls(text, text)
        match = _ID.fullmatch(text)
        if match is None:
            return None
        return cls(text.partition(";")[0], match[1], match[4] or "")


@dataclass(slots=True)  # frozen it would take twice as long to make, for each of 10,000 jobs
class Row:
    """One job of an answer. ``name``: as in JobId; ``raw``: its own number. ``code``, ``signal``:
    what its script ended with, None: not told. ``started``, ``ended``: seconds since the epoch,
    for a job that has not got there the expected ones. ``memory``: bytes at most, ``cpu``: seconds,
    None: not told. ``restarts``: how often Slurm has started it over. ``folder``: the directory in
    which it was submitted."""

    name: str
    raw: str
    user: str
    state: str
    code: int | None
    signal: int
    started: float | None
    ended: float | None
    partition: str
    host: str
    reason: str = ""
    restarts: int = 0
    folder: str = ""
    cpu: float | None = None
    memory: int | None = None

    @property
    def over(self) -> bool:
        return STATES.get(self.state) in FINAL


@dataclass
class Answer:
    """``unreadable``: the first line that makes no sense: jobs may be in such lines."""

    unreadable: str = ""
    _rows: dict[str, Row] = field(default_factory=dict)
    _tasks: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))

    def add(self, row: Row) -> None:
        self._rows[row.name] = row
        base, sign, _ = row.name.partition("_")
        if sign:
            self._tasks[base].append(row)

    def find(self, id_: JobId) -> Row | None:
        """The row of this job; of a heterogeneous one without a component that of its leader,
        which runs the script. None also for an array as a whole."""
        return self._rows.get(id_.name) or self._rows.get(f"{id_.name}+0")

    def tasks(self, id_: JobId) -> Sequence[Row]:
        """Those of an array as a whole."""
        return self._tasks.get(id_.name, ())


def squeue(text: str) -> Answer:
    """The answer of ``squeue -h -r -O``, with ``|`` after each field."""
    answer = Answer()
    for values in _lines(text, len(SQUEUE), answer, ends="|"):
        name, raw, user, native, status, restarts, start, end, partition, host, reason, cwd = values
        if not (_NAME.fullmatch(name) and native and restarts.isdecimal()):
            answer.unreadable = answer.unreadable or "|".join(values)
            continue
        code, signal = _wait_status(status)
        answer.add(
            Row(
                name=name,
                raw=raw,
                user=user,
                state=state(native),
                code=code,
                signal=signal,
                started=_time(start),
                ended=_time(end),
                partition=_text(partition),
                host=_text(host),
                reason=_text(reason),
                restarts=int(restarts),
                folder=_text(cwd),
            )
        )
    return answer


def sacct(text: str, users: Iterable[str] = ()) -> Answer:
    """The answer of ``sacct -n -P -D``: the latest run of each job, those before it counted. A job
    that was submitted elsewhere is another with the same number: the later one counts.

    Only jobs of ``users``, if any are named."""
    answer, wanted = Answer(), frozenset(users)
    runs: dict[str, list[tuple[float, Row]]] = defaultdict(list)
    memory: dict[str, int] = {}
    for values in _lines(text, len(SACCT), answer):
        name, raw, user, native, status, submit, *values = values
        start, end, partition, nodes, cpu, rss, cwd = values
        job, _, step = name.partition(".")
        if step:
            memory[job] = max(memory.get(job, 0), _bytes(rss) or 0)
        elif not (_NAME.fullmatch(name) and native):
            answer.unreadable = answer.unreadable or name
        elif not wanted or user in wanted:
            code, _, signal = status.partition(":")
            row = Row(
                name=name,
                raw=raw,
                user=user,
                state=state(native),
                code=_number(code),
                signal=_number(signal) or 0,
                started=_time(start),
                ended=_time(end),
                partition=_text(partition),
                host=_text(nodes),
                cpu=_cpu(cpu),
                folder=_text(cwd),
            )
            runs[name].append((_time(submit) or 0.0, row))
    for name, found in runs.items():
        # The sort keeps the order of runs of the same second.
        _, row = sorted(found, key=lambda run: run[0])[-1]
        before = sum(run.folder == row.folder for _, run in found) - 1
        answer.add(replace(row, restarts=before, memory=memory.get(name) or None))
    return answer


def config(text: str) -> dict[str, str]:
    """The answer of ``scontrol show config``: name -> value, '' for ``(null)``."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    stripped = ((name.strip(), value.strip()) for name, _, value in pairs)
    return {name: "" if value == "(null)" else value for name, value in stripped}


def _lines(text: str, fields: int, answer: Answer, ends: str = "") -> Iterator[list[str]]:
    if text and not text.endswith("\n"):
        answer.unreadable = text[text.rfind("\n") + 1 :][:200]
    for line in text.split("\n")[:-1]:
        if not line.strip() or line.startswith("CLUSTER: "):  # with -M
            continue
        values = line.removesuffix(ends).split("|", fields - 1)
        if " " in line:
            values = [value.strip() for value in values]
        if len(values) == fields:
            yield values
        else:
            answer.unreadable = answer.unreadable or line[:200]


def _text(value: str) -> str:
    return "" if value in _NOTHING else value


def _number(text: str) -> int | None:
    return int(text) if _DIGITS.fullmatch(text) else None


@lru_cache(1024)
def _wait_status(text: str) -> tuple[int | None, int]:
    """Exit code and signal in ``exit_code``, which squeue prints as wait(2) gives it."""
    number = _number(text)
    if number is None or number > 0xFFFF:
        return None, 0
    return number >> 8, number & 0x7F


def _time(text: str) -> float | None:
    if text in _NOTHING:  # of each job that waits: to find out by strptime takes 10 us
        return None
    if (number := _number(text)) is not None:
        return float(number) or None
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc).timestamp()
    except (ValueError, OverflowError):
        return None


def _cpu(text: str) -> float | None:
    """Seconds of ``[DD-[HH:]]MM:SS[.mmm]``."""
    match = re.fullmatch(r"(?:(\d{1,6})-)?(?:(\d{1,6}):)?(\d{1,6}):(\d+(?:\.\d+)?)", text, re.ASCII)
    if match is None:
        return None
    days, hours, minutes = (int(match[i] or 0) for i in (1, 2, 3))
    return days * 86400 + hours * 3600 + minutes * 60 + float(match[4])


def _bytes(text: str) -> int | None:
    match = re.fullmatch(r"(\d{1,18}(?:\.\d{1,9})?)([KMGTP]?)", text, re.ASCII)
    return int(float(match[1]) * _UNITS[match[2]]) if match else None
