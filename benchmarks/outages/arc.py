"""A-REX, with jobs as processes of this host."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.outages.judge import Run
from benchmarks.outages.systems import Fault, Job, System, Work, available, each, slowed
from gangamon.domain.lane import Lane
from gangamon.domain.status import JobStatus
from tests.integration.backends import arc

SLOTS = 60

MANAGER, INTERFACE = "arex", "ws"


class ArcSystem:
    """See System."""

    #: A-REX tells how its jobs are once its information provider has been round: it is run when the
    #: last run is a minute ago, takes seconds, and its answer is read at the next.
    behind = 120.0

    def __init__(self, ce: arc.Arc) -> None:
        self._ce = ce
        self.lane = Lane("ARC", ce.url, str(ce.proxy))
        self.folder, self.slots = ce.folder, SLOTS
        self.environ = {**ce.environ, "X509_CERT_DIR": str(ce.authority.directory)}
        self.version = ce.run("/usr/sbin/arched", "--version").splitlines()[0]

    def faults(self) -> Sequence[Fault]:
        ce = self._ce
        return [
            Fault(
                "the interface killed, started again",
                partial(ce.kill, INTERFACE),
                ce.start_interface,
            ),
            Fault("all of A-REX killed, started again", self._kill, self._start),
            Fault(
                "the interface stands still",
                partial(ce.pause, INTERFACE),
                partial(ce.resume, INTERFACE),
            ),
            slowed("the interface is slow", partial(ce.signal, INTERFACE)),
            Fault("the proxy has expired", partial(self._proxy, 0), partial(self._proxy, 1)),
        ]

    def _kill(self) -> None:
        self._ce.kill(MANAGER)
        self._ce.kill(INTERFACE)

    def _start(self) -> None:
        self._ce.start_manager()
        self._ce.start_interface()

    def _proxy(self, days: int) -> None:
        self._ce.authority.proxy(self._ce.proxy, "user", days=days)

    def submit(self, works: Sequence[Work]) -> Sequence[Job]:
        found = each(lambda work: self._ce.submit(work.line), works)
        return [Job(self._ce.url_of(job.id)) for job in found]

    def cancel(self, ids: Sequence[str]) -> None:
        for id_ in ids:
            self._ce.order("kill", id_.rpartition("/")[2])

    def record(self, ids: Sequence[str]) -> Mapping[str, Sequence[Run]]:
        """The files by which A-REX knows them: when it last wrote a job's status, and its failure,
        if it did not end well."""
        return {id_: _runs(self._ce.folder / "control", id_.rpartition("/")[2]) for id_ in ids}


def _runs(control: Path, job: str) -> list[Run]:
    status, failure = control / "finished" / f"job.{job}.status", control / f"job.{job}.failed"
    grami = control / f"job.{job}.grami"
    started = grami.stat().st_mtime if grami.exists() else None
    # A-REX that is killed while it cancels a job may lose whose job it is (the subject in its
    # .local file, "Failed to get DN information"): from then on it answers 404 to the owner, and
    # no end is told that could be seen.
    local = control / f"job.{job}.local"
    lost = "subject=" not in local.read_text()
    if lost or not status.exists():
        return [Run(started, math.inf, None, lost)]
    why = failure.read_text() if failure.exists() else ""
    cancelled = re.search("cancel|kill.* by (user|client)", why, re.IGNORECASE)
    end = JobStatus.KILLED if cancelled else JobStatus.FAILED if why else JobStatus.COMPLETED
    return [Run(started, status.stat().st_mtime, end)]


@contextmanager
def running() -> Iterator[System]:
    with available(arc.missing()), arc.running(SLOTS) as ce:
        yield ArcSystem(ce)
