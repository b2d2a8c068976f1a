"""``python -m benchmarks torture [--minutes N] [--jobs N] [--seed N] [--emptied] [--json FILE]``.

Nothing of the user's own is touched: everything lies in a new temporary directory, which is
removed at the end, unless a promise was broken.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import figures
from benchmarks.torture.chaos import Chaos
from benchmarks.torture.client import PLAN, Applied, Line, Log
from benchmarks.torture.judge import Merges, judge, lags, summary, truth_of
from benchmarks.torture.plan import AFTER, Plan
from benchmarks.torture.service import CLIENT, CONFIG, PROGRAMS, Torn
from gangamon.testing.simulator.process import Simulator
from tests.support.sentinel import Sentries

#: The share of the time over which the jobs come.
ARRIVAL = 0.7

#: Seconds from the end of the chaos to the last master; for all to end after that, and more for
#: each job, for the host may be slow.
AFTERMATH = 3.0
QUIET = 120.0
MORE = 0.02


@dataclass
class Outcome:
    """``faults``: broken promises, of which there must be none. ``figures``: for people."""

    faults: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


class Run:
    """A plan that is running. ``applied``: what the session has applied so far."""

    def __init__(
        self, plan: Plan, service: Torn, simulator: Simulator, said: Callable[[str], None]
    ) -> None:
        self.plan = plan
        self.service = service
        self.simulator = simulator
        self.said = said
        self.lines: list[Line] = []
        self.applied = Applied()
        self.merges = Merges(plan)
        self._log = Log(service.folder)
        self._told = 0.0

    def now(self) -> float:
        """Seconds since the start."""
        return time.time() - self.plan.t0

    def look(self) -> None:
        for line in self._log.read():
            self.lines.append(line)
            for update in line.updates:
                self.applied.take(update)
        self.merges.look()
        if self.now() >= self._told:
            self._told = self.now() + 30
            states = Counter(str(status) for status in self.applied.statuses.values())
            text = ", ".join(f"{n} {status}" for status, n in sorted(states.items()))
            self.said(f"{self.now():6.1f} s  {self.plan.count} jobs: {text}")

    def until(self, condition: Callable[[], object], within: float) -> bool:
        """Look until it holds; False after ``within`` seconds."""
        end = time.monotonic() + within
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.2)
            self.look()
        return True

    def ended(self, epoch: str = "") -> bool:
        """Whether the session has the end of each master (in this epoch)."""
        finals = {m for e, m, _ in self.applied.finals if epoch in ("", e)}
        return len(finals) == len(self.plan.ranges)

    def drained(self) -> bool:
        store = self.service.store()
        return all(store.depth(queue) == (0, 0) for queue in store.queues())

    def verdict(self, outputs_come: bool = True) -> Outcome:
        """When all has ended."""
        stats = self.simulator.call("stats")
        truth = truth_of(self.simulator.call("truth")["jobs"])
        self.look()
        faults = judge(
            self.plan,
            self.lines,
            self.service.client(),
            self.service.store(),
            truth,
            self.simulator.record,
            outputs_come,
        )
        stream, applied = lags(self.lines)
        found = {
            "jobs": self.plan.count,
            "masters": len(self.plan.ranges),
            "seconds": round(self.now(), 1),
            "transitions": self.applied.applied,
            "doubled": self.applied.dropped,
            "lag_stream": summary(stream),
            "lag_applied": summary(applied),
            "queries": sum(n for kind, n in stats["queries"].items() if kind != "download"),
            "downloads": stats["downloads"],
            "faulty_answers": stats["faults"],
            "ended_by_themselves": dict(Counter(self.service.ended)),
        }
        return Outcome([*faults, *self.merges.faults()], found)


@contextmanager
def running(
    plan: Plan,
    folder: Path,
    programs: tuple[str, ...],
    said: Callable[[str], None],
    config: str = CONFIG,
    redis: Sentries | None = None,
) -> Iterator[Run]:
    """The simulated system, Redis, the programs and the session; all gone at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    scenario = folder / "scenario.toml"
    scenario.write_text(plan.scenario())
    service = Torn(folder, config, redis=redis)
    with ExitStack() as stack:
        stack.callback(service.close)
        simulator = stack.enter_context(Simulator(scenario, folder))
        service.redis.start()
        service.start(*programs)
        plan = plan.begun(simulator.endpoint, simulator.call("start")["t0"])
        for master in plan.ranges:
            (plan.workspace / str(master)).mkdir(parents=True)
        plan.write(folder / PLAN)
        service.start(CLIENT)
        service.supervise()
        yield Run(plan, service, simulator, said)
    if left := service.left():
        raise AssertionError(f"still running: {left}")


def torture(plan: Plan, seconds: float, said: Callable[[str], None] = lambda _: None) -> Outcome:
    """Chaos for so many seconds, then quiet until all has ended, then the verdict."""
    with running(plan, Path(plan.folder), PROGRAMS, said) as run:
        chaos = Chaos(run.service, plan.seed, seconds, said)
        chaos.start()
        try:
            run.until(lambda: not chaos.is_alive(), seconds + 120)
        finally:
            chaos.stop()
        at_once, over = run.applied.applied, time.time()
        run.simulator.call("submit", count=AFTER)
        quiet = QUIET + MORE * plan.jobs
        well = run.until(run.ended, quiet) and run.until(run.drained, 60)
        outcome = run.verdict()
        outcome.figures["chaos"] = {"blows": len(chaos.blows), **chaos.counts}
        outcome.figures["seconds_of_chaos"] = seconds
        outcome.figures["transitions_in_chaos"] = at_once
        outcome.figures["recovered_s"] = _recovered(run.lines, plan, over)
        if not well:
            outcome.faults.insert(0, f"not ended and drained {quiet:.0f} s after the chaos")
        if chaos.error is not None:
            outcome.faults.insert(0, f"the chaos broke: {chaos.error!r}")
        return outcome


def _recovered(lines: list[Line], plan: Plan, over: float) -> float:
    """Seconds from the last blow, after which nobody is killed any more, to the first transition
    of the last master."""
    last = max(plan.ranges)
    times = (u.at for line in lines for u in line.updates if u.master == last and u.jobs)
    return round(next(times, float("nan")) - over, 1)


def planned(jobs: int, masters: int, seconds: float, seed: int, folder: Path) -> Plan:
    """For ``torture``: the last jobs come when the chaos is over."""
    return Plan(
        jobs=jobs,
        masters=masters,
        arrive=ARRIVAL * seconds,
        after=seconds + AFTERMATH,
        mean=min(20.0, 0.1 * seconds),
        seed=seed,
        folder=str(folder),
    )


# --- the command ------------------------------------------------------------------------------


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks torture")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--jobs", type=int, default=None, help="default 50,000; emptied: 100,000")
    parser.add_argument("--masters", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--emptied", action="store_true", help="empty Redis among live jobs")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends what was started
    print(figures.machine())
    folder = Path(tempfile.mkdtemp(prefix="gangamon-torture-"))

    def said(text: str) -> None:
        print(text, flush=True)

    if options.emptied:
        from benchmarks.torture.emptied import emptied, planned_emptied, told

        plan = planned_emptied(options.jobs or 100_000, options.masters, options.seed, folder)
        outcome = emptied(plan, said)
    else:
        seconds = 60 * options.minutes
        plan = planned(options.jobs or 50_000, options.masters, seconds, options.seed, folder)
        outcome = torture(plan, seconds, said)
        told = _told
    for line in told(outcome.figures):
        print(line)
    for fault in outcome.faults:
        print(f"FAULT {fault}")
    if options.json:
        body = {"seed": options.seed, **outcome.figures, "faults": outcome.faults}
        options.json.write_text(json.dumps(body, indent=1))
    if outcome.faults:
        print(f"torture: FAILED; kept in {folder}")
        return 1
    shutil.rmtree(folder)
    print("torture: all well")
    return 0


def _told(found: dict[str, Any]) -> Iterator[str]:
    chaos = dict(found["chaos"])
    yield f"\n{chaos.pop('blows')} blows in {found['seconds_of_chaos']:.0f} s:"
    yield from (f"  {n:5} {kind}" for kind, n in sorted(chaos.items()))
    ended = ", ".join(f"{n} {name}" for name, n in sorted(found["ended_by_themselves"].items()))
    yield f"ended by themselves, and started again: {ended or 'none'}"
    recovered = found["recovered_s"]
    yield f"all connections half-open, and nobody killed: the next transition {recovered:.1f} s on"
    yield from common(found)


def common(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['jobs']} jobs in {found['masters']} masters, {found['seconds']:.0f} s in all"
    yield f"{found['transitions']} transitions, {found['doubled']} told twice"
    yield f"{found['queries']} queries, {found['downloads']} downloads"
    for key, name in (("lag_stream", "end -> stream"), ("lag_applied", "end -> session")):
        lag = found[key]
        text = "  ".join(f"{p} {lag[p]:.2f} s" for p in ("p50", "p95", "p99", "max"))
        yield f"detection lag, outages included, {name}: {text}"
