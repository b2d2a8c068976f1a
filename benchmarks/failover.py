"""``python -m benchmarks failover [--jobs N] [--seed N] [--json FILE]``: the Redis master killed
under load, with Sentinel: once as it is, and once with all that its replicas had not read."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import figures
from benchmarks.torture.plan import Plan
from benchmarks.torture.run import Outcome, Run, common, running
from benchmarks.torture.service import PROGRAMS
from gangamon.domain.status import FINAL
from tests.support.sentinel import Sentries

#: Seconds from the kill to the first transition that is committed to the new master.
WITHIN = 15.0

#: Seconds for which the master goes on without its replicas.
ALONE = 1.5


def planned(jobs: int, masters: int, seed: int, folder: Path) -> Plan:
    """Jobs come and end all the time, also when both fail-overs are over."""
    arrive = max(25.0, jobs / 60)
    return Plan(
        jobs=jobs,
        masters=masters,
        arrive=arrive,
        mean=12.0,
        failovers=2,
        seed=seed,
        folder=str(folder),
    )


class Fetched:
    """What has been fetched must stay as it is: a second fetch would show in the manifest."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._seen: dict[Path, tuple[int, int]] = {}

    def _files(self) -> Iterator[Path]:
        return self._plan.workspace.glob("*/*/output/.gangamon-manifest.json")

    def look(self) -> int:
        """Remember all that is there; how many."""
        for path in self._files():
            facts = path.stat()
            self._seen.setdefault(path, (facts.st_ino, facts.st_mtime_ns))
        return len(self._seen)

    def faults(self) -> list[str]:
        now = {path: path.stat() for path in self._files()}
        changed = [
            path
            for path, seen in self._seen.items()
            if path not in now or seen != (now[path].st_ino, now[path].st_mtime_ns)
        ]
        return [f"{len(changed)} outputs fetched again: {changed[:5]}"] if changed else []


def failover(plan: Plan, said: Callable[[str], None] = lambda _: None) -> Outcome:
    """Two fail-overs, then quiet until all has ended, then the verdict."""
    sentries = Sentries(Path(plan.folder) / "sentries")
    with running(plan, Path(plan.folder), PROGRAMS, said, redis=sentries) as run:
        fetched = Fetched(plan)
        blows = []
        for losing in (False, True):
            ready = run.until(lambda: _live(run) > plan.jobs // 20, 120)
            fetched.look()
            blows.append(_blow(run, sentries, losing))
            said(f"{run.now():6.1f} s  {blows[-1]}")
            sentries.mend()
            said(f"{run.now():6.1f} s  the server that died follows the new master")
            if not ready:
                raise AssertionError("no load")
        quiet = plan.arrive + 120 + 0.02 * plan.jobs
        well = run.until(run.ended, quiet) and run.until(run.drained, 60)
        outcome = run.verdict()
        outcome.faults += fetched.faults()
        outcome.figures["failovers"] = blows
        if not well:
            outcome.faults.insert(0, f"not ended and drained {quiet:.0f} s after the last one")
        return outcome


def _blow(run: Run, sentries: Sentries, losing: bool) -> dict[str, Any]:
    """Kill the master and wait for the first transition of a new epoch."""
    before = run.service.client().epoch()
    old = sentries.connection()
    begun = 0.0
    alone: dict[str, int] = {}

    def wait() -> None:
        nonlocal begun
        first = int(old.info("replication")["master_repl_offset"])
        run.until(lambda: False, ALONE)
        alone["bytes"] = int(old.info("replication")["master_repl_offset"]) - first

    if losing:
        sentries.kill_losing(wait)
    else:
        sentries.kill()
    begun, told = time.time(), len(run.lines)

    def first() -> float | None:
        updates = (u for line in run.lines[told:] for u in line.updates)
        return next((u.at for u in updates if u.epoch != before and u.jobs), None)

    if not run.until(first, 120):
        raise AssertionError("no transition within 120 s of the kill of the master")
    at = first() or float("nan")
    return {
        "losing": losing,
        "bytes_lost": alone.get("bytes", 0),
        "back_s": round(at - begun, 2),
        "live": _live(run),
    }


def _live(run: Run) -> int:
    """Jobs that the session has seen and that have not ended."""
    return sum(status not in FINAL for status in run.applied.statuses.values())


# --- the command ------------------------------------------------------------------------------


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks failover")
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--masters", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends what was started
    print(figures.machine())
    folder = Path(tempfile.mkdtemp(prefix="gangamon-failover-"))
    plan = planned(options.jobs, options.masters, options.seed, folder)
    outcome = failover(plan, lambda text: print(text, flush=True))
    for blow in outcome.figures["failovers"]:
        how = f"{blow['bytes_lost']} bytes of writes lost" if blow["losing"] else "killed"
        print(f"master {how}: first transition of a new epoch after {blow['back_s']:.1f} s")
        if not blow["back_s"] <= WITHIN:
            outcome.faults.append(f"back after {blow['back_s']} s, not {WITHIN:.0f} s")
    for line in common(outcome.figures):
        print(line)
    for fault in outcome.faults:
        print(f"FAULT {fault}")
    if options.json:
        options.json.write_text(json.dumps({**outcome.figures, "faults": outcome.faults}, indent=1))
    if outcome.faults:
        print(f"failover: FAILED; kept in {folder}")
        return 1
    shutil.rmtree(folder)
    print("failover: all well")
    return 0
