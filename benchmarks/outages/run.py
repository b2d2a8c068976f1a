"""``python -m benchmarks outages``: a real batch system is taken away from 500 jobs that run.

For each system: jobs of all kinds in waves (exit 0, exit 3, a signal, cancelled by their user) are
watched by a real service with real workers, while one fault follows the other; between them the
system is well for a while. At the end the update stream is held against the server's own record:
nothing untrue was said at any moment, nothing is left unsaid, and two intervals after the server
was back everything was right that had happened until then.

The jobs are only observed (nothing is fetched): what is judged is what the polls say of them.
"""

from __future__ import annotations

import getpass
import itertools
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.outages import arc, condor, grid, remote, sge, slurm
from benchmarks.outages.judge import (
    BOUND,
    Outage,
    Run,
    Said,
    early,
    going,
    hidden,
    last,
    lost,
    settled,
    unsaid,
    untruths,
)
from benchmarks.outages.systems import MASTER, Fault, Job, System, Work
from benchmarks.support import Service, Verdict, parser, until
from gangamon import backends, settings
from gangamon.client import Client
from gangamon.domain.command import BATCH_SIZE, Enqueue, JobSpec, Register
from gangamon.domain.status import FINAL, RANK, JobStatus
from gangamon.protocols import LaneRecord, Master

#: Name -> a running one. LookupError: what is not installed.
SYSTEMS = {
    "Slurm": slurm.plain,
    "Slurm+accounting": slurm.accounted,
    "SGE": sge.running,
    "Condor": condor.running,
    "ARC": arc.running,
    "Dirac": grid.dirac_running,
    "DiracX": grid.diracx_running,
    "Remote": remote.running,
}

OWNER = getpass.getuser()

#: Of the lane, seconds: that of Slurm and SGE by default; others are asked less often. Its longest
#: is as many times longer as by default.
INTERVAL = 20.0

#: Seconds for which a fault lasts; intervals for which the system is well before one, and after
#: it: a little more than those in which everything has to be right.
LASTS, BEFORE, AFTER = 60.0, 1.0, 2.25

#: Seconds, about, until jobs run; and the most that it may take until half of the slots are taken.
STARTS, LATEST = 60.0, 300.0

#: The jobs run one after the other in so many waves, at least.
WAVES = 5

#: Jobs that are left when the server is asked, each second, whether their end will ever come.
FEW = 5

#: Of this many jobs one ends with exit code 3, one by a signal; and as many as these are cancelled:
#: the first, for they must run by then (SGE has no record of a job that was deleted before).
EACH = 20


def main(argv: list[str]) -> int:
    options = parser("outages")
    options.add_argument("--only", default="", help=f"of {', '.join(SYSTEMS)}; default: all")
    options.add_argument("--jobs", type=int, default=500)
    options.add_argument("--fault", default="", help="only those with one of A,B in their names")
    given = options.parse_args(argv)
    wanted = given.only.split(",") if given.only else list(SYSTEMS)
    if strange := [name for name in wanted if name not in SYSTEMS]:
        options.error(f"--only: got {strange[0]!r}; accepted: {', '.join(SYSTEMS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends what was started
    verdict = Verdict()
    for name in wanted:
        try:
            with SYSTEMS[name]() as system:
                lasts = LASTS / 3 if given.quick else LASTS
                parts = given.fault.split(",")
                faults = [f for f in system.faults() if any(part in f.name for part in parts)]
                _measure(name, system, faults, given.jobs, lasts, verdict)
        except LookupError as missing:
            print(f"{name}: not run: not installed: {missing}")
            verdict.missed += bool(given.only)
    return verdict.end(given.json)


def _measure(
    name: str,
    system: System,
    faults: Sequence[Fault],
    count: int,
    lasts: float,
    verdict: Verdict,
) -> None:
    print(f"\n{name}: {system.version}, {count} jobs, {system.slots} at the same time", flush=True)
    cadence = backends.load(system.lane.backend).limits.cadence
    longest = INTERVAL * cadence.cap / cadence.floor
    toml = f"[backends.{system.lane.backend}]\nfloor = {INTERVAL}\ncap = {longest}\n"
    with tempfile.TemporaryDirectory(prefix="gm-bench-") as place:
        folder = Path(place)
        variables = {
            **system.environ,
            "GANGAMON_OWNER": OWNER,
            "GANGAMON_ROOTS": str(system.folder),
        }
        with Service(toml, variables=variables) as service:
            queues = {kind: (f"{kind}.{OWNER}", 2) for kind in ("transfer", "merge")}
            service.workers(
                {"tick": ("tick", 2), "poll": (f"poll.{system.lane.backend}", 4), **queues}
            )
            watch = _Watch(service, system, folder)
            works = _works(count, faults, min(system.slots, count // WAVES), lasts)
            begun = time.monotonic()
            jobs = system.submit(works)
            watch.enqueue(jobs)
            half = min(system.slots, count) // 2
            until(lambda: watch.begun() >= half, LATEST, f"{half} jobs have begun", pause=1.0)
            took = time.monotonic() - begun
            verdict.note(f"{name}: from the first submission until {half} run", took, "s")
            outages = watch.suffer(faults, lasts, _portions(jobs, len(faults)))
            ids = [job.id for job in jobs]

            def over() -> bool:
                left = watch.left()
                return not left or (left <= FEW and left <= lost(system.record(ids)))

            with suppress(TimeoutError):  # who has no end by then is told below
                until(over, 900, "all jobs have ended", pause=1.0)
            said, told = watch.said(jobs), service.said("poll")
    record = system.record(ids)
    _report(name, system.behind, said, record, outages, watch.errors, verdict)
    print(f"{name}: queries that failed: {told.count('could not be asked')}", flush=True)


def _works(count: int, faults: Sequence[Fault], slots: int, lasts: float) -> list[Work]:
    """So long that the last ends after the last fault."""
    whole = STARTS + len(faults) * (lasts + (BEFORE + AFTER) * INTERVAL)
    mean = max(10.0, whole * slots / count)
    spread = itertools.cycle((0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6))
    codes = {0: 3, 1: -9}
    return [
        Work(10 * whole if n < count // EACH else mean * next(spread), codes.get(n % EACH, 0))
        for n in range(count)
    ]


def _portions(jobs: Sequence[Job], faults: int) -> list[list[str]]:
    """The jobs that are cancelled just before each fault."""
    ids = [job.id for job in jobs[: len(jobs) // EACH]]
    return [ids[n::faults] for n in range(faults)]


class _Watch:
    """One service, and the jobs that it watches."""

    def __init__(self, service: Service, system: System, folder: Path) -> None:
        environment = {
            "GANGAMON_REDIS_URL": service.url,
            "GANGAMON_OWNER": OWNER,
            "GANGAMON_STATE_DIR": str(folder / "state"),
        }
        self._service, self._system = service, system
        self._client = Client(settings.load(environment), folder / "spool")
        self._repository = Client.new_id()
        #: Fault -> what the lane said was wrong, and how often it had failed in a row.
        self.errors: dict[str, tuple[str, int]] = {}

    def enqueue(self, jobs: Sequence[Job]) -> None:
        self._send(Register(Client.new_id(), self._repository, (str(self._system.folder),)))
        for first in range(0, len(jobs), BATCH_SIZE):
            specs = (
                JobSpec(first + n, 1, JobStatus.SUBMITTED, job.id, job.extra)
                for n, job in enumerate(jobs[first : first + BATCH_SIZE])
            )
            self._send(
                Enqueue(
                    *(Client.new_id(), self._repository, MASTER, len(jobs), "outages"),
                    *(self._system.lane, str(self._system.folder / str(MASTER)), (), tuple(specs)),
                    observe=True,
                )
            )

    def _send(self, command: Register | Enqueue) -> None:
        ack = self._client.wait(self._client.submit(command), self._repository, 120.0)
        assert ack is not None and ack.ok, ack

    def suffer(
        self, faults: Sequence[Fault], lasts: float, cancelled: Sequence[Sequence[str]]
    ) -> list[Outage]:
        """The faults one after the other."""
        outages = []
        for fault, some in zip(faults, cancelled, strict=True):
            until(self._well, 900, "the lane is well, and as quick as at first", pause=1.0)
            time.sleep(BEFORE * INTERVAL)
            interval = self._lane().interval or INTERVAL
            if some:
                self._system.cancel(some)
            print(f"{fault.name}: {lasts:.0f} s, interval {interval:.0f} s", flush=True)
            begun = time.time()
            fault.begin()
            over = threading.Event()
            looker = threading.Thread(target=self._look, args=(fault.name, over))
            looker.start()
            time.sleep(lasts)
            fault.end()
            outages.append(Outage(fault.name, begun, time.time(), interval))
            over.set()
            looker.join()
            time.sleep(AFTER * INTERVAL)
        return outages

    def _look(self, name: str, over: threading.Event) -> None:
        while not over.wait(0.5):
            lane = self._lane()
            why, failures = self.errors.get(name, ("", 0))
            self.errors[name] = (lane.paused or lane.error or why, max(failures, lane.failures))

    def _well(self) -> bool:
        """Slow answers make the interval longer, and two of those are no feat."""
        lane = self._lane()
        return not lane.failures and (lane.interval or 0.0) <= 2 * INTERVAL

    def _lane(self) -> LaneRecord:
        return self._service.store.lane(str(self._system.lane))

    def begun(self) -> int:
        """Jobs that run, or have ended, by what is said of them."""
        counts = self._master().counts
        return sum(n for status, n in counts.items() if RANK[status] >= RANK[JobStatus.RUNNING])

    def left(self) -> int:
        """Jobs that have not ended, by what is said of them."""
        record = self._master()
        return record.total - sum(record.counts.get(status, 0) for status in FINAL)

    def _master(self) -> Master:
        master = self._service.store.master(OWNER, self._repository, MASTER)
        assert master is not None
        return master

    def said(self, jobs: Sequence[Job]) -> Mapping[str, Sequence[Said]]:
        """The whole update stream, by native id."""
        stories: dict[str, list[Said]] = defaultdict(list)
        follower = self._client.follow(self._repository, "0")
        while updates := follower.read(count=1000):
            for update in updates:
                for job in update.jobs:
                    stories[jobs[job.sub].id].append(Said(update.at, job.status))
        assert not follower.missed
        return stories


def _report(
    name: str,
    behind: float,
    said: Mapping[str, Sequence[Said]],
    record: Mapping[str, Sequence[Run]],
    outages: Sequence[Outage],
    errors: Mapping[str, tuple[str, int]],
    verdict: Verdict,
) -> None:
    ends = Counter(str(story[-1].status) for story in said.values())
    print(f"{name}: ends: {dict(ends)}; runs: {Counter(len(r) for r in record.values())}")
    for fault in untruths(said, record)[:10] + unsaid(said, record)[:10]:
        print(f"FAULT {fault}")
    verdict.bound(f"{name}: false ends at any moment", len(untruths(said, record)), 0, "statuses")
    verdict.bound(f"{name}: without their end, or another", len(unsaid(said, record)), 0, "jobs")
    verdict.note(f"{name}: without an end on record", going(record), "jobs")
    verdict.note(f"{name}: said to run before its start on record", early(said, record), "s")
    for outage in outages:
        why, failures = errors.get(outage.name, ("", 0))
        at = f"{name}: {outage.name}"
        print(f"{at}: {failures} failures in a row; {why[:120]}")
        verdict.note(f"{at}: ended meanwhile", hidden(outage, record), "jobs")
        late = settled(outage, said, record)
        most = BOUND * outage.interval + behind
        verdict.bound(f"{at}: right after", late, most, "s")
        if not late <= most:
            print(f"the last: {last(outage, said, record)}")
