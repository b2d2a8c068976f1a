"""What a dead process had in hand is taken up at the next tick, and by nobody twice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gangamon.domain.status import JobStatus
from gangamon.errors import LeaseLost
from gangamon.services import hands
from tests.support.backend import DONE, RUNNING
from tests.support.rig import POLL, Rig
from tests.support.waiting import until

#: So long that only a death is seen within a test.
LEASE = 10_000.0

SAY = """
import sys
from gangamon.services import hands
print(hands.mark(), flush=True)
sys.stdin.read()
"""


@contextmanager
def worker() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process, and how claims name it."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", SAY], stdin=pipe, stdout=pipe, text=True) as made:
        assert made.stdout is not None
        yield made, f"poll@host:some-task {made.stdout.readline().strip()}"
        made.kill()


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(60)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    found = Rig(tmp_path, lease=LEASE)
    found.begin(1)
    return found


def test_a_process_is_dead_when_it_has_ended() -> None:
    """Not while it lives; as a zombie already."""
    with worker() as (process, by):
        assert not hands.is_dead(by)
        process.kill()
        until(lambda: hands.is_dead(by), 60, "a zombie is dead")
        process.wait(60)
        assert hands.is_dead(by)


def test_a_later_process_of_the_same_number_is_another() -> None:
    """Its number is taken again, and what began then is not what died."""
    space, pid, start = hands.mark().split()
    assert int(pid) == os.getpid()
    assert not hands.is_dead(f"w:t {space} {pid} {start}")
    assert hands.is_dead(f"w:t {space} {pid} {int(start) - 1}")


@pytest.mark.parametrize("by", ["", "w1", "w:t elsewhere/boot/1 1 1", "w:t 1 1", "w:t  x y z"])
def test_what_cannot_be_known_is_not_dead(by: str) -> None:
    """Another host, another namespace, or a worker that does not say."""
    assert not hands.is_dead(by)


def test_a_dead_workers_claim_is_taken_up_by_the_next_tick(rig: Rig) -> None:
    """Without waiting for its lease; the living one's stays."""
    rig.begin(1, command_id="e2", master=8)
    rig.backend.limits = rig.backend.limits.__class__(jobs=100, slots=3)
    rig.dispatcher.push([POLL])
    first, second = rig.sent.take(POLL), rig.sent.take(POLL)
    with worker() as (dying, one), worker() as (_, other):
        assert rig.store.begin(first.token, one, LEASE) is not None
        assert rig.store.begin(second.token, other, LEASE) is not None
        assert rig.tick.run() == 0
        kill(dying)
        assert rig.tick.run() == 1
    assert rig.sent.take(POLL).members == first.members
    assert rig.store.begun() == {second.token: other}


def test_what_the_dead_had_sent_is_refused(rig: Rig) -> None:
    """A commit that comes after its claim was taken up changes nothing: the token is the guard."""
    claim = rig.claim(POLL)
    with worker() as (process, by):
        assert rig.store.begin(claim.token, by, LEASE) is not None
        (batch,) = rig.store.batches(claim.members)
        kill(process)
    rig.tick.run()
    with pytest.raises(LeaseLost):
        rig.store.commit(claim.token, batch.id, batch.master, [], 1.0)
    rig.backend.answers = [{"7.0": RUNNING}, {"7.0": DONE}]
    assert rig.poll.run(rig.sent.take(POLL).token, "w2") == 1
    assert rig.job().status is JobStatus.RUNNING


def test_a_death_counts_as_a_strike(rig: Rig) -> None:
    """What kills every worker that takes it up is set aside, as after leases that ran out."""
    for _ in range(5):
        claim = rig.claim(POLL)
        with worker() as (process, by):
            assert rig.store.begin(claim.token, by, LEASE) is not None
            kill(process)
        rig.tick.run()
    assert [letter.name.rsplit(":", 1)[1] for letter in rig.store.dead("alice")] == ["0"]
