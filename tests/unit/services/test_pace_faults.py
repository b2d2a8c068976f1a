"""The pace of a lane that fails now and then, in virtual time: it rests no longer than promised,
and each phase of a job that is longer than that rest is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest

from gangamon.domain.cadence import Cadence
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Seen
from gangamon.errors import BackendUnreachable
from gangamon.protocols import Limits, PollItem
from gangamon.testing.simulator.codes import ENDED, MEANING, RUNNING
from gangamon.testing.simulator.scenario import parse
from gangamon.testing.simulator.world import ACCOUNTING, LIST, World
from tests.support.commands import the_master
from tests.support.virtual import Lanes

FLOOR, BASE, COST, WIRE = 1.0, 2.0, 0.02, 0.01

#: Short phases, and many queries that fail, now and then several one after the other.
SCENARIO = """
seed = {seed}
[jobs]
count = 60
arrival_rate = 20.0
start_after = 0.5
ends = "duration"
duration = "uniform"
duration_mean = 8.0
duration_spread = 7.5
[[faults]]
kind = "error"
probability = 0.4
[[faults]]
kind = "preempt"
probability = 0.3
seconds = 1.0
"""


class Simulated:
    """A world without a server. ``asked``: (when, whether it was answered) of each query."""

    name = "Local"

    def __init__(self, lanes: Lanes, world: World) -> None:
        steady = Cadence(floor=FLOOR, cap=FLOOR, retry_base=BASE)
        self.limits = Limits(jobs=1000, slots=1, cadence=steady)
        self.asked: list[tuple[float, bool]] = []
        self._lanes, self._world = lanes, world

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        return self._ask(LIST, items)

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        return self._ask(ACCOUNTING, items)

    def _ask(self, source: str, items: Sequence[PollItem]) -> dict[str, Observation]:
        query = self._world.query(source, [item.native_id for item in items])
        bad = query.fault("error") is not None
        self.asked.append((self._world.now(), not bad))
        self._lanes.time.run(COST)
        if bad:
            raise BackendUnreachable("internal error")
        said = {phase.native_id: phase for phase in self._world.answer(query)}
        found: dict[str, Observation] = {item.key: Absent(source) for item in items}
        for item in items:
            if phase := said.get(item.native_id):
                found[item.key] = Seen(
                    phase.code, MEANING[phase.code], source, ended_at=phase.ended,
                    restarts=phase.restart,
                )  # fmt: skip
        return found


@pytest.mark.parametrize("seed", [3, 7])
def test_a_lane_rests_no_longer_than_promised(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """One interval after an answer; after the n-th failure in a row at most one and a half of the
    base doubled n - 1 times. So every running phase that is longer than the rest it fell into was
    seen, and of the shorter ones exactly those in which an answer was given."""
    lanes = Lanes(monkeypatch, Limits())
    world = World(parse(SCENARIO.format(seed=seed)), lanes.time.now)
    backend = Simulated(lanes, world)
    monkeypatch.setattr(lanes, "backend", backend)
    world.start()
    lanes.add(60, 60)
    lanes.run(150.0)

    late = 2 * COST + WIRE + 0.01
    failures = 0
    for (at, good), (then, _) in pairwise(backend.asked):
        failures = 0 if good else failures + 1
        rest = FLOOR if good else 1.5 * BASE * 2 ** (failures - 1)
        assert then - at <= rest + late, f"after {failures} failures"
    assert any(not a[1] and not b[1] for a, b in pairwise(backend.asked)), "two in a row failed"

    answers = [at + COST for at, good in backend.asked if good]
    jobs = lanes.store.jobs(the_master(lanes.store), None)
    missed = 0
    for sub, job in jobs.items():
        line = world.timeline(str(sub))
        for phase, after in pairwise(line):
            if phase.code != RUNNING:
                continue
            given = any(phase.begin <= at < after.begin for at in answers)
            seen = any((e.restart, e.status) == (phase.restart, "running") for e in job.history)
            assert seen == given, f"{job.fqid}, restart {phase.restart}"
            missed += not seen
        assert line[-1].code in ENDED and job.history[-1].status != "running"
    assert missed, "the scenario hides some phases"


@pytest.mark.parametrize("seconds", [15.0, 100.0, 1800.0])
def test_all_is_right_within_two_intervals_of_the_return(
    monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """However long the backend was away; what ended meanwhile is known then, and nothing before."""
    floor = 20.0
    limits = Limits(jobs=1000, slots=1, cadence=Cadence(floor=floor, cap=120.0, growth=1.0))
    lanes = Lanes(monkeypatch, limits)
    begun = lanes.time.at + 60.0
    back = begun + seconds
    lanes.backend.ends = {sub: begun + sub * seconds / 40 for sub in range(40)}
    poll = lanes.backend.poll

    def asked(lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        if begun <= lanes.time.at < back:
            raise BackendUnreachable("away")
        return poll(lane, items)

    monkeypatch.setattr(lanes.backend, "poll", asked)
    lanes.add(60, 60)
    lanes.run(60.0 + seconds + 2 * floor + 1.0)
    jobs = lanes.store.jobs(the_master(lanes.store), None)
    known = {sub: job.history[-1] for sub, job in jobs.items() if sub in lanes.backend.ends}
    assert {entry.status for entry in known.values()} == {"completing"}
    assert all(back <= entry.at <= back + 2 * floor for entry in known.values()), known
