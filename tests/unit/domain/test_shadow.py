"""Two monitors compared: lag is no disagreement, and two ends that differ are."""

from __future__ import annotations

import pytest

from gangamon.domain.shadow import END, GANGA, GANGAMON, RUNNING, Comparison, Kind
from gangamon.domain.status import JobStatus as S

BOUND = 100.0


@pytest.fixture
def both() -> Comparison:
    """Job 7.0, submitted at 0."""
    found = Comparison(BOUND)
    found.begin("7.0", 1, S.SUBMITTED, 0.0)
    return found


def _hear(both: Comparison, *told: tuple[str, S, float]) -> Kind | None:
    """The last finding."""
    finding = None
    for who, status, at in told:
        finding = both.hear(who, "7.0", 1, status, at)
    return finding.kind if finding is not None else None


def test_what_the_other_catches_up_with_is_lag(both: Comparison) -> None:
    """gangamon knew of both earlier; nothing is found until both have ended."""
    assert not _hear(both, (GANGAMON, S.RUNNING, 5), (GANGAMON, S.COMPLETING, 20))
    assert not _hear(both, (GANGAMON, S.COMPLETED, 21), (GANGA, S.RUNNING, 30))
    finding = both.hear(GANGA, "7.0", 1, S.COMPLETED, 60)
    assert finding is not None
    assert (finding.kind, finding.leads) == (Kind.AGREED, {RUNNING: 25, END: 40})
    assert not len(both)


def test_ganga_may_be_first(both: Comparison) -> None:
    """Then the lead is negative. What one of them never showed is not measured."""
    assert not _hear(both, (GANGA, S.COMPLETED, 10), (GANGAMON, S.COMPLETING, 12))
    finding = both.hear(GANGAMON, "7.0", 1, S.COMPLETED, 13)
    assert finding is not None
    assert finding.leads == {RUNNING: -2, END: -2}


def test_what_was_known_from_the_beginning_is_no_lead() -> None:
    """A job that ran when it was first looked at: only its end is measured."""
    both = Comparison(BOUND)
    both.begin("7.0", 1, S.RUNNING, 0.0)
    both.hear(GANGAMON, "7.0", 1, S.COMPLETED, 4)
    finding = both.hear(GANGA, "7.0", 1, S.COMPLETED, 5)
    assert finding is not None
    assert finding.leads == {END: 1}


@pytest.mark.parametrize("first", [GANGA, GANGAMON])
@pytest.mark.parametrize(
    ("ganga", "gangamon"),
    [(S.FAILED, S.COMPLETED), (S.COMPLETED, S.FAILED), (S.FAILED, S.KILLED)],
)
def test_two_ends_that_differ_contradict_each_other_at_once(
    both: Comparison, first: str, ganga: S, gangamon: S
) -> None:
    """Whoever says it last; and it is found once."""
    told = [(GANGA, ganga, 1.0), (GANGAMON, gangamon, 2.0)]
    told.sort(key=lambda one: one[0] != first)
    assert _hear(both, *told) is Kind.CONTRADICTION
    assert _hear(both, *told) is None


@pytest.mark.parametrize("gangamon", [None, S.RUNNING, S.COMPLETED, S.FAILED])
def test_what_is_killed_in_ganga_is_its_users_word(both: Comparison, gangamon: S | None) -> None:
    """Whatever gangamon says of it, before or never."""
    if gangamon is not None:
        assert not _hear(both, (GANGAMON, gangamon, 1))
    assert _hear(both, (GANGA, S.KILLED, 2)) is Kind.TAKEN_BACK


def test_both_may_say_killed(both: Comparison) -> None:
    """The backend killed it."""
    assert _hear(both, (GANGAMON, S.KILLED, 1), (GANGA, S.KILLED, 2)) is Kind.AGREED


def test_who_is_late_for_long_is_told_once(both: Comparison) -> None:
    """Not before the bound; and not any more once it knows."""
    _hear(both, (GANGAMON, S.RUNNING, 10))
    assert both.overdue(10 + BOUND) == []
    (late,) = both.overdue(11 + BOUND)
    assert (late.kind, late.behind, late.what) == (Kind.BEHIND, GANGA, RUNNING)
    assert both.overdue(500) == []
    assert both.differs(late)
    _hear(both, (GANGA, S.COMPLETED, 600))
    assert not both.differs(late)
    (late,) = both.overdue(601 + BOUND)
    assert (late.behind, late.what) == (GANGAMON, END)


def test_a_requeue_is_no_milestone(both: Comparison) -> None:
    """Back to submitted and running again: the first time counts."""
    _hear(both, (GANGAMON, S.RUNNING, 1), (GANGAMON, S.SUBMITTED, 2), (GANGAMON, S.RUNNING, 3))
    _hear(both, (GANGA, S.RUNNING, 4), (GANGAMON, S.FAILED, 5))
    finding = both.hear(GANGA, "7.0", 1, S.FAILED, 6)
    assert finding is not None
    assert finding.leads == {RUNNING: 3, END: 1}


def test_only_the_attempt_that_is_followed_counts(both: Comparison) -> None:
    """A word about an earlier one, or about a job that is not followed, is nobody's."""
    both.begin("7.0", 2, S.SUBMITTED, 50)
    assert both.hear(GANGAMON, "7.0", 1, S.FAILED, 51) is None
    assert both.hear(GANGAMON, "8", 1, S.FAILED, 51) is None
    assert both.hear(GANGA, "7.0", 2, S.COMPLETED, 52) is None
    assert both.attempt("7.0") == 2
    assert both.of(7) == ["7.0"]
    both.forget(both.of(7))
    assert both.overdue(1000) == []
