"""The file ``__jobstatus__`` that Ganga's wrappers keep in a job's output directory.

Local's (Lib/Localhost/LocalHostExec.py.template, 8.7.12)::

    START: Mon Nov 23 03:09:43 2026     UTC, as it begins
    WRAPPER: 14414                      its own process, and the application's,
    PID: 14421                          together, once the application has been started
    EXITCODE: 3                         together, after the outputs were copied
    STOP: Mon Nov 23 03:09:47 2026      UTC

or, where the application cannot be started: EXITCODE -9999, FAILED (local time) and the reason.

That of the Batch backends (Lib/Batch/BatchScriptTemplate.py.template) has the batch system's own
name of the job as PID, together with START; beside it QUEUE and ACTUALCE, the node.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from datetime import datetime, timezone

from gangamon.errors import BackendUnreachable

STATUS_FILE = "__jobstatus__"

#: Bytes of a status file that are read; a true one has some hundred.
_MOST = 65536

_LINE = re.compile(r"^(START|WRAPPER|PID|QUEUE|ACTUALCE|EXITCODE|STOP): (.*)\n", re.M)
_PROBLEM = re.compile(r"^PROBLEM STARTING THE APPLICATION SCRIPT: (.*)\n", re.M)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class StatusFile:
    """What a status file says. ``modified``: its st_mtime; ``started``, ``stopped``: whole seconds
    by the clock of where it ran; all seconds since the epoch. ``job``: PID as it stands there;
    ``queue``, ``host``: only in that of a Batch backend."""

    modified: float
    started: float | None = None
    wrapper: int | None = None
    pid: int | None = None
    exit_code: int | None = None
    problem: str = ""
    stopped: float | None = None
    job: str = ""
    queue: str = ""
    host: str = ""


def read(output: str) -> StatusFile | None:
    """The status file of an output directory; None if there is none.

    A last line without its end is still being written and does not count. Raises
    BackendUnreachable if it cannot be read for any other reason than its absence.
    """
    path = os.path.join(output, STATUS_FILE)
    try:
        # Not to hang on a pipe of that name: the file belongs to the job's owner.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise BackendUnreachable(f"{path}: {error.strerror}") from error
    try:
        raw = os.read(descriptor, _MOST)
        # After the text: then it is never older than what was read.
        facts = os.fstat(descriptor)
    except OSError as error:
        raise BackendUnreachable(f"{path}: {error.strerror}") from error
    finally:
        os.close(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        raise BackendUnreachable(f"{path}: not a regular file")
    return parse(raw.decode("utf-8", "replace"), facts.st_mtime_ns / 1e9)


def parse(text: str, modified: float) -> StatusFile:
    """The facts in a status file's text. The first line of each name counts, as in Ganga."""
    lines = dict(reversed(_LINE.findall(text)))
    problem = _PROBLEM.search(text)
    return StatusFile(
        modified=modified,
        started=seconds(lines.get("START", "")),
        wrapper=_number(lines.get("WRAPPER", "")),
        pid=_number(lines.get("PID", "")),
        exit_code=_number(lines.get("EXITCODE", "")),
        problem=problem[1] if problem else "",
        stopped=seconds(lines.get("STOP", "")),
        job=lines.get("PID", ""),
        queue=lines.get("QUEUE", ""),
        host=lines.get("ACTUALCE", ""),
    )


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?\d{1,18}", text) else None


def seconds(text: str) -> float | None:
    """Seconds since the epoch of ``Mon Nov 23 03:09:43 2026``, UTC. Not by strptime, for its
    names of days and months follow the locale, and the wrapper's do not."""
    match = re.fullmatch(r"\w{3} (\w{3}) +(\d+) (\d+):(\d+):(\d+) (\d{4})", text)
    if match is None or match[1] not in _MONTHS:
        return None
    day, hour, minute, second, year = (int(match[i]) for i in range(2, 7))
    month = _MONTHS.index(match[1]) + 1
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError:
        return None
    return moment.timestamp()
