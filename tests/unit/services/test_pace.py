"""The pace of a lane, in virtual time: its whole budget, its whole promise, whatever the ticks."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from gangamon.backends.local import LocalBackend
from gangamon.domain.cadence import Cadence
from gangamon.protocols import Limits
from tests.support.commands import LANE
from tests.support.virtual import Lanes

#: An end is noticed within so many intervals, in 99 of 100 cases (docs/lanes.md).
PROMISE = 1.2


@pytest.mark.parametrize(("processes", "burst", "tick"), [(1, 1, 1.0), (3, 2, 1.0), (3, 1, 5.0)])
def test_a_lane_with_work_uses_its_budget(
    monkeypatch: pytest.MonkeyPatch, processes: int, burst: int, tick: float
) -> None:
    """All batches are due every second, and the budget bears half of them: it is used to 95 of
    100 at least, and never more than all of it."""
    rate, seconds = 2.0, 30.0
    steady = Cadence(floor=1.0, cap=1.0)
    limits = Limits(jobs=200, slots=3, endpoint_slots=3, rate=rate, burst=burst, cadence=steady)
    lanes = Lanes(monkeypatch, limits, processes=processes, tick=tick)
    lanes.add(int(4 * rate), 1)
    lanes.run(seconds)
    assert 0.95 * seconds * rate <= len(lanes.backend.asked) <= seconds * rate + burst


@pytest.mark.parametrize("floor", [1.0, 3.0])
def test_ends_are_noticed_within_the_promise(monkeypatch: pytest.MonkeyPatch, floor: float) -> None:
    """Jobs that end at any time: the lane is asked when it is due, and not a tick later."""
    limits = Limits(jobs=1000, cadence=Cadence(floor=floor, cap=floor))
    lanes = Lanes(monkeypatch, limits, tick=1.0)
    luck = random.Random(2)
    begun = lanes.time.at
    lanes.backend.ends = {n: begun + 5 + luck.uniform(0, 20) for n in range(100)}
    lanes.add(100, 100)
    lanes.run(30.0)
    found = [lag for lag in lanes.client.detections(str(LANE)) if lag.interval]
    ratios = sorted(lag.seconds / lag.interval for lag in found if lag.interval)
    assert len(ratios) == 100
    assert ratios[98] <= PROMISE
    assert ratios[50] > 0.3, "it is asked once in an interval, and not more often"


def test_local_after_a_quiet_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs that nothing happens to for half a minute; then their ends are noticed as
    soon as at first."""
    lanes = Lanes(monkeypatch, LocalBackend().limits)
    luck = random.Random(3)
    begun = lanes.time.at
    lanes.backend.ends = {n: begun + 30 + luck.uniform(0, 10) for n in range(100)}
    lanes.add(100, 100)
    lanes.run(45.0)
    lags = sorted(lanes.client.lags(str(LANE)))
    assert len(lags) == 100
    assert lags[98] <= PROMISE, "seconds, as its floor is 1"
    assert len(lanes.backend.asked) <= 46


def test_nothing_is_asked_more_often_than_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many processes with an alarm each ask no more often than one."""
    limits = Limits(jobs=1000, rate=100.0, burst=100, cadence=Cadence(floor=2.0, cap=2.0))
    lanes = Lanes(monkeypatch, limits, processes=8)
    lanes.add(100, 100)
    lanes.run(20.0)
    assert 10 <= len(lanes.backend.asked) <= 11


def test_a_lane_of_many_queries_is_asked_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five times the seconds of all its queries together: they take a fifth of the time at most,
    however many there are."""
    cadence = Cadence(floor=1.0, cap=60.0, growth=1.0)
    limits = Limits(jobs=100, slots=1, rate=100.0, burst=100, cadence=cadence)
    lanes = Lanes(monkeypatch, limits, cost=0.25)
    lanes.add(400, 100)
    lanes.run(40.0)
    assert lanes.store.lane(str(LANE)).interval == pytest.approx(5.0, abs=0.1)
    settled = [at for at in lanes.backend.asked if at >= lanes.backend.asked[0] + 10.0]
    assert 22 <= len(settled) <= 25


@pytest.mark.parametrize(
    ("answers", "intervals"),
    [
        ([0.02, 4.0, 0.02, 4.0, 4.0, 0.02], [1.0, 1.0, 1.0, 1.0, 20.0, 1.0]),
        ([0.02, 4.0, 6.0, 4.0, 2.0], [1.0, 1.0, 20.0, 20.0, 10.0]),  # the quicker of the two
        ([4.0, 0.02], [20.0, 1.0]),  # of the first one nothing else is known
    ],
)
def test_two_slow_answers_in_a_row_make_an_interval_longer(
    monkeypatch: pytest.MonkeyPatch, answers: list[float], intervals: list[float]
) -> None:
    """One does not: whoever stood still for it may be well again."""
    limits = Limits(jobs=100, slots=1, cadence=Cadence(floor=1.0, cap=60.0, growth=1.0))
    lanes = Lanes(monkeypatch, limits)
    lanes.backend.costs = list(answers)
    lanes.add(100, 100)
    found = []
    for n in range(1, len(answers) + 1):
        while len(lanes.backend.asked) < n:
            lanes.run(0.1)
        found.append(lanes.store.lane(str(LANE)).interval)
    assert found == pytest.approx(intervals)


def test_the_queries_of_a_large_master_come_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Evenly over the interval, where three might be asked at once; and no more of them."""
    cadence = Cadence(floor=9.0, cap=9.0)
    limits = Limits(jobs=200, slots=3, rate=100.0, burst=100, cadence=cadence)
    lanes = Lanes(monkeypatch, limits)
    lanes.add(600, 100)
    lanes.run(60.0)
    settled = [at for at in lanes.backend.asked if at >= lanes.backend.asked[0] + 18.0]
    gaps = [later - earlier for earlier, later in pairwise(settled)]
    assert all(gap == pytest.approx(3.0, abs=0.5) for gap in gaps), gaps
    assert 13 <= len(settled) <= 15
