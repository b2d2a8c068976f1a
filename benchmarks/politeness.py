"""``python -m benchmarks politeness``: more threads and workers ask no more often.

Simulated servers count the queries: one has a lane of 3,000 jobs, another two such lanes, both at
the same time. The interval is pinned, and short, so that some seconds show many of them. Once the
budget is above what the interval asks for, once below: then all of it is to be used, for what is
left over is lag. Each setting is a new service, its ticks as far apart as by default.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.support import OWNER, REPOSITORY, Service, Verdict, parser
from gangamon.domain.command import BATCH_SIZE, Enqueue, JobSpec, Register
from gangamon.domain.lane import Lane
from gangamon.domain.status import JobStatus
from gangamon.testing.simulator.process import Simulator

JOBS, CHUNK = 3000, 1000
SERVER = f"""
[jobs]
count = {JOBS}
start_after = 0.0
ends = "never"
[list]
fixed = 0.02
chunk = {CHUNK}
"""


@dataclass(frozen=True)
class Budget:
    """Of each lane. ``interval``: pinned, seconds. ``window``: seconds that are looked at."""

    interval: float
    window: float
    rate: float
    burst: int


#: The interval asks for 60 queries a minute and lane, and for 180.
BUDGETS = {"ample budget": Budget(3.0, 30.0, 5.0, 10), "small budget": Budget(1.0, 20.0, 2.0, 2)}

#: (threads, worker processes)
SETTINGS = ((1, 1), (4, 1), (16, 1), (4, 3))
QUICK = ((1, 1), (16, 1), (4, 3))

#: Queries at once at one endpoint.
SLOTS = 3

#: The most that two settings may differ, and that may be left of a budget below what is due.
SAME = 0.05


def main(argv: list[str]) -> int:
    given = parser("politeness").parse_args(argv)
    verdict = Verdict()
    for title, budget in BUDGETS.items():
        window = budget.window / 2 if given.quick else budget.window
        found: dict[str, list[float]] = defaultdict(list)
        for threads, processes in QUICK if given.quick else SETTINGS:
            counted = _measure(threads, processes, budget, window)
            for what, (queries, at_once, lanes) in counted.items():
                name = f"{title}, {what}, {processes} x {threads} threads"
                # A bucket that is full when the window begins lets its burst through as well.
                most = (math.floor(budget.rate * window) + budget.burst) * lanes * 60 / window
                verdict.bound(name, queries * 60 / window, most, "a minute")
                verdict.bound(f"{name}: at once", at_once, SLOTS, "queries")
                wanted = JOBS / CHUNK / budget.interval
                if budget.rate < wanted:
                    left = 1 - queries / (budget.rate * window * lanes)
                    verdict.bound(f"{name}: unused", 100 * left, 100 * SAME, "%")
                found[what].append(queries)
        for what, counts in found.items():
            spread = max(counts) / max(min(counts), 1) - 1
            verdict.bound(f"{title}, {what}: spread of settings", 100 * spread, 100 * SAME, "%")
    return verdict.end(given.json)


def _measure(
    threads: int, processes: int, budget: Budget, window: float
) -> dict[str, tuple[int, int, int]]:
    """What is asked -> (queries within the window, at once at most, lanes)."""
    toml = f"""[backends.Simulated]
floor = {budget.interval}
cap = {budget.interval}
jobs = {CHUNK}
slots = {SLOTS}
endpoint_slots = {SLOTS}
rate = {budget.rate}
burst = {budget.burst}
"""
    variables = {"GANGAMON_WORKERS_POLL_THREADS": str(threads)}
    with ExitStack() as stack:
        service = stack.enter_context(Service(toml, variables=variables))
        servers = {}
        for number, what in enumerate(("one lane", "two lanes of one endpoint")):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gm-bench-")))
            (folder / "quiet.toml").write_text(SERVER)
            simulator = stack.enter_context(Simulator(folder / "quiet.toml", folder))
            simulator.call("start")
            lanes = [Lane("Simulated", simulator.endpoint, f"user{i}") for i in range(number + 1)]
            servers[what] = (simulator, lanes)
            for i, lane in enumerate(lanes):
                _enqueue(service, lane, 10 * number + i)
        poll = {f"poll{i}": ("poll.Simulated", threads) for i in range(processes)}
        service.workers({"tick": ("tick", 2), **poll})
        time.sleep(3.0 + budget.interval)  # the first burst is over
        half = budget.interval / 2
        time.sleep(3 * half - time.time() % budget.interval)  # between two intervals
        before = {what: _queries(simulator) for what, (simulator, _) in servers.items()}
        time.sleep(window)
        found = {}
        for what, (simulator, lanes) in servers.items():
            asked = _queries(simulator) - before[what]
            most = int(simulator.call("stats")["concurrent_max"])
            found[what] = (asked, most, len(lanes))
        return found


def _queries(simulator: Simulator) -> int:
    return int(sum(simulator.call("stats")["queries"].values()))


def _enqueue(service: Service, lane: Lane, master: int) -> None:
    service.store.register(OWNER, Register("r", REPOSITORY, ("/data",)))
    for first in range(0, JOBS, BATCH_SIZE):
        subs = range(first, first + BATCH_SIZE)
        specs = (JobSpec(n, 1, JobStatus.SUBMITTED, str(n), {}) for n in subs)
        command = Enqueue(
            f"e{master}-{first}", REPOSITORY, master, JOBS, "bench", lane, f"/data/{master}", (),
            tuple(specs),
        )  # fmt: skip
        faults = service.store.enqueue(OWNER, "", command)
        assert not faults, faults
