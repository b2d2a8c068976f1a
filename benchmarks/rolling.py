"""``python -m benchmarks rolling [--jobs N] [--json FILE]``: every worker and both beats are
restarted, one after the other, while jobs run and end; beside the same run without restarts."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import figures
from benchmarks.torture.plan import Plan
from benchmarks.torture.run import Outcome, Run, common, running
from gangamon.domain.status import FINAL

#: Two of each, as where a restart must not be noticed.
PROGRAMS = (
    *("tick", "tick-2", "poll", "poll-2", "transfer", "transfer-2", "merge", "merge-2"),
    *("beat-1", "beat-2"),
)

#: Of the lag's 99th percentile, beside the run without restarts.
MOST = 1.2

#: The share of the jobs that has ended when the restarts begin: ends come then as fast as they ever
#: will, and nearly all jobs live.
ENDED = 0.05


def planned(jobs: int, masters: int, seconds: float, seed: int, folder: Path) -> Plan:
    """All jobs come at once, and end evenly over ``seconds``, when all have been taken in."""
    return Plan(
        jobs=jobs,
        masters=masters,
        arrive=5.0 + jobs / 1000,
        mean=seconds / 1.6,
        seed=seed,
        folder=str(folder),
    )


def rolling(
    plan: Plan, restart: Sequence[str], said: Callable[[str], None] = lambda _: None
) -> Outcome:
    """One run; what is to be restarted is, each once, when ends come (``ENDED``)."""
    with running(plan, Path(plan.folder), PROGRAMS, said) as run:
        fine = run.until(lambda: _ended(run) > ENDED * plan.jobs, 120 + plan.jobs / 200)
        begun, live, before = run.now(), _live(run), _ended(run)
        for name in restart:
            run.service.stop(name)
            run.service.start(name)
            run.look()
            said(f"{run.now():6.1f} s  {name} was restarted; {_live(run)} jobs live")
        took, meanwhile = run.now() - begun, _ended(run) - before
        quiet = 120 + 4 * plan.mean + 0.02 * plan.jobs
        well = run.until(run.ended, quiet) and run.until(run.drained, 60)
        outcome = run.verdict()
        outcome.figures |= {
            "restarted": len(restart),
            "restarts_s": round(took, 1),
            "live": live,
            "ended_meanwhile": meanwhile,
        }
        if outcome.figures["doubled"]:
            outcome.faults.insert(0, f"{outcome.figures['doubled']} transitions told twice")
        if run.service.ended:
            outcome.faults.insert(0, f"ended by themselves: {run.service.ended}")
        if not (fine and well):
            outcome.faults.insert(0, f"not ended and drained within {quiet:.0f} s")
        return outcome


def _live(run: Run) -> int:
    return len(run.applied.statuses) - _ended(run)


def _ended(run: Run) -> int:
    return sum(status in FINAL for status in run.applied.statuses.values())


# --- the command ------------------------------------------------------------------------------


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks rolling")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--masters", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=120.0, help="over which the jobs end")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends what was started
    print(figures.machine())
    folder = Path(tempfile.mkdtemp(prefix="gangamon-rolling-"))
    outcomes = {}
    for name, restart in (("without", ()), ("with", PROGRAMS)):
        print(f"\n{name} restarts")
        place = folder / name
        plan = planned(options.jobs, options.masters, options.seconds, options.seed, place)
        outcomes[name] = rolling(plan, restart, lambda text: print(text, flush=True))
        for line in common(outcomes[name].figures):
            print(line)
        if restart:
            print(
                "{restarts_s} s of restarts, {live} live, {ended_meanwhile} ended".format(
                    **outcomes[name].figures
                )
            )
    faults = [f"{name}: {fault}" for name, one in outcomes.items() for fault in one.faults]
    with_, without = (outcomes[n].figures["lag_stream"]["p99"] for n in ("with", "without"))
    print(
        f"\nlag p99: {with_:.2f} s with {len(PROGRAMS)} restarts, {without:.2f} s without", end=""
    )
    print(f": {with_ / without:.2f} x, at most {MOST} x")
    if not with_ <= MOST * without:
        faults.append(f"lag p99 is {with_ / without:.2f} x that without restarts")
    for fault in faults:
        print(f"FAULT {fault}")
    if options.json:
        body = {name: one.figures for name, one in outcomes.items()}
        options.json.write_text(json.dumps({**body, "faults": faults}, indent=1))
    if faults:
        print(f"rolling: FAILED; kept in {folder}")
        return 1
    shutil.rmtree(folder)
    print("rolling: all well")
    return 0
