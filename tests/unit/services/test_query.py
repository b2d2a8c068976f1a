"""Asking a backend: one bad id blinds nobody, and one bad answer is not believed."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence

import pytest

from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Unreachable
from gangamon.domain.status import JobStatus
from gangamon.errors import BackendUnreachable, CredentialMissing, PermanentError
from gangamon.protocols import Limits, PollItem
from gangamon.services.query import MASS, MOST_BAD, Query
from tests.support.backend import RUNNING, SUBMITTED
from tests.support.commands import LANE

ABSENT = Absent("script")


class NoSuchId(PermanentError):
    """What a plugin raises about an id that will never be good."""


class Fake:
    """A backend that fails on any query with a bad id; else as the answers say, then RUNNING."""

    name = "Local"
    limits = Limits()

    def __init__(self, bad: Collection[str] = (), error: Exception | None = None) -> None:
        self.bad = set(bad)
        self.error = error or ValueError("cannot parse the answer")
        self.answers: list[Callable[[Sequence[PollItem]], Mapping[str, Observation]]] = []
        self.asked: list[list[str]] = []

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        self.asked.append([item.key for item in items])
        if self.bad & {item.key for item in items}:
            raise self.error
        if self.answers:
            return self.answers.pop(0)(items)
        return {item.key: RUNNING for item in items}

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        return {item.key: SUBMITTED for item in items}


def items(count: int) -> list[PollItem]:
    return [PollItem(f"7.{n}", f"n{n}", JobStatus.SUBMITTED, "/d") for n in range(count)]


def keys(count: int) -> list[str]:
    return [item.key for item in items(count)]


def absent(items: Sequence[PollItem]) -> Mapping[str, Observation]:
    return {item.key: ABSENT for item in items}


def failing(items: Sequence[PollItem]) -> Mapping[str, Observation]:
    raise BackendUnreachable("down")


@pytest.mark.parametrize("bad", [0, 500, 999])
def test_a_bad_id_is_found_with_few_queries(bad: int) -> None:
    """By halving: two queries for each power of two, and all others are answered."""
    fake = Fake({f"7.{bad}"})
    query = Query(fake, LANE)
    seen = query.ask(items(1000), keys(1000))
    assert sorted(seen) == sorted(set(keys(1000)) - {f"7.{bad}"})
    assert query.bad == {f"7.{bad}": "ValueError: cannot parse the answer"}
    assert query.asked.queries == len(fake.asked) <= 2 * math.ceil(math.log2(1000)) + 1


def test_several_bad_ids_are_each_found() -> None:
    """As many as may be bad by themselves."""
    bad = {f"7.{n}" for n in (0, 1, 50, 98, 99)}
    assert len(bad) == MOST_BAD
    query = Query(Fake(bad), LANE)
    assert len(query.ask(items(100), [])) == 95
    assert set(query.bad) == bad


@pytest.mark.parametrize("count", [1, 2, MOST_BAD, MOST_BAD + 1, 1000])
def test_what_fails_on_all_says_nothing_about_an_id(count: int) -> None:
    """A bug of the plugin, an answer of a new format: the lane has failed, in few queries."""
    fake = Fake(keys(count))
    with pytest.raises(ValueError, match="cannot parse"):
        Query(fake, LANE).ask(items(count), [])
    assert len(fake.asked) <= 2 * math.ceil(math.log2(count) if count > 1 else 1) + 2 * MOST_BAD


def test_more_bad_ids_than_a_query_may_have() -> None:
    """The query has failed; it does not go on until all of a thousand are tried."""
    fake = Fake(keys(1000)[::2])
    with pytest.raises(ValueError, match="cannot parse"):
        Query(fake, LANE).ask(items(1000), [])
    assert len(fake.asked) < 40


def test_a_single_job_is_bad_where_the_plugin_says_so() -> None:
    """PermanentError on one item alone: the job is set aside, the lane has not failed."""
    query = Query(Fake(keys(1), NoSuchId("no such id")), LANE)
    assert query.ask(items(1), []) == {}
    assert query.bad == {"7.0": "NoSuchId: no such id"}


@pytest.mark.parametrize("error", [BackendUnreachable("down"), CredentialMissing("expired")])
def test_a_backend_that_cannot_be_asked_is_asked_once(error: Exception) -> None:
    """Halves would do no better."""
    fake = Fake({"7.1"}, error)
    with pytest.raises(type(error)):
        Query(fake, LANE).ask(items(8), [])
    assert len(fake.asked) == 1


def test_a_mass_disappearance_that_is_confirmed_is_believed() -> None:
    """Only those that vanished are asked about again, once."""
    fake = Fake()
    fake.answers = [lambda i: {**absent(i), "7.0": RUNNING}, absent]
    seen = Query(fake, LANE).ask(items(20), keys(20))
    assert fake.asked == [keys(20), keys(20)[1:]]
    assert seen == {**dict.fromkeys(keys(20)[1:], ABSENT), "7.0": RUNNING}


def test_a_mass_disappearance_that_is_not_confirmed_is_not_believed() -> None:
    """An answer that was cut off: the second one names them all."""
    fake = Fake()
    fake.answers = [absent]
    assert Query(fake, LANE).ask(items(20), keys(20)) == dict.fromkeys(keys(20), RUNNING)
    assert len(fake.asked) == 2


@pytest.mark.parametrize("error", [BackendUnreachable("down"), ValueError("cut off")])
def test_a_mass_disappearance_is_nothing_if_it_cannot_be_asked_again(error: Exception) -> None:
    """What the first answer named is learnt; of the others nothing."""

    def away(_: object) -> Mapping[str, Observation]:
        raise error

    fake = Fake()
    fake.answers = [lambda i: {**absent(i), "7.0": RUNNING}, *[away] * 50]
    seen = Query(fake, LANE).ask(items(20), keys(20))
    assert seen.pop("7.0") == RUNNING
    assert sorted(seen) == sorted(keys(20)[1:])
    assert {type(observation) for observation in seen.values()} == {Unreachable}


def test_who_is_not_in_the_second_answer_is_not_gone() -> None:
    """A plugin that breaks its promise confirms nothing."""
    fake = Fake()
    fake.answers = [absent, lambda i: {item.key: ABSENT for item in i[:15]}]
    seen = Query(fake, LANE).ask(items(20), keys(20))
    assert [type(seen[key]) for key in keys(20)] == [Absent] * 15 + [Unreachable] * 5


@pytest.mark.parametrize(
    ("gone", "of", "new"),
    [(MASS - 1, MASS - 1, MASS - 1), (10, 20, 20), (20, 20, 9), (20, 20, 0)],
    ids=["too-few", "half", "mostly-missing-before", "missing-before"],
)
def test_what_is_no_mass_disappearance_is_believed_at_once(gone: int, of: int, new: int) -> None:
    """A few jobs, half of a query, or jobs that were not named before."""
    fake = Fake()
    fake.answers = [lambda i: {x.key: ABSENT if n < gone else RUNNING for n, x in enumerate(i)}]
    seen = Query(fake, LANE).ask(items(of), keys(new))
    assert len(fake.asked) == 1
    assert sum(isinstance(o, Absent) for o in seen.values()) == gone


def test_all_that_was_asked_is_counted() -> None:
    """Halves, repetitions and the second source; the pace is set by the query's longest."""
    fake = Fake({"7.3"})
    query = Query(fake, LANE)
    query.ask(items(4), [])
    asked = query.asked
    assert asked.queries == 5
    assert asked.seconds >= asked.slowest == query.longest > 0
    assert query.second(items(2)) == dict.fromkeys(keys(2), SUBMITTED)
    assert query.asked.queries == 6
    assert query.longest == asked.slowest
