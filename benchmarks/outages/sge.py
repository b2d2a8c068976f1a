"""Son of Grid Engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from benchmarks.outages.judge import Run
from benchmarks.outages.systems import Fault, Job, System, Work, available, each, seconds, slowed
from gangamon.domain.lane import Lane
from gangamon.domain.status import JobStatus
from tests.integration.backends import sge

SLOTS = 100

QMASTER = "sge_qmaster"


class SgeSystem:
    """See System."""

    behind = 0.0

    def __init__(self, engine: sge.GridEngine) -> None:
        self._engine = engine
        self.lane = Lane("SGE", "gm")
        self.environ = engine.environ
        self.folder = engine.folder
        self.slots = engine.slots
        self.version = engine.run("qconf", "-help").splitlines()[0]

    def faults(self) -> Sequence[Fault]:
        e = self._engine
        return [
            Fault(f"{QMASTER} killed, started again", e.kill_master, e.start_master),
            Fault(f"{QMASTER} stands still", e.stop_master, e.let_master_go_on),
            slowed(f"{QMASTER} is slow", lambda n: e.signal(QMASTER, n)),
        ]

    def submit(self, works: Sequence[Work]) -> Sequence[Job]:
        return each(lambda work: self._engine.submit(work.line), works)

    def cancel(self, ids: Sequence[str]) -> None:
        self._engine.run("qdel", *ids)

    def record(self, ids: Sequence[str]) -> Mapping[str, Sequence[Run]]:
        """The accounting file, which has a job's record as it ends."""
        found: dict[str, list[Run]] = {id_: [] for id_ in ids}
        for block in self._engine.run("qacct", "-j").split("=" * 62):
            lines = (line.split(None, 1) for line in block.strip().splitlines())
            row = {words[0]: words[1].strip() for words in lines if len(words) == 2}
            if row.get("jobnumber") in found:
                found[row["jobnumber"]].append(_run(row))
        return found


def _run(row: Mapping[str, str]) -> Run:
    well = row["failed"].split()[0] == "0" and row["exit_status"].split()[0] == "0"
    # One that was deleted while it ran has the record of any that was ended by SIGKILL.
    status = JobStatus.COMPLETED if well else JobStatus.FAILED
    started, ended = (_seconds(row[name]) for name in ("start_time", "end_time"))
    # A run that could not begin is none: Grid Engine tries again.
    return Run(started, ended or 0.0, status if started and ended else None)


def _seconds(text: str) -> float | None:
    return None if text == "-/-" else seconds(text, "%a %b %d %H:%M:%S %Y")


@contextmanager
def running() -> Iterator[System]:
    with available(sge.missing()), sge.running(sge.GridEngine(slots=SLOTS)) as engine:
        yield SgeSystem(engine)
