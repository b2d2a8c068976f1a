"""The merge while jobs run: woken by fetches, one slice at a time, gone with its master."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gangamon import postprocess
from gangamon.domain.command import UNSPLIT, Withdraw
from gangamon.domain.status import JobStatus
from gangamon.errors import DiskFull, TransientError
from gangamon.postprocess import growth
from gangamon.protocols import MergeOrder
from gangamon.services.grow import Grow
from gangamon.services.merge import Merge
from tests.support.backend import DONE, FAILED, RUNNING, ScriptedMerger
from tests.support.commands import OWNER, REPOSITORY, enqueue, spec, the_master, withdraw
from tests.support.growing import GROW, MERGERS, GrowRig, begun
from tests.support.rig import MERGE


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[GrowRig]:
    growth._remembered.clear()
    yield GrowRig(tmp_path)
    growth._remembered.clear()


def test_many_fetches_wake_it_once(rig: GrowRig) -> None:
    """One member, due some seconds after the first of them; not at once."""
    begun(rig)
    rig.end(0)
    due = rig.redis.zscore(rig.store.keys.due(GROW), f"{OWNER}:{REPOSITORY}:7@0")
    rig.end(1, 2)
    assert rig.depth(GROW) == (1, 0)
    assert rig.redis.zscore(rig.store.keys.due(GROW), f"{OWNER}:{REPOSITORY}:7@0") == due
    rig.dispatcher.push([GROW])
    assert GROW not in rig.sent.queues()


def test_a_slice_is_given_the_finished_prefix(rig: GrowRig) -> None:
    """In Ganga's order, up to the first that has not ended, with a fence for each."""
    begun(rig)
    rig.end(0, 1, 3)
    rig.slice()
    (given,) = rig.growing.slices
    assert [(fqid, status) for fqid, status, _ in given.inputs] == [
        ("7.0", JobStatus.COMPLETED),
        ("7.1", JobStatus.COMPLETED),
    ]
    assert given.inputs[1][2] == f"{rig.folder}/7/1/output"
    assert (given.target, list(given.fences)) == (f"{rig.folder}/7/output", ["1.0", "1.0"])
    assert rig.depth(GROW) == (0, 0)


def test_nothing_before_the_first_has_ended(rig: GrowRig) -> None:
    begun(rig)
    rig.end(1, 2)
    assert rig.slice() == 0
    assert rig.growing.slices == []
    rig.end(0)
    rig.slice()
    assert len(rig.growing.slices[0].inputs) == 3


def test_what_is_left_is_due_at_once(rig: GrowRig) -> None:
    begun(rig)
    rig.end(0)
    rig.growing.left = True
    assert rig.slice() == 1
    rig.growing.left = False
    assert rig.grow.run(rig.claim(GROW).token, "w1") == 0
    assert len(rig.growing.slices) == 2


def test_what_is_fetched_during_a_slice_makes_another(rig: GrowRig) -> None:
    """It is not lost, and no second slice runs beside the first."""
    begun(rig)
    rig.end(0)

    def meanwhile(_: MergeOrder) -> None:
        rig.growing.does = lambda _: None
        rig.end(1)
        assert rig.depth(GROW) == (0, 1)

    rig.growing.does = meanwhile
    rig.slice()
    assert rig.depth(GROW) == (1, 0)
    rig.slice()
    assert [len(given.inputs) for given in rig.growing.slices] == [1, 2]
    assert rig.depth(GROW) == (0, 0)


@pytest.mark.parametrize("error", [TransientError("flaky"), DiskFull("full"), RuntimeError("bug")])
def test_trouble_puts_it_off(rig: GrowRig, error: Exception) -> None:
    """Later again; the merge at the end does not wait for it."""
    begun(rig)
    rig.end(0)

    def fails(_: MergeOrder) -> None:
        raise error

    rig.growing.does = fails
    assert rig.slice() == 1
    assert rig.depth(GROW) == (1, 0)
    assert rig.forgotten == ([f"{rig.folder}/7/output"] if isinstance(error, RuntimeError) else [])
    rig.growing.does = lambda _: None
    rig.end(1, 2, 3)
    assert rig.depth(GROW) == (0, 0)
    assert rig.sent.queues() == [MERGE]


def test_the_last_fetch_calls_it_off(rig: GrowRig) -> None:
    """With the merge due nothing waits to grow; a slice that is under way finds it so."""
    begun(rig)
    rig.end(0)
    rig.hurry(GROW)
    late = rig.claim(GROW)
    rig.end(1, 2, 3)
    assert rig.depth(GROW) == (0, 1)
    assert rig.grow.run(late.token, "w1") == 0
    assert rig.growing.slices == []
    assert rig.merge.run(rig.sent.take(MERGE).token, "w1") == 1
    assert rig.slice() == 0  # looks after what it might have left
    assert rig.depth(GROW) == (0, 0)
    assert rig.forgotten == [f"{rig.folder}/7/output"]


def test_only_what_can_grow_wakes_it(tmp_path: Path) -> None:
    """Not a merger that cannot, not a job that was not split, not where it is switched off."""
    rig = GrowRig(tmp_path / "a")
    rig.growing = ScriptedMerger()  # type: ignore[assignment]
    begun(rig)
    rig.end(0)
    assert rig.depth(GROW) == (0, 0)
    rig = GrowRig(tmp_path / "b")
    rig.begin([spec(UNSPLIT)], mergers=MERGERS)  # type: ignore[arg-type]
    rig.backend.answers = [{"7": DONE}]
    rig.ask()
    rig.fetch_all()
    assert rig.depth(GROW) == (0, 0)


def test_a_job_that_is_only_observed_does_not_grow(rig: GrowRig) -> None:
    """Ganga merges it: no fetch wakes a slice, and one that was woken before touches nothing."""
    begun(rig)
    rig.end(0)
    rig.redis.hset(rig.store.keys.master(OWNER, REPOSITORY, 7), "observe", "1")
    rig.slice()
    rig.end(1)
    assert rig.depth(GROW) == (0, 0)
    assert rig.growing.slices == []


@pytest.mark.parametrize("grown", [True, False])
def test_a_withdrawn_master_leaves_nothing(rig: GrowRig, grown: bool) -> None:
    """What is half merged is removed, also where a slice is under way just then."""
    begun(rig)
    rig.end(0)
    if grown:
        rig.slice()
        rig.store.withdraw(OWNER, "", withdraw())
        assert rig.depth(GROW) == (1, 0)
    else:
        rig.growing.does = lambda _: rig.store.withdraw(OWNER, "", withdraw())
    rig.slice()
    while sum(rig.depth(GROW)):
        rig.slice()
    assert set(rig.forgotten) == {f"{rig.folder}/7/output"}
    assert rig.redis.keys("gm:grown:*") == []


def test_a_worker_that_dies_in_a_slice(rig: GrowRig) -> None:
    """Its lease brings the slice back."""
    begun(rig)
    rig.end(0)
    rig.hurry(GROW)
    claim = rig.claim(GROW)
    assert rig.store.begin(claim.token, "dead", 3600.0) is not None
    rig.end(1)
    assert rig.depth(GROW) == (0, 1)
    rig.store.abandon([claim.token])
    assert [r.what for r in rig.store.rescue()] == ["back"]
    rig.slice()
    assert len(rig.growing.slices[0].inputs) == 2


def test_slices_have_few_slots(rig: GrowRig) -> None:
    """Of four merge slots one: what has ended finds a worker soon."""
    for master in (7, 8):
        rig.begin(2, mergers=MERGERS, command_id=f"e{master}", master=master)
        rig.redis.hset(rig.store.keys.master(OWNER, REPOSITORY, master), "total", 9)
    rig.backend.answers = [{"7.0": DONE, "8.0": DONE, "7.1": RUNNING, "8.1": RUNNING}]
    rig.ask()
    rig.fetch_all()
    assert rig.depth(GROW) == (2, 0)
    rig.hurry(GROW)
    rig.dispatcher.push([GROW])
    assert rig.depth(GROW) == (1, 1)


# --- with the real merger -----------------------------------------------------------------------


def real(rig: GrowRig) -> GrowRig:
    """TextMerger itself, on files."""
    rig.use(Grow(rig.store, rig.keeper, postprocess.for_kind, growth.forget))
    rig.merge = Merge(rig.store, rig.keeper, rig.dispatcher, postprocess.for_kind)
    for sub in range(4):
        write(rig, sub, f"{sub}\n")
    return begun(rig)


def write(rig: GrowRig, sub: int, text: str) -> None:
    output = rig.folder / "7" / str(sub) / "output"
    output.mkdir(parents=True, exist_ok=True)
    (output / "out.txt").write_text(text)


def half(rig: GrowRig) -> list[str]:
    target = rig.folder / "7" / "output"
    return sorted(path.name for path in target.iterdir()) if target.exists() else []


def texts(rig: GrowRig) -> list[str]:
    lines = (rig.folder / "7" / "output" / "out.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_a_subjob_resubmitted_late(rig: GrowRig) -> None:
    """Already in, it runs anew: its new output is merged, at its place."""
    real(rig)
    rig.end(0, 1, 2)
    rig.slice()
    again = enqueue(
        [spec(1, attempt=2)], "e2", total=4, workspace=f"{rig.folder}/7", mergers=MERGERS
    )
    assert not rig.store.enqueue(OWNER, "", again)
    write(rig, 1, "5\n")
    rig.end(1)
    rig.slice()
    assert all(name.startswith(growth.PREFIX) for name in half(rig))
    rig.end(3)
    assert rig.merge.run(rig.claim(MERGE).token, "w1") == 1
    assert texts(rig) == ["0", "5", "2", "3"]
    assert half(rig) == [".gangamon-merge.json", "out.txt", "out.txt.merge_summary"]


def test_a_failed_subjob_fails_the_merge_and_nothing_stays(rig: GrowRig) -> None:
    real(rig)
    rig.end(0)
    rig.slice()
    assert half(rig)
    rig.end(1, seen=FAILED)
    rig.slice()
    rig.end(2, 3)
    assert rig.merge.run(rig.claim(MERGE).token, "w1") == 1
    assert half(rig) == []
    assert not the_master(rig.store).results["merge"]["ok"]


def test_a_killed_master_leaves_nothing(rig: GrowRig) -> None:
    """Its subjobs are ended in Ganga: the merge at the end is refused, what was in goes."""
    real(rig)
    rig.end(0)
    rig.slice()
    killed = Withdraw("k1", REPOSITORY, 7, (1, 2, 3), JobStatus.KILLED, "killed")
    rig.intake.apply(OWNER, "", killed)
    assert rig.depth(GROW) == (0, 0)
    assert rig.merge.run(rig.claim(MERGE).token, "w1") == 1
    assert half(rig) == []


def test_removed_before_the_end(rig: GrowRig) -> None:
    real(rig)
    rig.end(0)
    rig.slice()
    rig.store.withdraw(OWNER, "", withdraw())
    rig.slice()
    assert half(rig) == []


def test_the_store_is_emptied(rig: GrowRig) -> None:
    """What is in stays in: after the rebuild the merge goes on from it."""
    real(rig)
    rig.end(0, 1)
    rig.slice()
    before = half(rig)
    rig.redis.flushall()
    begun(rig)
    rig.end(0)
    rig.slice()
    assert half(rig) == before
    rig.end(1, 2, 3)
    assert rig.merge.run(rig.claim(MERGE).token, "w1") == 1
    assert texts(rig) == ["0", "1", "2", "3"]
