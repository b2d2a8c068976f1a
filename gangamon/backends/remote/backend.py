"""Ganga's Remote: a Ganga on another host has the job, and submits it there (Lib/Remote/Remote.py,
8.7.12). Ganga itself starts that Ganga for each look and reads a pickle; here the status files of
its wrappers (``jobstatus.py``) are read in its workspace, by one script for all jobs of a query.

=============  =====================================================  ==========================
native status  seen                                                   meaning
=============  =====================================================  ==========================
waiting        no file, and the output directory is there             submitted
starting       a file without a PID                                   submitted
running        PID                                                    running
done           EXITCODE 0                                             completed
exited         EXITCODE other than 0                                  failed
not started    EXITCODE -9999                                         failed
gone           the wrapper has ended without an EXITCODE              failed
(Absent)       no such job there; or it has not begun, and the
               process that was to start it does not live
=============  =====================================================  ==========================

Processes are judged only of the host that the far Local backend named (``actualCE``), and only if
that host itself answers: behind one name there may be many.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from gangamon import ssh
from gangamon.backends.examine import commands, fault
from gangamon.backends.jobstatus import STATUS_FILE
from gangamon.backends.local import NOT_STARTED
from gangamon.backends.remote import look
from gangamon.backends.remote.look import Found, Where
from gangamon.domain.cadence import Cadence
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Seen, Unreachable
from gangamon.domain.status import JobStatus
from gangamon.errors import BackendUnreachable, BadInput, TransientError
from gangamon.protocols import FAIL, OK, Finding, Limits, PollItem
from gangamon.ssh import Host, Ssh


class RemoteBackend:
    """The lane's endpoint is ``USER@HOST:PORT``, as in the Ganga job. ``extra`` of an item:
    ``workspace`` (the directory of the job's own directory there), ``ssh_key``, ``host`` and
    ``wrapper_pid`` (of the far Local backend, where it is that). ``native_id``: Ganga's
    ``remote_job_id``."""

    name = "Remote"

    def __init__(self) -> None:
        # Nothing there forgets; a look costs the host some 0.1 ms a job, and one session.
        self.limits = Limits(
            jobs=2000,
            timeout=60.0,
            slots=1,
            endpoint_slots=2,
            rate=0.5,
            burst=5,
            cadence=Cadence(floor=10.0, cap=120.0),
        )

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """See Backend. Unreachable: a job whose workspace is not there, or cannot be read."""
        answers: dict[str, Observation] = {}
        asked: dict[str, list[tuple[PollItem, Where]]] = defaultdict(list)
        for item in items:
            where = _where(item)
            if where is None:
                answers[item.key] = Absent(STATUS_FILE)  # there is no such job
            elif not where.fit():
                answers[item.key] = Unreachable(f"not a directory to ask for: {where.directory!r}")
            else:
                asked[str(item.extra.get("ssh_key") or "")].append((item, where))
        errors: list[TransientError] = []
        for key, jobs in asked.items():
            try:
                answers.update(self._ask(lane, key, jobs))
            except TransientError as error:
                errors.append(error)
                answers.update({item.key: Unreachable(str(error)) for item, _ in jobs})
        told = [answer for answer in answers.values() if isinstance(answer, Unreachable)]
        if told and len(told) == len(items):
            raise errors[0] if errors else BackendUnreachable(told[0].reason)
        return answers

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """There is none: the wrapper's file is all there is. It is read once more."""
        return {
            key: Absent(STATUS_FILE, second=True) if isinstance(answer, Absent) else answer
            for key, answer in self.poll(lane, items).items()
        }

    def doctor(self, lane: Lane) -> Iterator[Finding]:
        """See Examined."""
        found = list(commands(("ssh",)))
        yield from found
        if found[0].level == FAIL:
            return
        yield Finding("version", OK, ssh.version())
        begun = time.monotonic()
        try:
            far, _ = look.parse(_ssh(lane, "").run(look.script(()), self.limits.timeout), 0)
        except (TransientError, BadInput) as error:
            yield fault("query", error)
            return
        took = 1000 * (time.monotonic() - begun)
        yield Finding("query", OK, f"{far} answered in {took:.0f} ms, with the connection")

    def _ask(
        self, lane: Lane, key: str, jobs: Sequence[tuple[PollItem, Where]]
    ) -> dict[str, Observation]:
        text = _ssh(lane, key).run(look.script([where for _, where in jobs]), self.limits.timeout)
        far, found = look.parse(text, len(jobs))
        return {item.key: _meaning(far, where, found[n]) for n, (item, where) in enumerate(jobs)}


def _ssh(lane: Lane, key: str) -> Ssh:
    return Ssh(Host.parse(lane.endpoint), key)


def _where(item: PollItem) -> Where | None:
    """None: nothing says where it could be."""
    top, id_ = item.extra.get("workspace"), item.native_id
    if not isinstance(top, str) or not top or not id_.isdecimal():
        return None
    pid = item.extra.get("wrapper_pid")
    host = str(item.extra.get("host") or "")
    # A host that cannot resolve itself calls itself so, and so does the next one.
    known = host.partition(".")[0] not in ("", "localhost")
    return Where(f"{top.rstrip('/')}/{id_}", host if known else "", pid if type(pid) is int else 0)


def _meaning(far: str, where: Where, found: Found) -> Observation:
    file = found.file
    if found.state == "away":
        return Unreachable(f"{where.directory}: cannot be read on {far}, or is not mounted")
    if found.state == "none":
        return Absent(STATUS_FILE)
    if file is None:
        return Seen("waiting", JobStatus.SUBMITTED, STATUS_FILE, site=where.host or far)
    status, reason, source = JobStatus.RUNNING, "", STATUS_FILE
    if file.exit_code is None and found.state == "dead":
        if file.wrapper is None:
            return Absent(STATUS_FILE)
        native, status, source = "gone", JobStatus.FAILED, "process table"
        reason = f"the job's wrapper process {file.wrapper} ended without reporting an exit code"
    elif file.exit_code is None and file.pid is None:
        native, status = "starting", JobStatus.SUBMITTED
    elif file.exit_code is None:
        native = "running"
    elif file.exit_code == 0:
        native, status = "done", JobStatus.COMPLETED
    elif file.exit_code == NOT_STARTED:
        native, status = "not started", JobStatus.FAILED
        reason = f"the application could not be started: {file.problem}".rstrip(": ")
    else:
        native, status = "exited", JobStatus.FAILED
        reason = f"the application ended with exit code {file.exit_code}"
    return Seen(
        native,
        status,
        source,
        site=where.host or far,
        started_at=file.started,
        ended_at=file.stopped,
        exit_code=file.exit_code,
        reason=reason,
        attributes={} if file.exit_code is None else {"exitcode": file.exit_code},
    )
