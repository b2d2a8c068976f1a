"""A storage bears so many transfers at once, of all workers; what is put off is told, with why."""

from __future__ import annotations

from pathlib import Path

import pytest

from gangamon import postprocess
from gangamon.domain.status import JobStatus
from gangamon.errors import LeaseLost, StorageAway, TransientError
from gangamon.protocols import FetchOrder, Manifest
from gangamon.services import fetch
from gangamon.services.fetch import Fetch
from gangamon.views import jobs as views
from tests.support.backend import DONE
from tests.support.commands import OWNER, REPOSITORY
from tests.support.rig import FETCH, Rig, client_of

HERE = "https://storage.example.org:443"
MEMBER = f"{OWNER}:{REPOSITORY}:7:0@1"


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """40 jobs at their end: two claims of their fetches."""
    found = Rig(tmp_path)
    found.begin(40)
    found.backend.answers = [{f"7.{sub}": DONE for sub in range(40)}]
    found.ask()
    return found


def taken(rig: Rig) -> int:
    return int(rig.redis.zcard(rig.store.keys.of("slots", "st", HERE)))


def with_storage(rig: Rig, stored: fetch.Stored, slots: int = 1) -> Fetch:
    return Fetch(
        rig.store,
        rig.keeper,
        rig.dispatcher,
        lambda _: rig.fetcher,
        postprocess.checker,
        3,
        rig.clock,
        stored=stored,
        storage_slots=slots,
    )


def test_slots_are_shared_and_end_with_their_claims(rig: Rig) -> None:
    one, two = rig.claim(FETCH), rig.claim(FETCH)
    for claim in (one, two):
        assert rig.store.begin(claim.token, "w", 3600.0)
    assert rig.store.seat(one.token, HERE, 1, 3600.0)
    assert rig.store.seat(one.token, HERE, 1, 3600.0)
    assert not rig.store.seat(two.token, HERE, 1, 3600.0)
    assert rig.store.seat(two.token, "root://elsewhere", 1, 3600.0)
    assert rig.store.seat(one.token, "", 1, 3600.0)
    assert rig.store.seat(two.token, HERE, 1, 3600.0)
    assert not rig.store.seat(one.token, HERE, 1, 3600.0)
    rig.store.renew([two.token], 7200.0)
    until = rig.redis.zscore(rig.store.keys.of("leases"), two.token)
    assert rig.redis.zscore(rig.store.keys.of("slots", "st", HERE), two.token) == until
    for member in two.members:
        rig.store.drop(two.token, FETCH, member)
    assert taken(rig) == 0
    with pytest.raises(LeaseLost):
        rig.store.seat(two.token, HERE, 1, 3600.0)


def test_a_slot_of_a_worker_that_died_is_free_again(rig: Rig) -> None:
    claim = rig.claim(FETCH)
    rig.store.begin(claim.token, "w", 3600.0)
    assert rig.store.seat(claim.token, HERE, 1, 3600.0)
    rig.redis.zadd(rig.store.keys.of("leases"), {claim.token: 1})
    rig.store.rescue()
    assert taken(rig) == 0


def test_what_waits_for_a_slot_is_put_off(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said why, it does not count as lost however often, and goes on when there is one."""
    monkeypatch.setattr(fetch, "SEAT", 0.0)

    def stored(order: FetchOrder, done: Manifest, slot: object) -> Manifest:
        with slot(HERE):  # type: ignore[operator]
            assert taken(rig) == 1
        return done

    work = with_storage(rig, stored)
    other, mine = rig.claim(FETCH), rig.claim(FETCH)
    rig.store.begin(other.token, "w", 3600.0)
    assert rig.store.seat(other.token, HERE, 1, 3600.0)
    assert work.run(mine.token, "w1") == 0
    tries, reason = rig.store.put_off(FETCH, mine.members[0])
    assert tries == 1
    assert reason == f"{HERE}: busy with 1 transfers, as many as it is given"
    rig.store.seat(other.token, "", 1, 0.0)
    rig.hurry(FETCH)
    assert work.run(rig.claim(FETCH).token, "w1") > 0
    assert taken(rig) == 0


def test_why_says_for_what_a_fetch_waits(rig: Rig, tmp_path: Path) -> None:
    """How often, and the last reason; nothing any more when it is done, or given up."""
    client = client_of(rig, tmp_path)

    def told() -> str:
        found = views.look(client, REPOSITORY, 7, 0)
        assert found is not None
        return "\n".join(views.why(client, found))

    def stored(order: FetchOrder, done: Manifest, slot: object) -> Manifest:
        if errors and order.fqid == "7.0":
            raise errors.pop(0)
        return done

    errors: list[Exception] = [StorageAway("h: no proxy"), TransientError("h/x: not there")]
    work = with_storage(rig, stored)
    for wanted in ("put off 1 time, the last one for: h: no proxy",
                   "put off 2 times, the last one for: h/x: not there"):  # fmt: skip
        while rig.store.put_off(FETCH, MEMBER)[1] not in wanted or "put off" not in told():
            rig.hurry(FETCH)
            work.run(rig.claim(FETCH).token, "w1")
        assert wanted in told()
    while rig.statuses()[0] is not JobStatus.COMPLETED:
        rig.hurry(FETCH)
        work.run(rig.claim(FETCH).token, "w1")
    assert "put off" not in told()
    assert rig.store.put_off(FETCH, MEMBER) == (0, "")


def test_progress_in_files_and_bytes(rig: Rig, tmp_path: Path) -> None:
    """What is here, and when the rest may be, at that pace."""
    client = client_of(rig, tmp_path)
    rig.fetch.run(rig.claim(FETCH).token, "w1")
    master = client.master(REPOSITORY, 7)
    assert master is not None
    done = views.over(master)
    assert 0 < done < 40
    assert (master.brought.jobs, master.brought.files) == (done, 2 * done)
    assert master.brought.bytes == 10 * done
    said = views.as_dict(master)["fetched"]
    assert said["left"] == (40 - done) * master.brought.seconds / (done - 1)
    assert f"{2 * done} files, {10 * done} B fetched, all in " in views.line(master)
    rig.fetch_all()
    master = client.master(REPOSITORY, 7)
    assert master is not None
    assert views.left(master) is None
    assert views.line(master).endswith("80 files, 400 B fetched")
