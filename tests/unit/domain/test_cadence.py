"""When to ask again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangamon.domain.cadence import Cadence

seconds = st.floats(0.001, 1000.0)


@given(seconds, seconds, st.none() | seconds, seconds, st.booleans())
def test_between_floor_and_cap(
    floor: float, cap: float, last: float | None, query: float, changed: bool
) -> None:
    """Never more often than the floor, never less often than the cap; a floor above the cap
    wins, for it is what the backend bears."""
    interval = Cadence(floor=floor, cap=cap).interval(last, query, changed)
    assert floor <= interval <= max(floor, cap)


def test_grows_while_nothing_changes() -> None:
    """By the factor, up to the cap; a change brings it back to the floor."""
    cadence = Cadence(floor=4.0, cap=10.0, growth=1.5)
    intervals, last = [], None
    for _ in range(5):
        last = cadence.interval(last, 0.0, changed=False)
        intervals.append(last)
    assert intervals == [4.0, 6.0, 9.0, 10.0, 10.0]
    assert cadence.interval(last, 0.0, changed=True) == 4.0


def test_a_slow_backend_is_asked_less_often() -> None:
    """Five times the query's duration, as long as the cap allows."""
    cadence = Cadence(floor=1.0, cap=60.0)
    assert cadence.interval(1.0, 2.0, changed=True) == 10.0
    assert cadence.interval(1.0, 20.0, changed=True) == 60.0


@pytest.mark.parametrize(
    ("wish", "query", "expected"),
    [(None, 0.0, 7.0), (20.0, 0.0, 20.0), (1.0, 0.0, 5.0), (900.0, 0.0, 60.0), (6.0, 2.0, 10.0)],
)
def test_a_wish_counts_as_far_as_the_backend_bears_it(
    wish: float | None, query: float, expected: float
) -> None:
    """Not below the floor or five times the query, not above the cap; no wish: the lane's own."""
    assert Cadence(floor=5.0, cap=60.0).wished(wish, 7.0, query) == expected


def test_without_growth_a_quiet_lane_is_asked_as_often_as_any() -> None:
    """And one slow query does not make it slow for good."""
    cadence = Cadence(floor=1.0, cap=60.0, growth=1.0)
    assert cadence.interval(1.0, 0.01, changed=False) == 1.0
    assert cadence.interval(25.0, 0.01, changed=False) == 1.0


@pytest.mark.parametrize("changed", [True, False])
def test_an_interval_stays_while_queries_take_about_as_long(changed: bool) -> None:
    """One that changes with every query would have no grid, and make batches due too soon."""
    cadence = Cadence(floor=1.0, cap=60.0, growth=1.0)
    intervals, last = [], None
    for query in (1.0, 0.9, 0.75, 1.1, 1.0, 0.2):
        last = cadence.interval(last, query, changed)
        intervals.append(last)
    assert intervals == pytest.approx([5.0, 5.0, 5.0, 5.5, 5.5, 1.0])


@given(st.integers(1, 10_000), st.floats(0.0, 1.0, exclude_max=True))
def test_backoff_is_bounded(failures: int, jitter: float) -> None:
    """Between half and one and a half of the doubled base; never above the cap, beyond which a
    backend may have forgotten what has ended."""
    cadence = Cadence(retry_base=2.0, cap=300.0)
    plain = 2.0 * 2.0 ** min(failures - 1, 60)
    assert 0.5 * min(300.0, plain) <= cadence.backoff(failures, jitter) <= min(300.0, 1.5 * plain)


@pytest.mark.parametrize(("failures", "wait"), [(1, 2.0), (2, 4.0), (3, 8.0), (9, 225.0)])
def test_backoff_doubles(failures: int, wait: float) -> None:
    """With the jitter in its middle."""
    assert Cadence(retry_base=2.0, cap=300.0).backoff(failures, 0.5) == wait
