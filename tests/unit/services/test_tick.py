"""The tick: idempotent, and no part of it holds up another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from gangamon.domain.command import Enqueue
from gangamon.domain.lane import Lane
from gangamon.errors import DiskFull
from gangamon.services.tick import Tick
from tests.support.backend import DONE
from tests.support.commands import OWNER, REPOSITORY, enqueue, register, spec
from tests.support.rig import FETCH, MERGE, POLL, Rig, content
from tests.support.waiting import until


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    found = Rig(tmp_path)
    found.send(register(str(tmp_path)))
    return found


def at(rig: Rig, jobs: int | list[Any] = 2, **given: Any) -> Enqueue:
    return enqueue(jobs, workspace=f"{rig.folder}/{given.get('master', 7)}", **given)


def test_one_tick_takes_in_and_sends(rig: Rig) -> None:
    """What an inbox holds is on its way to a worker after one tick."""
    rig.send(at(rig))
    assert rig.tick.run() == 1
    assert rig.sent.queues() == [POLL]
    assert rig.sent.claims[0].jobs == 2
    assert rig.inbox.tick_age() is not None


def test_a_second_tick_sends_nothing_twice(rig: Rig) -> None:
    """What is claimed stays claimed."""
    rig.send(at(rig))
    assert [rig.tick.run(), rig.tick.run()] == [1, 0]


def test_the_slots_of_a_lane_bound_what_is_sent(rig: Rig) -> None:
    """Back-pressure: as many queries at once as the backend bears, each as large as it bears."""
    rig.backend.limits = rig.backend.limits.__class__(jobs=200, slots=2)
    commands = [at(rig, [spec(n)], command_id=f"e{n}", total=9) for n in range(9)]
    rig.send(*commands)
    assert rig.tick.run() == 2
    assert [claim.jobs for claim in rig.sent.claims] == [2, 2]


def test_a_lane_without_its_plugin_waits_and_holds_up_no_other(rig: Rig) -> None:
    """Another host may have the plugin; here its queue is left alone."""
    rig.store.register(OWNER, register(str(rig.folder)))
    rig.store.enqueue(OWNER, "", at(rig, lane=Lane("Dirac", "lhcb")))
    rig.store.enqueue(OWNER, "", at(rig, command_id="e2", master=8))
    assert rig.tick.run() == 1
    assert rig.sent.queues() == [POLL]
    assert rig.depth("poll.Dirac|lhcb|-") == (1, 0)


def test_an_expired_claim_is_sent_again(tmp_path: Path) -> None:
    """A lost message costs a lease."""
    rig = Rig(tmp_path, lease=0.1)
    rig.send(register(str(tmp_path)), at(rig))
    rig.tick.run()
    lost = rig.sent.take(POLL)
    until(rig.tick.run, 60, "the claim is sent again")
    again = rig.sent.take(POLL)
    assert again.members == lost.members
    assert again.token != lost.token


def test_an_emptied_store_is_rebuilt_before_anything_else(rig: Rig) -> None:
    """A new epoch, all masters again, and their batches sent in the same tick."""
    rig.send(at(rig))
    rig.tick.run()
    before, epoch = content(rig.store), rig.store.epoch()
    rig.redis.flushall()
    rig.sent.claims.clear()
    assert rig.tick.run() == 1
    assert content(rig.store) == before
    assert rig.store.epoch() != epoch
    assert rig.sent.queues() == [POLL]


class FullJournal:
    """A journal on a full disk."""

    def append(self, records: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        if records:
            raise DiskFull("journal: No space left on device")

    def identity(self) -> str:
        return "full"

    def tail(self) -> str:
        return ""

    def replay(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        return ()


def test_a_full_journal_holds_up_nothing_but_commands(rig: Rig) -> None:
    """Jobs that were taken in are asked about, and expired claims taken back, all the same."""
    rig.send(at(rig))
    rig.intake.run()
    rig.send(at(rig, command_id="e2", master=8))
    tick = Tick(rig.store, rig.new_intake(FullJournal()), rig.dispatcher)
    assert tick.run() == 1
    assert rig.inbox.tick_age() is not None
    assert rig.store.master(OWNER, REPOSITORY, 8) is None
    assert len(rig.store.inbox(10)) == 1


def test_stages_follow_without_a_tick(rig: Rig) -> None:
    """From the poll to the merge each commit sends what it made due."""
    rig.begin(1)
    rig.backend.answers = [{"7.0": DONE}]
    rig.tick.run()
    rig.poll.run(rig.sent.take(POLL).token, "w1")
    assert rig.sent.queues() == [FETCH]
    rig.fetch.run(rig.sent.take(FETCH).token, "w1")
    assert rig.sent.queues() == [MERGE]
