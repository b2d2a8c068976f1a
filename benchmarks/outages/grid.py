"""DIRAC's services, and DiracX. What happens to jobs is told as by pilots, which are not run."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from typing import Any

from benchmarks.outages.judge import Run
from benchmarks.outages.pilots import RUNS, Pilots, Told
from benchmarks.outages.systems import Fault, Job, System, Work, available, slowed
from gangamon.domain.lane import Lane
from gangamon.domain.status import JobStatus
from tests.integration.backends import dirac, diracx

SLOTS = 100

#: Seconds for which a proxy is good: one that is about to expire, and one that is not.
SHORT, LONG = 1, 86400

ENDS = {"Done": JobStatus.COMPLETED, "Failed": JobStatus.FAILED, "Killed": JobStatus.FAILED}


class DiracSystem:
    """See System."""

    behind = 0.0

    def __init__(self, site: dirac.Dirac) -> None:
        self._site = site
        self.lane = Lane("Dirac", str(site.diracosrc), site.proxy)
        self.folder, self.slots = site.folder, SLOTS
        # A user's: the source of the environment is named by the lane.
        self.environ: Mapping[str, str] = {}
        words = (str(site.python), "-c", "import DIRAC; print('DIRAC', DIRAC.version)")
        self.version = site.run(*words).splitlines()[-1]
        self.pilots = Pilots(self._tell, SLOTS)
        #: Of its hand, which does one thing at a time.
        self._hand = threading.Lock()

    def _tell(self, ids: list[int], told: Told) -> None:
        with self._hand:
            self._site.hand("status", ids, *told)

    def faults(self) -> Sequence[Fault]:
        s = self._site
        return [
            Fault("services killed, started again", s.kill_services, s.start_services),
            Fault(
                "services stand still", partial(s.pause, "services"), partial(s.resume, "services")
            ),
            slowed("services are slow", partial(s.signal, "services")),
            Fault(
                "the database stands still",
                partial(s.pause, "mariadbd"),
                partial(s.resume, "mariadbd"),
            ),
            Fault("the proxy has expired", partial(self._proxy, SHORT), partial(self._proxy, LONG)),
        ]

    def _proxy(self, seconds: int) -> None:
        fresh = f"{self._site.proxy}.new"
        with self._hand:
            self._site.make_proxy(fresh, seconds)
        os.replace(fresh, self._site.proxy)

    def submit(self, works: Sequence[Work]) -> Sequence[Job]:
        ids = self._site.jobs(len(works))
        self.pilots.execute(list(zip(ids, works, strict=True)))
        return [Job(str(id_)) for id_ in ids]

    def cancel(self, ids: Sequence[str]) -> None:
        self.pilots.kill([int(id_) for id_ in ids])

    def record(self, ids: Sequence[str]) -> Mapping[str, Sequence[Run]]:
        """JobDB's."""
        columns = "JobID, Status, StartExecTime, EndExecTime"
        rows = self._site.mariadb(f"select {columns} from JobDB.Jobs;").splitlines()[1:]
        found = {}
        for row in rows:
            job, status, started, ended = row.split("\t")
            found[job] = _runs(status, _utc(started), _utc(ended))
        return {id_: found.get(id_, []) for id_ in ids}


class DiracXSystem:
    """See System."""

    behind = 0.0

    def __init__(self, site: diracx.DiracX) -> None:
        self._site = site
        self.lane = Lane("DiracX", site.url, str(site.tokens))
        self.folder, self.slots = site.folder, SLOTS
        self.environ: Mapping[str, str] = {}
        words = (str(site.python), "-m", "pip", "show", "diracx-routers")
        self.version = " ".join(site.run(*words).split()[1:4:2])
        self.pilots = Pilots(self._tell, SLOTS)

    def _tell(self, ids: list[int], told: Told) -> None:
        # DiracX passes over what its state machine does not allow, and says nothing of it: a job
        # runs only after it was matched, and is matched only while it waits.
        if told == RUNS:
            for before in ("Waiting", "Matched"):
                self._site.status(ids, before)
        self._site.status(ids, *told)

    def faults(self) -> Sequence[Fault]:
        s = self._site
        return [
            Fault("service killed, started again", partial(s.kill, "service"), s.start_service),
            Fault(
                "service stands still", partial(s.pause, "service"), partial(s.resume, "service")
            ),
            slowed("service is slow", partial(s.signal, "service")),
            Fault(
                "its table is gone: errors",
                partial(self._rename, "Jobs", "Gone"),
                partial(self._rename, "Gone", "Jobs"),
            ),
            Fault("the tokens are good no more", self._spoil, self._login),
        ]

    def _rename(self, old: str, new: str) -> None:
        self._site.database("jobdb", f"alter table {old} rename to {new}")

    def _spoil(self) -> None:
        gone = {"access_token": "none", "refresh_token": "none", "expires_in": 0}
        self._site.write_tokens(gone)

    def _login(self) -> None:
        self._site.write_tokens(self._site.login())

    def submit(self, works: Sequence[Work]) -> Sequence[Job]:
        ids = self._site.jobs(len(works))
        self.pilots.execute(list(zip(ids, works, strict=True)))
        return [Job(str(id_)) for id_ in ids]

    def cancel(self, ids: Sequence[str]) -> None:
        self.pilots.kill([int(id_) for id_ in ids])

    def record(self, ids: Sequence[str]) -> Mapping[str, Sequence[Run]]:
        """What it answers an administrator in the end."""
        body: dict[str, Any] = {"parameters": ["JobID", "Status", "StartExecTime", "EndExecTime"]}
        given = {"json": body, "params": {"per_page": 10_000}}
        rows = self._site.ask("POST", "/jobs/search", admin=True, **given)
        found = {
            str(row["JobID"]): _runs(
                row["Status"], _utc(row["StartExecTime"]), _utc(row["EndExecTime"])
            )
            for row in rows
        }
        return {id_: found.get(id_, []) for id_ in ids}


def _runs(status: str, started: float | None, ended: float | None) -> list[Run]:
    return [Run(started, ended, ENDS.get(status))] if ended is not None else []


def _utc(text: str | None) -> float | None:
    if not text or text == "NULL":
        return None
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return at.replace(tzinfo=at.tzinfo or timezone.utc).timestamp()


@contextmanager
def dirac_running() -> Iterator[System]:
    with available(dirac.missing()), dirac.running() as site:
        system = DiracSystem(site)
        try:
            yield system
        finally:
            system.pilots.close()


@contextmanager
def diracx_running() -> Iterator[System]:
    with diracx.running() as site:
        system = DiracXSystem(site)
        try:
            yield system
        finally:
            system.pilots.close()
