"""Slurm, with and without accounting."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from subprocess import TimeoutExpired

from benchmarks.outages.judge import Run
from benchmarks.outages.systems import Fault, Job, System, Work, available, each, seconds, slowed
from gangamon.domain.lane import Lane
from gangamon.domain.status import JobStatus
from tests.integration.backends import slurm

#: Of each of the two nodes, which have the processors of this host.
SLOTS = 40

ENDS = {"COMPLETED": JobStatus.COMPLETED, "CANCELLED": JobStatus.KILLED}
#: Runs after which Slurm begins anew, where it may.
AGAIN = ("REQUEUED", "NODE_FAIL", "PREEMPTED")

CONTROLLER = "slurmctld"

#: Seconds between an administrator's looks at nodes and queue.
LOOKS = 2.0


class SlurmSystem:
    """See System."""

    behind = 0.0

    def __init__(self, cluster: slurm.Slurm, completing: Mapping[str, float]) -> None:
        self._cluster, self._completing = cluster, completing
        self.lane = Lane("Slurm", cluster.name)
        self.environ = cluster.environ
        self.folder = cluster.folder
        self.slots = 2 * SLOTS
        self.version = cluster.run("squeue", "--version")

    def faults(self) -> Sequence[Fault]:
        c = self._cluster
        found = [
            Fault(f"{CONTROLLER} killed, started again", c.kill_controller, c.start_controller),
            self._still(CONTROLLER),
            slowed(f"{CONTROLLER} is slow", lambda n: c.daemons[CONTROLLER].send_signal(n)),
            Fault("munged killed: all are refused", c.kill_munge, c.start_munge),
        ]
        if c.accounting:
            found += [
                Fault("slurmdbd killed, started again", c.kill_database, c.start_database),
                self._still("slurmdbd"),
                Fault("both killed, started again", self._kill_both, self._start_both),
            ]
        return found

    def _still(self, name: str) -> Fault:
        freeze = partial(self._cluster.freeze, name)
        return Fault(f"{name} stands still", partial(freeze, True), partial(freeze, False))

    def _kill_both(self) -> None:
        self._cluster.kill_database()
        self._cluster.kill_controller()

    def _start_both(self) -> None:
        self._cluster.start_controller()
        self._cluster.start_database()

    def submit(self, works: Sequence[Work]) -> Sequence[Job]:
        return each(lambda work: self._cluster.submit(work.line), works)

    def cancel(self, ids: Sequence[str]) -> None:
        self._cluster.run("scancel", *ids)

    def record(self, ids: Sequence[str]) -> Mapping[str, Sequence[Run]]:
        """The file of completed jobs; but what Slurm's own queue shows as COMPLETING after that is
        not over: one that is cancelled has its end on record at once, and its node may not know."""
        found = on_record(self._cluster, ids)
        for id_, at in self._completing.items():
            if found.get(id_):
                last = found[id_][-1]
                found[id_][-1] = replace(last, ended=max(last.ended, at))
        return found


def on_record(cluster: slurm.Slurm, ids: Sequence[str]) -> dict[str, list[Run]]:
    """By the file of completed jobs that slurmctld writes."""
    found: dict[str, list[Run]] = {id_: [] for id_ in ids}
    for line in cluster.completions.read_text().splitlines():
        row = dict(re.findall(r"(\w+)=(\S*)", line))
        if row["JobId"] in found:
            found[row["JobId"]].append(_run(row))
    return found


def _run(row: Mapping[str, str]) -> Run:
    form = "%Y-%m-%dT%H:%M:%S"
    state = row["JobState"]
    begun = row["StartTime"] not in ("Unknown", "None")
    status = None if state in AGAIN else ENDS.get(state, JobStatus.FAILED)
    started = seconds(row["StartTime"], form) if begun else None
    return Run(started, seconds(row["EndTime"], form), status)


@contextmanager
def plain(accounting: bool = False) -> Iterator[System]:
    needed = {**slurm.NEEDED, **(slurm.ACCOUNTING if accounting else {})}
    name = "accounted" if accounting else "plain"
    with (
        available(slurm.missing(needed)),
        slurm.running(slurm.Slurm(name, accounting=accounting, slots=SLOTS, looks=60)) as cluster,
        _administrator(cluster) as completing,
    ):
        yield SlurmSystem(cluster, completing)


@contextmanager
def _administrator(cluster: slurm.Slurm) -> Iterator[Mapping[str, float]]:
    """Gives nodes back that Slurm takes out of service, as somebody does on a site, and says so.
    And job -> when the queue last showed it as COMPLETING.

    A slurmctld that is killed forgets which jobs it has just started, and starts them again; slurmd
    refuses ("already running, do not launch second copy"), and its node is drained for that (Slurm
    22.05.8, slurmctld/proc_req.c:2302, "batch job complete failure", agent.c:808, "Duplicate
    jobid").
    """
    completing: dict[str, float] = {}
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOKS):
            with suppress(TimeoutExpired):
                asked = time.time()
                completing.update(dict.fromkeys(cluster.completing(), asked))
                for node, reason in cluster.drained().items():
                    print(f"node {node} is given back: {reason}", flush=True)
                    cluster.resume(node)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield completing
    finally:
        over.set()
        thread.join()


@contextmanager
def accounted() -> Iterator[System]:
    with plain(accounting=True) as system:
        yield system
