"""The truth: what becomes of each job, a pure function of the scenario and the job's name.

A job is named by its native id: its number, or NUMBER@ATTEMPT where it was submitted again.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import NormalDist

from gangamon.testing.simulator import codes
from gangamon.testing.simulator.scenario import OF_A_RUN, Scenario

_NATIVE_ID = re.compile(r"(0|[1-9][0-9]{0,8})(?:@([2-9]|[1-9][0-9]{1,3}))?")
_NORMAL = NormalDist()

#: A run that never ends is requeued within so many seconds.
_WINDOW = 60.0


@dataclass(frozen=True)
class Phase:
    """What holds of a job from ``begin`` to the next phase. Times: seconds after the start of
    the scenario. ``row``: it in an answer."""

    native_id: str
    begin: float
    code: str
    restart: int
    site: str = ""
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    reason: str = ""

    @cached_property
    def row(self) -> str:
        """[id, code, restart, site, started, ended, exit code, reason] in json."""
        facts = (self.started, self.ended, self.exit_code, self.reason)
        return json.dumps((self.native_id, self.code, self.restart, self.site, *facts))

    @property
    def key(self) -> tuple[str, int, str]:
        return (self.native_id, self.restart, self.code)


Timeline = tuple[Phase, ...]


def draw(scenario: Scenario, what: str, name: str | int) -> float:
    """A number in (0, 1) for one question about one thing, the same whenever it is asked."""
    text = f"{scenario.seed}:{what}:{name}".encode()
    digest = hashlib.blake2b(text, digest_size=8).digest()
    return (int.from_bytes(digest, "big") + 0.5) / 2.0**64


def parse_id(native_id: str) -> tuple[int, int] | None:
    """(number, attempt) of a native id; None if it is none."""
    match = _NATIVE_ID.fullmatch(native_id)
    return (int(match[1]), int(match[2] or 1)) if match else None


def truth(scenario: Scenario, native_id: str, attempt: int, t: float) -> Phase | None:
    """What a backend without faults says ``t`` seconds after the start; None: not yet there."""
    name = native_id if attempt == 1 else f"{native_id}@{attempt}"
    return at(timeline(scenario, name), t)


def at(phases: Timeline, t: float) -> Phase | None:
    """The phase at a time; None before the first."""
    for phase in reversed(phases):
        if phase.begin <= t:
            return phase
    return None


def arrival(scenario: Scenario, number: int) -> float:
    jobs = scenario.jobs
    return jobs.arrival_first + (number / jobs.arrival_rate if jobs.arrival_rate else 0.0)


def timeline(scenario: Scenario, native_id: str, submitted: float | None = None) -> Timeline:
    """All phases of a job, in order; none if it is no native id. ``submitted``: when, for a
    job that does not come with the scenario."""
    parsed = parse_id(native_id)
    if parsed is None:
        return ()
    jobs = scenario.jobs
    arrived = arrival(scenario, parsed[0]) if submitted is None else submitted
    start = arrived + jobs.start_after
    if jobs.ends == "never":
        end = math.inf
    elif jobs.ends == "duration" or submitted is not None:
        end = start + _duration(scenario, native_id)
    else:
        end = max(jobs.first_done + parsed[0] / jobs.rate, start)
    phases = [Phase(native_id, arrived, codes.WAITING, 0, jobs.site)]
    return tuple(_runs(scenario, phases, start, end))


def _runs(scenario: Scenario, phases: list[Phase], start: float, end: float) -> Sequence[Phase]:
    """The run to its end, started over as the faults say."""
    name, site = phases[0].native_id, scenario.jobs.site
    restart = 0
    for index, fault in enumerate(scenario.faults):
        if fault.kind not in OF_A_RUN or not fault.enabled:
            continue
        if draw(scenario, f"run{index}", name) >= fault.probability:
            continue
        low, high = max(start, fault.begin), min(end, fault.end)
        high = min(high, low + _WINDOW) if math.isinf(end) else high
        if low >= high:
            continue
        moment = low + draw(scenario, f"moment{index}", name) * (high - low)
        code = codes.REQUEUED if fault.kind == "requeue" else codes.PREEMPTED
        phases.append(Phase(name, start, codes.RUNNING, restart, site, start))
        restart += 1
        phases.append(Phase(name, moment, code, restart, site))
        start, end = moment + fault.seconds, moment + fault.seconds + (end - start)
    phases.append(Phase(name, start, codes.RUNNING, restart, site, start))
    if not math.isinf(end):
        phases.append(_end(scenario, phases[-1], end))
    return phases


def _end(scenario: Scenario, running: Phase, end: float) -> Phase:
    jobs, luck = scenario.jobs, draw(scenario, "end", running.native_id)
    done = replace(running, begin=end, ended=end)
    if luck < jobs.failed:
        code = 1 + int(draw(scenario, "exit", running.native_id) * 125)
        return replace(done, code=codes.FAILED, exit_code=code, reason=f"exit code {code}")
    if luck < jobs.failed + jobs.killed:
        return replace(done, code=codes.KILLED, reason="killed by the administrator")
    return replace(done, code=codes.DONE, exit_code=0)


def _duration(scenario: Scenario, native_id: str) -> float:
    jobs, luck = scenario.jobs, draw(scenario, "duration", native_id)
    mean, spread = jobs.duration_mean, jobs.duration_spread
    if jobs.duration == "uniform":
        return max(0.0, mean + spread * (2 * luck - 1))
    if jobs.duration == "exponential":
        return -mean * math.log(luck)
    if jobs.duration == "lognormal":
        return mean * math.exp(spread * _NORMAL.inv_cdf(luck))
    return mean


# --- what a user or an administrator does to it ---------------------------------------------


def kill(phases: Timeline, t: float) -> Timeline:
    """Killed at a time; the same where it has ended by then, or was not there yet."""
    now = at(phases, t)
    if now is None or now.code in codes.ENDED:
        return phases
    before = tuple(phase for phase in phases if phase.begin <= t)
    return (
        *before,
        replace(now, begin=t, code=codes.KILLED, ended=t, reason="killed by its owner"),
    )


def requeue(scenario: Scenario, phases: Timeline, t: float, wait: float) -> Timeline:
    """Started over at a time, also where it has ended; it then runs as long as it would have."""
    now = at(phases, t)
    if now is None:
        return phases
    before = tuple(phase for phase in phases if phase.begin <= t)
    runs = [phase for phase in phases if phase.code == codes.RUNNING]
    last = phases[-1]
    took = last.ended - runs[-1].begin if runs and last.ended is not None else math.inf
    start, restart = t + wait, now.restart + 1
    name, site = now.native_id, scenario.jobs.site
    waiting = Phase(name, t, codes.REQUEUED, restart, site)
    running = Phase(name, start, codes.RUNNING, restart, site, start)
    ending = () if math.isinf(took) else (_end(scenario, running, start + max(took, 0.0)),)
    return (*before, waiting, running, *ending)
