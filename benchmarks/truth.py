"""``python -m benchmarks truth [--jobs N] [--seed N] [--json FILE]``: a backend that lies.

Every fault of the simulated system mixed, downloads too: time-outs, errors, refused credentials,
empty, truncated, stale, doubled answers, unknown codes, jobs that vanish, requeues, preemption.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from benchmarks import figures
from benchmarks.torture.judge import held
from benchmarks.torture.plan import Plan
from benchmarks.torture.run import Outcome, common, running
from gangamon.domain.status import FINAL

PROGRAMS = ("tick", "poll", "transfer", "transfer-2", "merge", "beat-1")

#: Seconds over which the jobs come, whatever their number.
ARRIVE = 10.0

#: Seconds for all to end, and more for each job: some thousandths.
WITHIN = 150.0
MORE = 0.02

#: Asked often, for what is asked seldom is lied about seldom. Vanished jobs are looked for in the
#: second source after some seconds; nothing may be given up as lost.
CONFIG = """\
[backends.Simulated]
floor = 1.0
cap = 2.0
timeout = 2.0
absences = 2
grace = 3.0
"""


class Hostile(Plan):
    """The shipped scenario of this name, with another seed and number of jobs, which last half as
    long. Its time-outs of downloads are made rarer: each holds one of eight threads for 10 s."""

    def scenario(self) -> str:
        text = (files("gangamon.testing.simulator") / "scenarios" / "hostile.toml").read_text()
        for key, value in (
            ("seed", self.seed),
            ("count", self.jobs),
            ("arrival_rate", self.jobs / self.arrive),
            ("duration_mean", 7.5),
        ):
            text = re.sub(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
        whole = 'kind = "timeout"\nprobability = 0.04\non = "all"\n'
        assert whole in text
        parts = {"list": 0.04, "accounting": 0.04, "download": min(0.04, 20 / self.jobs)}
        split = "\n[[faults]]\n".join(
            f'kind = "timeout"\nprobability = {p}\non = "{source}"\n' for source, p in parts.items()
        )
        return text.replace(whole, split)


def planned(jobs: int, masters: int, seed: int, folder: Path) -> Hostile:
    return Hostile(jobs=jobs, masters=masters, arrive=ARRIVE, seed=seed, folder=str(folder))


def truth(plan: Hostile, said: Callable[[str], None] = lambda _: None) -> Outcome:
    """To the end of all jobs, then the verdict. ``figures`` has what became of the jobs."""
    with running(plan, Path(plan.folder), PROGRAMS, said, CONFIG) as run:
        within = WITHIN + MORE * plan.jobs
        well = run.until(run.ended, within) and run.until(run.drained, 60)
        outcome = run.verdict(outputs_come=False)
        jobs = held(plan, run.service.store(), run.service.client().owner)
    final = [job for job in jobs.values() if job.status in FINAL]
    reasons = [job.evidence.reason for job in final if job.evidence]
    outcome.figures |= {
        "statuses": dict(Counter(str(job.status) for job in jobs.values())),
        "restarts": sum(job.restart for job in jobs.values()),
        "outputs_given_up": sum(reason.startswith("outputs") for reason in reasons),
        "lost": sum(reason.startswith("lost") for reason in reasons),
    }
    if lost := outcome.figures["lost"]:
        outcome.faults.insert(0, f"{lost} jobs that were there are failed as lost")
    if not well or len(final) != plan.count:
        late = plan.count - len(final)
        outcome.faults.insert(0, f"{late} jobs without an end within {within:.0f} s")
    return outcome


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks truth")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--masters", type=int, default=10)
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends what was started
    print(figures.machine())
    folder = Path(tempfile.mkdtemp(prefix="gangamon-truth-"))
    plan = planned(options.jobs, options.masters, options.seed, folder)
    outcome = truth(plan, lambda text: print(text, flush=True))
    for line in _told(outcome.figures):
        print(line)
    for fault in outcome.faults:
        print(f"FAULT {fault}")
    if options.json:
        body = {"seed": options.seed, **outcome.figures, "faults": outcome.faults}
        options.json.write_text(json.dumps(body, indent=1))
    if outcome.faults:
        print(f"truth: FAILED; kept in {folder}")
        return 1
    shutil.rmtree(folder)
    print("truth: all well")
    return 0


def _told(found: dict[str, Any]) -> Iterator[str]:
    faults = ", ".join(f"{n} {kind}" for kind, n in sorted(found["faulty_answers"].items()))
    yield f"\nfaulty answers: {faults}"
    ends = ", ".join(f"{n} {status}" for status, n in sorted(found["statuses"].items()))
    yield f"ends: {ends}; {found['outputs_given_up']} of them without outputs that should be there"
    yield f"restarts by the backend: {found['restarts']}; failed as lost: {found['lost']}"
    yield from common(found)
