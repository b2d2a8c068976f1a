"""A claim's slots and its token are for queries: free with the answer, back where none was made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gangamon.domain.lane import Lane
from gangamon.protocols import Committed, Outcome, Polite
from gangamon.services.alarm import Alarm
from tests.support.backend import DONE, RUNNING
from tests.support.commands import LANE, OWNER, enqueue, withdraw
from tests.support.rig import POLL, Rig
from tests.support.waiting import until


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """Two masters of one job each; one query at a time, each of one batch."""
    found = Rig(tmp_path)
    found.backend.limits = replace(found.backend.limits, jobs=100, slots=1, rate=2.0, burst=30)
    found.begin(1)
    found.begin(1, command_id="e2", master=8)
    return found


def tokens(rig: Rig) -> float:
    return float(str(rig.redis.hget(rig.store.keys.of("budget", str(LANE)), "tokens")))


def test_the_next_query_does_not_wait_for_commits(rig: Rig) -> None:
    """It is sent when the answer is there, although the claim goes on."""
    rig.backend.answers = [{"7.0": RUNNING, "8.0": RUNNING}]
    rig.dispatcher.push([POLL])
    (claim,) = rig.sent.claims
    commit, sent = rig.store.commit_all, []

    def watched(token: str, outcomes: Sequence[Outcome]) -> Sequence[Committed | None]:
        sent.append(len(rig.sent.claims))
        assert token in rig.store.begun(), "its lease goes on"
        return commit(token, outcomes)

    rig.store.commit_all = watched  # type: ignore[assignment]
    assert rig.poll.run(claim.token, "w1") == 1
    assert sent == [2]


def test_no_second_query_before_the_answer(rig: Rig) -> None:
    """The one slot is taken while the backend is asked."""
    during = []

    def ask() -> None:
        rig.dispatcher.push([POLL])
        during.append(len(rig.sent.claims))

    class Watching(dict[str, object]):
        def get(self, *args: object) -> object:  # type: ignore[override]
            ask()
            return super().get(*args)  # type: ignore[call-overload]

    rig.backend.answers = [Watching({"7.0": DONE, "8.0": DONE})]  # type: ignore[list-item]
    rig.dispatcher.push([POLL])
    rig.poll.run(rig.sent.claims[0].token, "w1")
    assert during and set(during) == {1}


def test_a_probe_keeps_its_slots(rig: Rig) -> None:
    """While a lane is paused there is one probe: the next waits for what it commits."""
    claim = rig.claim(POLL)
    rig.store.begin(claim.token, "w1", 30.0)
    rig.store.pause(str(LANE), "credential", 0.0)
    rig.store.answered(claim.token, POLL)
    assert rig.store.claim(POLL, 1, 30.0, 5, Polite(5)) is None
    rig.store.resume(str(LANE))
    rig.store.answered(claim.token, POLL)
    assert rig.store.claim(POLL, 1, 30.0, 1, Polite(1)) is not None


def test_a_claim_that_asks_nothing_costs_nothing(rig: Rig) -> None:
    """Its jobs were withdrawn before a worker had it: the budget has the token back."""
    rig.dispatcher.push([POLL])
    before = tokens(rig)
    for master in (7, 8):
        rig.store.withdraw(OWNER, "", withdraw(master, command_id=f"w{master}"))
    assert rig.poll.run(rig.sent.take(POLL).token, "w1") == 0
    assert rig.backend.asked == []
    assert tokens(rig) == pytest.approx(before + 1)


@pytest.mark.parametrize(("begun", "back"), [(False, 1), (True, 0)])
def test_a_claim_that_nobody_began_costs_nothing(rig: Rig, begun: bool, back: int) -> None:
    """Its message was lost; one that was begun may have asked."""
    claim = rig.store.claim(POLL, 1, 0.05, 1, Polite(1, 2.0, 30))
    assert claim is not None
    if begun:
        rig.store.begin(claim.token, "w1", 0.05)
    before = tokens(rig)
    until(rig.store.rescue, 60, "the lease expires")
    assert tokens(rig) == pytest.approx(before + back)


def test_ripe(rig: Rig) -> None:
    """Now, at a due time, with the next token; never before a query ends or a lane is resumed."""
    polite = Polite(5, 0.01, 1)
    assert rig.store.ripe("poll.Local|empty|-", 1, polite) is None
    assert rig.store.ripe(POLL, 1, polite) == 0
    claim = rig.store.claim(POLL, 1, 30.0, 2, polite)
    assert claim is not None
    wait = rig.store.ripe(POLL, 2, polite)
    assert wait is not None and 10 < wait <= 100, "the next token"
    assert rig.store.ripe(POLL, 1, polite) is None, "no slot"
    rig.store.postpone(claim.token, POLL, claim.members[0], 500.0)
    other = rig.store.claim(POLL, 1, 30.0, 2, Polite(5))
    assert other is not None
    rig.store.postpone(other.token, POLL, other.members[0], 900.0)
    wait = rig.store.ripe(POLL, 1, Polite(5))
    assert wait is not None and 300 < wait <= 500, "the sooner of the two"
    rig.store.open_breaker(str(LANE), 700.0)
    wait = rig.store.ripe(POLL, 1, Polite(5))
    assert wait is not None and 500 < wait <= 700, "when the breaker lets a probe through"
    rig.store.pause(str(LANE), "maintenance", None)
    assert rig.store.ripe(POLL, 1, Polite(5)) is None


def test_an_alarm_calls_in_time_and_goes_on_after_a_fault() -> None:
    """The sooner of two calls of one name; what one raises does not end the thread."""
    alarm, calls = Alarm(), []

    def fail() -> None:
        calls.append("fail")
        raise RuntimeError("a fault")

    alarm.set("a", 1000.0, lambda: calls.append("late"))
    alarm.set("a", 0.0, fail)
    until(lambda: calls == ["fail"], 60, "the sooner one is called")
    alarm.set("a", 0.0, lambda: calls.append("again"))
    until(lambda: calls == ["fail", "again"], 60, "it goes on")


def test_lanes_of_one_endpoint_take_turns_at_its_slots(rig: Rig) -> None:
    """A lane that found them taken is pushed by whoever frees one, before its own lane."""
    other = Lane("Local", LANE.endpoint, "proxy")
    limits = replace(rig.backend.limits, rate=0.0, endpoint_slots=1)
    rig.backend.limits = limits
    assert not rig.store.enqueue(OWNER, "", enqueue(1, "e3", 9, lane=other))
    rig.backend.answers = [{}]
    rig.dispatcher._alarm = Silent()
    rig.dispatcher.push([POLL, f"poll.{other}"])
    assert rig.sent.queues() == [POLL]
    rig.poll.run(rig.sent.take(POLL).token, "w1")
    assert rig.sent.queues() == [f"poll.{other}"]
    rig.poll.run(rig.sent.take(f"poll.{other}").token, "w1")
    assert rig.sent.queues() == [POLL], "the other batch of the first lane"


class Silent(Alarm):
    """Never rings."""

    def set(self, name: str, seconds: float, call: Callable[[], object]) -> None:
        pass
