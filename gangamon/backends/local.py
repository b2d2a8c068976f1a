"""Ganga's own Local backend: jobs as processes of the host of the session.

Each job has a wrapper process, which keeps a status file (``jobstatus.py``). The wrappers of the
subjobs of a master job are started by one batch wrapper (LocalHostExec_batch.py.template, 8.7.12).

=============  =====================================================  ==========================
native status  seen                                                   meaning
=============  =====================================================  ==========================
waiting        no file, and the batch wrapper lives                   submitted
starting       a file without a PID                                   submitted
running        PID                                                    running
done           EXITCODE 0                                             completed
exited         EXITCODE other than 0                                  failed
not started    EXITCODE -9999                                         failed
gone           PID, and the wrapper has ended without an EXITCODE     failed
(Absent)       no file, and no batch wrapper is known to live;
               or a file without a PID, and the batch wrapper ended
=============  =====================================================  ==========================

Processes are judged only on the host that the lane names as its endpoint, and in its own process
namespace: a worker in a container of its own must not carry the name of the host.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from gangamon.backends.jobstatus import STATUS_FILE, StatusFile, read
from gangamon.backends.processes import alive, is_this_host
from gangamon.backends.statusnews import StatusNews
from gangamon.domain.cadence import Cadence
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Scalar, Seen, Unreachable
from gangamon.domain.status import JobStatus
from gangamon.errors import BackendUnreachable
from gangamon.protocols import OK, WARN, Finding, Limits, News, PollItem

log = logging.getLogger(__name__)

SOURCE = "local"

#: What the wrapper writes when the application cannot be started.
NOT_STARTED = -9999

#: Every command line of Ganga's Local wrappers holds this (Localhost.py ``run``).
_SCRIPT = "__jobscript__"


class LocalBackend:
    """Reads the status files, and looks after the wrappers on this host.

    ``extra`` of an item: ``wrapper_pid``, the batch wrapper of its master job, if known.
    """

    name = "Local"
    every = 0.2

    def __init__(self) -> None:
        # A query reads one small file for each job, some 50 us of this host's own CPU, and the
        # files forget nothing: hundreds of jobs are asked about every second however quiet they
        # are, tens of thousands as often as a fifth of one core bears.
        cadence = Cadence(floor=1.0, cap=60.0, growth=1.0)
        self.limits = Limits(jobs=5000, timeout=30.0, slots=1, cadence=cadence)
        self._news = StatusNews()
        #: Keys of jobs of which the log has it that they cannot be read: once, not every second.
        self._told: set[str] = set()

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """See Backend. A job is Unreachable where something cannot be read for another reason
        than that it has no such file: nothing is learnt about it, and it holds up no other. Raises
        BackendUnreachable where all are, or the time is up."""
        query = _Query(lane)
        deadline = time.monotonic() + self.limits.timeout
        answers: dict[str, Observation] = {}
        unreadable: dict[str, BackendUnreachable] = {}
        for item in items:
            if time.monotonic() > deadline:
                took = f"the status files took more than {self.limits.timeout:.0f} s"
                raise BackendUnreachable(f"{took}, at {item.output}")
            try:
                answers[item.key] = query.ask(item)
            except BackendUnreachable as error:
                answers[item.key] = Unreachable(str(error))
                unreadable[item.key] = error
        if unreadable and len(unreadable) == len(answers):
            raise next(iter(unreadable.values()))
        for key in unreadable.keys() - self._told:
            log.warning("job %s: nothing is learnt: %s", key, unreadable[key])
        self._told -= answers.keys() - unreadable.keys()
        self._told |= unreadable.keys()
        return answers

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """There is none: Ganga's Local keeps nothing of a job but what ``poll`` reads. That is
        read once more, so that a file which came meanwhile is not missed."""
        again = self.poll(lane, items)
        return {
            key: Absent(SOURCE, second=True) if isinstance(answer, Absent) else answer
            for key, answer in again.items()
        }

    def changed(self, lane: Lane, items: Sequence[PollItem], position: str) -> News:
        """See Push: status files that were written. A wrapper that dies writes nothing."""
        return self._news.changed(items, position)

    def doctor(self, lane: Lane) -> Iterator[Finding]:
        """See Examined."""
        if is_this_host(lane.endpoint):
            yield Finding("host", OK, f"{lane.endpoint}: its processes are looked after here")
        else:
            text = f"{lane.endpoint} is not this host: only status files are read, no processes"
            yield Finding("host", WARN, text, f"let gangamon run on {lane.endpoint}")
        try:
            with open("/proc/1/stat", "rb"):
                yield Finding("processes", OK, "every user's can be seen")
        except OSError as error:
            text = f"other users' are hidden (/proc/1/stat: {error.strerror})"
            yield Finding("processes", WARN, text, "only jobs of the worker's own user are sure")


class _Process(NamedTuple):
    """A process a job depends on. Fields as the arguments of ``alive``."""

    pid: int
    script: str
    began: float | None


class _Query:
    """One poll. Each process and each directory of master jobs is looked at once."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._here = is_this_host(lane.endpoint)
        self._lives: dict[_Process, bool] = {}
        self._tops: set[str] = set()

    def ask(self, item: PollItem) -> Observation:
        ended: _Process | None = None
        while True:
            found = read(item.output)
            process = self._process(item, found)
            if process is None or process == ended or self._alive(process):
                break
            # It may have written after the file was read and before its end was seen. After its
            # end it writes no more: read once more.
            ended = process
        if found is None:
            self._require_top(item)
        if process is not None and process == ended:
            # The wrapper of a subjob outlives a batch wrapper that was killed: where that one
            # is all we know, this is an absence and not the end of the job.
            known = found is not None and found.wrapper is not None
            return _gone(self._lane, found) if known and found else Absent(SOURCE)
        if found is None and process is None:
            return Absent(SOURCE)
        return _meaning(self._lane, found)

    def _process(self, item: PollItem, found: StatusFile | None) -> _Process | None:
        """The process that has to live for the job to go on, where it is known and is here."""
        if not self._here:
            return None
        if found is not None and (found.exit_code is not None or found.pid is not None):
            if found.exit_code is not None or found.wrapper is None:
                return None
            if found.started is None:  # then only the kind of process can be told
                return _Process(found.wrapper, _SCRIPT, None)
            script = os.path.join(os.path.dirname(item.output.rstrip("/")), "input", _SCRIPT)
            return _Process(found.wrapper, script, found.started)
        batch = item.extra.get("wrapper_pid")
        return _Process(batch, _SCRIPT, None) if type(batch) is int else None

    def _alive(self, process: _Process) -> bool:
        if process not in self._lives:
            self._lives[process] = alive(*process)
        return self._lives[process]

    def _require_top(self, item: PollItem) -> None:
        """A home that is not mounted must not fail jobs: BackendUnreachable, unless the directory
        of all master jobs is there and holds something, so that only this job's is missing."""
        top = item.output.rstrip("/")
        for _ in range(3 if "." in item.fqid else 2):
            top = os.path.dirname(top)
        if top in self._tops:
            return
        try:
            with os.scandir(top) as entries:
                empty = next(entries, None) is None
        except OSError as error:
            raise BackendUnreachable(f"{top}: {error.strerror}") from error
        if empty:
            raise BackendUnreachable(f"{top}: empty, though it must hold the job {item.fqid}")
        self._tops.add(top)


def _meaning(lane: Lane, found: StatusFile | None) -> Seen:
    if found is None:
        return Seen("waiting", JobStatus.SUBMITTED, "process table", site=lane.endpoint)
    if found.exit_code is None:
        native = "starting" if found.pid is None else "running"
        status = JobStatus.SUBMITTED if found.pid is None else JobStatus.RUNNING
        return _seen(lane, found, native, status)
    if found.exit_code == 0:
        return _seen(lane, found, "done", JobStatus.COMPLETED)
    if found.exit_code == NOT_STARTED:
        why = f"the application could not be started: {found.problem}".rstrip(": ")
        return _seen(lane, found, "not started", JobStatus.FAILED, why)
    why = f"the application ended with exit code {found.exit_code}"
    return _seen(lane, found, "exited", JobStatus.FAILED, why)


def _gone(lane: Lane, found: StatusFile) -> Seen:
    why = f"the job's wrapper process {found.wrapper} ended without reporting an exit code"
    return _seen(lane, found, "gone", JobStatus.FAILED, why, source="process table")


def _seen(
    lane: Lane,
    found: StatusFile,
    native: str,
    status: JobStatus,
    reason: str = "",
    source: str = STATUS_FILE,
) -> Seen:
    facts = {"id": found.pid, "wrapper_pid": found.wrapper, "exitcode": found.exit_code}
    attributes: dict[str, Scalar] = {k: v for k, v in facts.items() if v is not None}
    # STOP counts whole seconds, and lag is measured in less; the line is the last thing written,
    # so the file's own time is that of the end.
    ended = found.modified if found.exit_code is not None else None
    return Seen(
        native,
        status,
        source,
        site=lane.endpoint,
        started_at=found.started,
        ended_at=ended,
        exit_code=found.exit_code,
        reason=reason,
        attributes=attributes,
    )
