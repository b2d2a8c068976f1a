"""How far a merge is: told while it runs, in bytes and files, and forgotten when it is over."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from gangamon.domain.command import MergerSpec
from gangamon.errors import LeaseLost
from gangamon.postprocess import progress as seen
from gangamon.protocols import NOTHING, Master, MergeOrder, Merging, Written
from gangamon.services import progress
from gangamon.services.grow import Grow
from gangamon.services.merge import Merge
from gangamon.services.progress import Progress
from gangamon.views import jobs as views
from tests.support.backend import DONE
from tests.support.commands import REPOSITORY, the_master
from tests.support.growing import GrowRig, begun
from tests.support.rig import MERGE, Rig, client_of
from tests.support.waiting import until

WITHIN = 120.0


def ended(tmp_path: Path) -> Rig:
    """Two jobs whose outputs, of 1000 bytes each, are to be merged."""
    rig = Rig(tmp_path)
    told = Progress(rig.store, seen.expected, seen.written)
    rig.merge = Merge(rig.store, rig.keeper, rig.dispatcher, lambda _: rig.merger, told)
    for sub in (0, 1):
        output = tmp_path / "7" / str(sub) / "output"
        output.mkdir(parents=True)
        (output / "data").write_bytes(bytes(1000))
    rig.begin(2, mergers=(MergerSpec("TextMerger", ("data",)),))
    rig.backend.answers = [{"7.0": DONE, "7.1": DONE}]
    rig.ask()
    rig.fetch_all()
    return rig


def test_told_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies hidden in the target, of what goes in; and when all of it may be there."""
    monkeypatch.setattr(progress, "EVERY", 0.02)
    rig = ended(tmp_path)
    client = client_of(rig, tmp_path)

    def record() -> Master:
        found = client.master(REPOSITORY, 7)
        assert found is not None
        return found

    said: list[str] = []

    def merging(order: MergeOrder) -> None:
        hidden = Path(order.target, ".gangamon-x")
        hidden.mkdir(parents=True)
        Path(order.target, "data").write_bytes(bytes(5000))  # of an earlier merge
        for size in (500, 1500):
            (hidden / "data").write_bytes(bytes(size))
            until(lambda size=size: record().merging.bytes == size, WITHIN, "it is told")  # type: ignore[misc]
            said.append(views.line(record()))
        found = record().merging
        assert (found.files, found.whole, found.first) == (2, 2000, 500)
        left = views.merge_left(record())
        assert left == pytest.approx(500 * found.seconds / 1000)
        assert views.as_dict(record())["merging"]["left"] == left

    rig.merger.does = merging
    assert rig.merge.run(rig.claim(MERGE).token, "w1") == 1
    assert said[0].endswith("500 B of 1.95 KiB, 2 files merged")
    assert "1.46 KiB of 1.95 KiB, 2 files merged, all in " in said[1]
    assert record().merging == Merging()
    assert "merged" not in views.line(record())


def test_a_short_merge_is_not_watched(tmp_path: Path) -> None:
    """It is over before the first look, and its thread with it."""
    rig = ended(tmp_path)
    before = threading.active_count()
    rig.merge._progress = Progress(rig.store, lambda _: pytest.fail("looked"), lambda _: 0)
    assert rig.merge.run(rig.claim(MERGE).token, "w1") == 1
    assert threading.active_count() <= before + 1  # that of the leases


def test_what_grows_is_told_too(tmp_path: Path) -> None:
    rig = GrowRig(tmp_path)
    told = Progress(rig.store, seen.expected, seen.written)
    rig.use(Grow(rig.store, rig.keeper, lambda _: rig.growing, rig.forgotten.append, told))
    begun(rig)
    target = tmp_path / "7" / "output"
    target.mkdir(parents=True, exist_ok=True)

    def grown(_: MergeOrder) -> None:
        (target / ".gangamon-grow-x").write_bytes(bytes(1200))

    rig.growing.does = grown
    rig.end(0)
    rig.slice()
    found = the_master(rig.store)
    assert found.merging.bytes == 1200
    assert views.merging(found) == "1.17 KiB merged while it runs"
    assert views.merge_left(found) is None


def test_whose_claim_is_lost_notes_nothing(tmp_path: Path) -> None:
    rig = ended(tmp_path)
    claim = rig.claim(MERGE)
    master = the_master(rig.store)
    with pytest.raises(LeaseLost):
        rig.store.note_merging("another", claim.members[0], master, 5, NOTHING)
    rig.store.note_merging(claim.token, claim.members[0], master, 5, Written(1, 10))
    assert the_master(rig.store).merging.bytes == 5
    gone = replace(master, id=8)
    rig.store.note_merging(claim.token, claim.members[0], gone, 5, NOTHING)
    assert not rig.redis.exists(rig.store.keys.master(gone.owner, gone.repository, 8))


def test_a_target_that_is_not_there() -> None:
    assert seen.written("/no/such/place") == 0
