"""Merge, check, notify: each once, in order, with its result; and the master's final status."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from gangamon.domain.command import UNSPLIT, MergerSpec
from gangamon.domain.observation import Observation
from gangamon.domain.status import JobStatus
from gangamon.errors import BadInput, DiskFull, MergeFailed, TransientError
from gangamon.protocols import MergeOrder
from gangamon.services.stages import BUG_TRIES
from tests.support.backend import DONE, FAILED
from tests.support.commands import OWNER, REPOSITORY, enqueue, spec, the_master, withdraw
from tests.support.rig import CHECK, MERGE, NOTIFY, Rig

MERGERS = (MergerSpec("TextMerger", ("stdout",)), MergerSpec("TextMerger", ("a", "b"), True))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def ended(rig: Rig, jobs: int = 2, failed: tuple[int, ...] = (), **given: object) -> None:
    """All subjobs have ended; the merge is due."""
    rig.begin(jobs, **{"mergers": MERGERS, **given})  # type: ignore[arg-type]
    answer: dict[str, Observation] = {
        f"7.{n}": FAILED if n in failed else DONE for n in range(jobs)
    }
    rig.backend.answers = [answer]
    rig.ask()
    rig.fetch_all()


def work(rig: Rig) -> None:
    """All stages that are left."""
    for queue, stage in ((MERGE, rig.merge), (CHECK, rig.check), (NOTIFY, rig.notify)):
        if sum(rig.depth(queue)):
            rig.hurry(queue)
            stage.run(rig.claim(queue).token, "w1")


def test_the_chain_ends_with_the_masters_status(rig: Rig) -> None:
    """Each commit sends the next stage; the results and the final update hold all of them."""
    ended(rig)
    assert rig.sent.queues() == [MERGE]
    assert rig.merge.run(rig.sent.take(MERGE).token, "w1") == 1
    assert rig.sent.queues() == [CHECK]
    assert rig.check.run(rig.sent.take(CHECK).token, "w1") == 1
    assert rig.sent.queues() == [NOTIFY]
    assert rig.notify.run(rig.sent.take(NOTIFY).token, "w1") == 1
    master = the_master(rig.store)
    assert (master.phase, master.status) == ("done", JobStatus.COMPLETED)
    (final,) = rig.updates("f")
    assert final["s"] == "completed"
    merge = json.loads(final["merge"])
    assert merge["ok"]
    assert [result["files"] for result in merge["mergers"]] == [["stdout"], ["a", "b"]]
    assert json.loads(final["check"]) == {"ok": True, "problems": []}
    assert json.loads(final["notify"]) == {"ok": True, "told": False}


def test_the_merger_is_given_all_subjobs_in_order(rig: Rig) -> None:
    """By sub id, with status and output directory; ten comes after nine."""
    ended(rig, 11, failed=(3,))
    work(rig)
    order = rig.merger.orders[0]
    assert [fqid for fqid, _, _ in order.inputs] == [f"7.{n}" for n in range(11)]
    assert order.inputs[3] == ("7.3", JobStatus.FAILED, f"{rig.folder}/7/3/output")
    assert order.target == f"{rig.folder}/7/output"
    assert [order.spec for order in rig.merger.orders] == list(MERGERS)


@pytest.mark.parametrize("error", [MergeFailed("no such file"), BadInput(["gone"])], ids=repr)
def test_a_failed_merge_fails_the_master_and_the_next_merger_runs(
    rig: Rig, error: Exception
) -> None:
    """As Ganga: completed subjobs, a failed merger, a failed master; its text is the result."""

    def fails(order: MergeOrder) -> None:
        if order.spec.files == ("stdout",):
            raise error

    ended(rig)
    rig.merger.does = fails
    work(rig)
    assert the_master(rig.store).status is JobStatus.FAILED
    (final,) = rig.updates("f")
    merge = json.loads(final["merge"])
    assert [result["ok"] for result in merge["mergers"]] == [False, True]
    assert merge["mergers"][0]["reason"] == str(error)


@pytest.mark.parametrize("error", [TransientError("flaky"), DiskFull("full")], ids=repr)
def test_what_may_pass_is_put_off_and_done_later(rig: Rig, error: Exception) -> None:
    """The stage keeps its place however often; nothing is reported before it is done."""

    def fails(order: MergeOrder) -> None:
        raise error

    ended(rig)
    rig.merger.does = fails
    for tries in range(1, 8):
        rig.hurry(MERGE)
        assert rig.merge.run(rig.claim(MERGE).token, "w1") == 0
        assert rig.store.tries(MERGE, f"{OWNER}:{REPOSITORY}:7@1") == tries
    assert the_master(rig.store).phase == "merge"
    assert rig.updates("f") == []
    rig.merger.does = lambda _: None
    work(rig)
    assert the_master(rig.store).status is JobStatus.COMPLETED


def test_a_bug_is_given_up_at_last(rig: Rig) -> None:
    """A merger that always fails by a bug is tried again, and then the master ends, and says so."""

    def fails(order: MergeOrder) -> None:
        raise RuntimeError("bug")

    ended(rig)
    rig.merger.does = fails
    for _ in range(BUG_TRIES - 1):
        rig.hurry(MERGE)
        assert rig.merge.run(rig.claim(MERGE).token, "w1") == 0
    rig.hurry(MERGE)
    assert rig.merge.run(rig.claim(MERGE).token, "w1") == 1
    for stage in (CHECK, NOTIFY):
        getattr(rig, stage.partition(".")[0]).run(rig.claim(stage).token, "w1")
    assert the_master(rig.store).status is JobStatus.FAILED
    (final,) = rig.updates("f")
    reasons = [result["reason"] for result in json.loads(final["merge"])["mergers"]]
    assert all("given up after 5 tries: RuntimeError: bug" in reason for reason in reasons)
    assert len(reasons) == len(the_master(rig.store).mergers)


def test_failed_subjobs_make_a_failed_master(rig: Rig) -> None:
    """Ganga's own roll-up, also without mergers."""
    ended(rig, 3, failed=(1,), mergers=())
    work(rig)
    assert rig.merger.orders == []
    assert the_master(rig.store).status is JobStatus.FAILED


def test_a_job_that_was_not_split_is_not_merged(rig: Rig) -> None:
    """Ganga merges subjobs only; the chain runs all the same."""
    rig.begin([spec(UNSPLIT)], mergers=MERGERS)  # type: ignore[arg-type]
    rig.backend.answers = [{"7": DONE}]
    rig.ask()
    rig.fetch_all()
    work(rig)
    assert rig.merger.orders == []
    assert the_master(rig.store).status is JobStatus.COMPLETED


def test_a_check_that_finds_a_fault_fails_the_master(rig: Rig) -> None:
    """What was merged is not what lies there: the problems are the result."""
    ended(rig)
    rig.problems = ["stdout: missing"]
    work(rig)
    assert the_master(rig.store).status is JobStatus.FAILED
    assert json.loads(rig.updates("f")[0]["check"])["problems"] == ["stdout: missing"]


def test_nothing_merged_is_not_checked(rig: Rig) -> None:
    """A master without mergers has no manifest, and needs none."""
    ended(rig, mergers=())
    rig.problems = ["no manifest of a merge"]
    work(rig)
    assert the_master(rig.store).status is JobStatus.COMPLETED


def test_a_doubled_message_merges_once(rig: Rig) -> None:
    """The second worker finds the claim begun, and later the stage over."""
    ended(rig)
    claim = rig.claim(MERGE)
    assert [rig.merge.run(claim.token, "w1"), rig.merge.run(claim.token, "w2")] == [1, 0]
    assert len(rig.merger.orders) == 2  # one for each merger


def test_a_stage_that_is_over_is_dropped(rig: Rig) -> None:
    """A member that stayed in the queue although its stage has ended does nothing."""
    ended(rig)
    member = f"{OWNER}:{REPOSITORY}:7@1"
    work(rig)
    rig.redis.zadd(rig.store.keys.due(MERGE), {member: 0})
    assert rig.merge.run(rig.claim(MERGE).token, "w1") == 0
    assert len(rig.merger.orders) == 2
    assert len(rig.updates("f")) == 1
    assert rig.depth(MERGE) == (0, 0)


def test_a_subjob_resubmitted_during_the_merge_makes_it_void(rig: Rig) -> None:
    """The merge of attempt 1 is not reported; the master is merged again after attempt 2."""
    ended(rig)

    def resubmit(order: MergeOrder) -> None:
        rig.merger.does = lambda _: None
        again = enqueue(
            [spec(1, attempt=2)], "e2", total=2, workspace=f"{rig.folder}/7", mergers=MERGERS
        )
        assert not rig.store.enqueue(OWNER, "", again)

    rig.merger.does = resubmit
    assert rig.merge.run(rig.claim(MERGE).token, "w1") == 0
    assert (the_master(rig.store).phase, the_master(rig.store).attempt) == ("open", 2)
    rig.backend.answers = [{"7.1": DONE}]
    rig.ask()
    rig.fetch_all()
    work(rig)
    (final,) = rig.updates("f")
    assert (final["a"], final["s"]) == ("2", "completed")
    assert len({order.attempt for order in rig.merger.orders}) == 2


def test_a_master_withdrawn_during_the_merge_leaves_nothing(rig: Rig) -> None:
    """No final update, no queue entry, no key of it."""
    ended(rig)
    rig.merger.does = lambda _: rig.store.withdraw(OWNER, "", withdraw())
    rig.merge.run(rig.claim(MERGE).token, "w1")
    assert rig.updates("f") == []
    assert [rig.depth(queue) for queue in (MERGE, CHECK)] == [(0, 0), (0, 0)]
    assert rig.redis.keys("gm:m:*") == []


def test_the_notify_command_is_run_with_the_event(tmp_path: Path) -> None:
    """json on its standard input: id, job, name, status and the subjobs by status."""
    heard = tmp_path / "it's heard"
    code = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + chr(10))"
    rig = Rig(tmp_path, notify=shlex.join([sys.executable, "-c", code, str(heard)]))
    ended(rig, 3, failed=(0,))
    work(rig)
    (line,) = heard.read_text().splitlines()
    assert json.loads(line) == {
        "id": f"{REPOSITORY}:7@1",
        "job": "7",
        "name": "test",
        "status": "failed",
        "subjobs": {"completed": 2, "failed": 1},
    }
    assert json.loads(rig.updates("f")[0]["notify"]) == {"ok": True, "told": True}


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("/no/such/command", "No such file"),
        ("false", "non-zero exit status 1"),
        ("'unbalanced", "No closing quotation"),
        ("sleep 600", "timed out"),
    ],
)
def test_a_notify_command_that_fails_holds_nobody_up(
    tmp_path: Path, command: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The master gets its status; the result says that nobody was told, and why."""
    monkeypatch.setattr("gangamon.services.notify.TIMEOUT", 0.2 if "sleep" in command else 60)
    rig = Rig(tmp_path, notify=command)
    ended(rig)
    work(rig)
    assert the_master(rig.store).status is JobStatus.COMPLETED
    result = json.loads(rig.updates("f")[0]["notify"])
    assert (result["ok"], result["told"]) == (True, False)
    assert said in result["reason"]
