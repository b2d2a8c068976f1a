"""Leases: kept while the work lasts, gone soon after its process."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from gangamon.domain.status import JobStatus
from gangamon.errors import StoreUnavailable
from gangamon.protocols import FetchOrder
from gangamon.services.leases import LeaseKeeper
from tests.support.backend import DONE
from tests.support.rig import FETCH, POLL, Rig
from tests.support.waiting import until

LEASE = 0.3


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    found = Rig(tmp_path, lease=LEASE)
    found.begin(1)
    return found


def expiry(rig: Rig, token: str) -> float:
    """When a lease ends, ms; 0 if there is none."""
    return rig.redis.zscore(rig.store.keys.of("leases"), token) or 0.0


class Turns(threading.Event):
    """The keeper's clock: a wait ends when the test says that its time is over."""

    def __init__(self) -> None:
        super().__init__()
        self._over = threading.Semaphore(0)
        self.waits: set[float] = set()

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.add(timeout)
        return not self._over.acquire(timeout=120)

    def turn(self) -> None:
        self._over.release()


def test_a_lease_lasts_as_long_as_the_work(tmp_path: Path) -> None:
    """Work five times as long as its lease: never taken back, and committed."""
    # The time that passes is taken off the leases, so that a pause of the machine is none of them.
    lease, clock = 600.0, Turns()
    rig = Rig(tmp_path, lease=lease)
    rig.keeper._wake = clock
    rig.begin(1)
    rig.backend.answers = [{"7.0": DONE}]
    rig.ask()
    claim = rig.claim(FETCH)

    def slow(order: FetchOrder) -> None:
        for _ in range(15):
            (wait,) = until(lambda: clock.waits, 60, "the keeper waits")
            rig.redis.zincrby(rig.store.keys.of("leases"), -wait * 1000, claim.token)
            assert rig.store.rescue() == []
            assert rig.depth(FETCH) == (0, 1)
            before = expiry(rig, claim.token)
            clock.turn()
            until(lambda least=before: expiry(rig, claim.token) > least, 60, "it is renewed")

    rig.fetcher.does = slow
    assert rig.fetch.run(claim.token, "w1") == 1
    assert rig.job().status is JobStatus.COMPLETED
    assert max(clock.waits) <= lease / 3


def test_a_lease_ends_with_its_keeper(rig: Rig) -> None:
    """Begun by a process that died: another gets the work, after the lease and not before."""
    claim = rig.claim(POLL)
    assert rig.store.begin(claim.token, "dead", LEASE) is not None
    end = expiry(rig, claim.token)
    (back,) = until(rig.store.rescue, 60, "the lease expires")
    assert (back.queue, back.what) == (POLL, "back")
    seconds, micros = rig.redis.time()
    assert seconds * 1000 + micros / 1000 >= end
    assert rig.claim(POLL).members == claim.members


def test_a_lease_that_is_not_held_any_more_is_not_renewed(rig: Rig) -> None:
    """After the work the keeper lets go, although the process lives."""
    claim = rig.claim(POLL)
    with rig.keeper.hold(claim.token):
        until(lambda: expiry(rig, claim.token) > 0, 60, "the lease is there")
    until(rig.store.rescue, 60, "the lease expires")


def test_many_leases_are_kept_by_one_thread(rig: Rig) -> None:
    """However many claims a process works on."""
    before = threading.active_count()
    for number in range(5):
        rig.begin(1, command_id=f"x{number}", master=10 + number)
    claims = [rig.store.claim(POLL, 1, LEASE, 10) for _ in range(6)]
    tokens = [claim.token for claim in claims if claim]
    assert len(tokens) == 6
    first = [expiry(rig, token) for token in tokens]

    def all_renewed() -> bool:
        return all(expiry(rig, t) > e + 600 for t, e in zip(tokens, first, strict=True))

    with ExitStack() as held:
        for token in tokens:
            held.enter_context(rig.keeper.hold(token))
        until(all_renewed, 60, "all leases are renewed")
        assert threading.active_count() <= before + 1


def test_a_claim_whose_first_answer_was_lost_holds_what_it_took(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks after the script ran and the client asks again: one claim, whole."""
    rig.begin(1, command_id="x1", master=8)
    monkeypatch.setattr("gangamon.store.claims.secrets.token_hex", lambda _: "same")
    first = rig.store.claim(POLL, 1, 30.0, 10)
    again = rig.store.claim(POLL, 1, 30.0, 10)
    assert first is not None
    assert again == first
    assert rig.depth(POLL) == (1, 1)
    begun = rig.store.begin("same", "w1", 30.0)
    assert begun is not None
    assert begun.members == first.members
    rig.store.drop("same", POLL, first.members[0])
    assert rig.depth(POLL) == (1, 0)


def test_a_store_that_was_away_for_a_moment_is_renewed_again(rig: Rig) -> None:
    """One renewal that fails does not end the keeper."""
    renew, failed = rig.store.renew, []

    def flaky(tokens: list[str], lease: float) -> None:
        if len(failed) < 2:
            failed.append(True)
            raise StoreUnavailable("away")
        renew(tokens, lease)

    rig.store.renew = flaky  # type: ignore[method-assign, assignment]
    keeper = LeaseKeeper(rig.store, 0.9)
    claim = rig.store.claim(POLL, 10, 5.0, 2)
    assert claim is not None
    first = expiry(rig, claim.token)
    keeper.lease = 0.3
    with keeper.hold(claim.token):
        until(lambda: expiry(rig, claim.token) != first, 60, "the lease is renewed")
    assert len(failed) == 2
