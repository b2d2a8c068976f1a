"""HTCondor."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from benchmarks.outages.judge import Run
from benchmarks.outages.systems import MASTER, Fault, Job, System, Work, available, slowed
from gangamon.domain.lane import Lane
from gangamon.domain.status import JobStatus
from gangamon.settings import hostname
from tests.integration.backends import condor

#: Each job that runs has two processes of HTCondor's own, of some ten MB.
SLOTS = 40

#: Seconds for which HTCondor waits for a job whose machine is gone before it begins it anew, and a
#: job for a schedd that is gone before it is ended: 2,400 by default. The schedd has to come back
#: within it, a minute and its start later.
LEASE = 180

#: Its JobStatus in the history.
REMOVED = "3"

NAMES = (
    *("ClusterId", "ProcId", "JobStatus", "JobStartDate", "CompletionDate"),
    *("EnteredCurrentStatus", "ExitCode"),
)


class CondorSystem:
    """See System."""

    behind = 0.0

    def __init__(self, pool: condor.Condor) -> None:
        self._pool = pool
        self.lane = Lane("Condor", hostname())
        self.environ = pool.commands
        self.folder = pool.work
        self.slots = pool.slots
        self.version = pool.must("condor_version").splitlines()[0]

    def faults(self) -> Sequence[Fault]:
        p = self._pool
        return [
            Fault("schedd stopped, started again", p.stop_schedd, p.start_schedd),
            Fault(
                "schedd stands still",
                partial(p.freeze_schedd, True),
                partial(p.freeze_schedd, False),
            ),
            slowed("schedd is slow", p.signal_schedd),
            Fault("schedd refuses its user", p.refuse, partial(p.refuse, False)),
            Fault("all killed, jobs too, started again", p.kill_daemons, p.start_daemons),
        ]

    def submit(self, works: Sequence[Work]) -> Sequence[Job]:
        """In one call, as one cluster; each is its own line of a script."""
        place = self.folder / str(MASTER)
        for n in range(len(works)):
            (place / str(n) / "output").mkdir(parents=True)
            (place / str(n) / "output").chmod(0o777)
        script = self._pool.work / "script"
        lines = (f"{n}) {work.line};;" for n, work in enumerate(works))
        script.write_text("\n".join(("case $1 in", *lines, "esac", "")))
        cluster = self._pool.submit(
            "",
            f'arguments = "{script} $(Process)"',
            f"initialdir = {place}/$(Process)/output",
            f"job_lease_duration = {LEASE}",
            count=len(works),
        )
        return [Job(f"{cluster}.{n}", {"log": "condorLog"}) for n in range(len(works))]

    def cancel(self, ids: Sequence[str]) -> None:
        self._pool.must("condor_rm", *ids)

    def record(self, ids: Sequence[str]) -> Mapping[str, Sequence[Run]]:
        """The history, and the queue, in which all are that have not ended. A run that HTCondor
        began anew stands in them by its first start only."""
        found: dict[str, list[Run]] = {id_: [] for id_ in ids}
        for words in (("condor_history",), ("condor_q", "-allusers")):
            for line in self._pool.must(*words, "-af", *NAMES).splitlines():
                cluster, proc, *row = line.split()
                if f"{cluster}.{proc}" in found:
                    found[f"{cluster}.{proc}"].append(_run(*row, over=len(words) == 1))
        return found


def _run(status: str, started: str, completed: str, entered: str, code: str, *, over: bool) -> Run:
    if not over:
        return Run(None if started == "undefined" else float(started), math.inf, None)
    ended = float(entered if completed in ("0", "undefined") else completed)
    end = JobStatus.COMPLETED if code == "0" else JobStatus.FAILED
    return Run(
        None if started == "undefined" else float(started),
        ended,
        JobStatus.KILLED if status == REMOVED else end,
    )


@contextmanager
def running() -> Iterator[System]:
    memory = 512 * SLOTS
    with (
        available(condor.missing()),
        condor.running(condor.Condor(slots=SLOTS, MEMORY=memory)) as pool,
    ):
        yield CondorSystem(pool)
