"""What wakes the merge while jobs run, on both kinds of store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from gangamon.domain.command import UNSPLIT
from gangamon.domain.status import JobStatus
from gangamon.errors import LeaseLost
from tests.support.commands import OWNER, REPOSITORY, enqueue, spec, the_master, withdraw
from tests.support.growing import GROW, MERGERS, GrowRig, begun

MEMBER = f"{OWNER}:{REPOSITORY}:7@0"


@pytest.fixture
def rig(tmp_path: Path, connection: Callable[[], redis.Redis]) -> Iterator[GrowRig]:
    to = connection()
    yield begun(GrowRig(tmp_path, to))
    to.connection_pool.disconnect()


def taken(rig: GrowRig) -> str:
    """A claim of the member, begun."""
    rig.hurry(GROW)
    token = rig.claim(GROW).token
    assert rig.store.begin(token, "w1", 3600.0) is not None
    return token


def test_woken_once_and_counted(rig: GrowRig) -> None:
    rig.end(0, 1)
    assert rig.store.woken(OWNER, REPOSITORY, 7) == ("", 2)
    assert rig.depth(GROW) == (1, 0)


def test_it_rests_until_more_comes(rig: GrowRig) -> None:
    """Given back with all taken in, the next fetch wakes it; with more come meanwhile it is due."""
    rig.end(0)
    token = taken(rig)
    assert rig.store.grown(token, MEMBER, 1, 100.0, None) == "open"
    assert rig.depth(GROW) == (0, 0)
    rig.end(1)
    token = taken(rig)
    rig.end(2)
    assert rig.store.grown(token, MEMBER, 1, 100.0, None) == "open"
    assert rig.depth(GROW) == (1, 0)
    assert rig.store.grown(taken(rig), MEMBER, 2, 100.0, None) == "open"
    assert rig.depth(GROW) == (0, 0)


def test_only_who_holds_it_gives_it_back(rig: GrowRig) -> None:
    rig.end(0)
    token = taken(rig)
    rig.store.grown(token, MEMBER, 1, 100.0, 100.0)
    with pytest.raises(LeaseLost):
        rig.store.grown(token, MEMBER, 1, 100.0, None)
    assert rig.depth(GROW) == (1, 0)


def test_the_merge_at_the_end_calls_it_off(rig: GrowRig) -> None:
    """What waits goes; who has it in hand looks after it once more, until the merge is over."""
    rig.end(0)
    rig.end(1, 2, 3)
    assert rig.depth(GROW) == (0, 0)
    assert the_master(rig.store).phase == "merge"


def test_one_in_hand_while_the_merge_begins(rig: GrowRig) -> None:
    rig.end(0)
    token = taken(rig)
    rig.end(1, 2, 3)
    assert rig.store.grown(token, MEMBER, 1, 100.0, 0.0) == "merge"
    assert rig.depth(GROW) == (1, 0)
    rig.redis.hset(rig.store.keys.master(OWNER, REPOSITORY, 7), "phase", "done")
    assert rig.store.grown(taken(rig), MEMBER, 0, 100.0, 0.0) == "done"
    assert rig.depth(GROW) == (0, 0)


def test_a_withdrawn_master(rig: GrowRig) -> None:
    """Where something grows it is due, to be removed; else nothing is left."""
    rig.end(0)
    token = taken(rig)
    rig.store.growing(the_master(rig.store), "/data/7/output")
    rig.store.withdraw(OWNER, "", withdraw())
    assert rig.store.woken(OWNER, REPOSITORY, 7) == ("/data/7/output", 0)
    assert rig.store.grown(token, MEMBER, 1, 100.0, None) == ""
    assert rig.store.woken(OWNER, REPOSITORY, 7) == ("", 0)


def test_states(rig: GrowRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the subs, whatever the size of a portion, with attempts."""
    monkeypatch.setattr("gangamon.store.reads.PORTION", 3)
    specs = [spec(sub) for sub in range(4, 13)]
    more = enqueue(specs, "e2", total=13, workspace=f"{rig.folder}/7", mergers=MERGERS)
    assert not rig.store.enqueue(OWNER, "", more)
    again = enqueue([spec(1, 2)], "e3", total=13, workspace=f"{rig.folder}/7", mergers=MERGERS)
    assert not rig.store.enqueue(OWNER, "", again)
    states = rig.store.states(the_master(rig.store))
    assert list(states) == list(range(13))
    assert states[1] == (2, 0, JobStatus.SUBMITTED)
    assert states[12] == (1, 0, JobStatus.SUBMITTED)


def test_states_of_others(rig: GrowRig) -> None:
    """Subs that are not counted from 0, and a job that was not split, are found too."""
    for number, sub in ((8, 40), (9, UNSPLIT)):
        one = enqueue([spec(sub)], f"e{number}", number, workspace=f"{rig.folder}/{number}")
        assert not rig.store.enqueue(OWNER, "", one)
        states = rig.store.states(the_master(rig.store, number))
        assert states == {sub: (1, 0, JobStatus.SUBMITTED)}
