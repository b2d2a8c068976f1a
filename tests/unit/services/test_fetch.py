"""The fetch stage: a verdict becomes a status, once, when the outputs are there or given up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from gangamon.domain.status import JobStatus
from gangamon.errors import DiskFull, OutputMissing, TransientError
from gangamon.protocols import FetchOrder
from gangamon.services import fetch
from tests.support.backend import DONE, FAILED
from tests.support.commands import LANE, OWNER, REPOSITORY, enqueue, spec, the_master, withdraw
from tests.support.rig import FETCH, MERGE, Rig
from tests.support.waiting import until


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """Two jobs at their end: 7.0 completed, 7.1 failed at the backend; both to be fetched."""
    found = Rig(tmp_path)
    jobs = [spec(0, workdir="/w/0"), spec(1)]
    found.begin(jobs)  # type: ignore[arg-type]
    found.backend.answers = [{"7.0": DONE, "7.1": FAILED}]
    found.ask()
    return found


def run(rig: Rig) -> int:
    rig.hurry(FETCH)
    return rig.fetch.run(rig.claim(FETCH).token, "w1")


def test_fetched_jobs_get_their_verdict(rig: Rig) -> None:
    """Completed and failed alike are fetched; then the merge is due and sent."""
    assert run(rig) == 2
    assert rig.statuses() == [JobStatus.COMPLETED, JobStatus.FAILED]
    assert rig.depth(FETCH) == (0, 0)
    assert rig.sent.queues() == [MERGE]
    evidence = rig.job(1).evidence
    assert evidence is not None
    assert (evidence.exit_code, evidence.reason) == (3, "exit code 3")


def test_a_fetch_that_begins_sends_the_next(tmp_path: Path) -> None:
    """With slots for two claims each worker that takes one finds another, however many work."""
    rig = Rig(tmp_path)
    rig.begin(45)
    rig.backend.answers = [{f"7.{sub}": DONE for sub in range(45)}]
    rig.ask()
    sent: list[int] = []
    rig.fetcher.does = lambda order: sent.append(len(rig.sent.claims))
    rig.dispatcher.push([FETCH])
    before = len(rig.sent.claims)
    rig.fetch.run(rig.sent.claims[-1].token, "w1")
    assert sent == [before + 1] * 10


def test_the_order_says_what_to_bring_and_where(rig: Rig) -> None:
    """Target, native id, what the plugin gave, and the roots that bound it."""
    run(rig)
    order = min(rig.fetcher.orders, key=lambda order: order.fqid)
    target = f"{rig.folder}/7/0/output"
    roots = (str(rig.folder),)
    assert order == FetchOrder("7.0", 1, target, "n0", {"workdir": "/w/0"}, roots, LANE)


def test_outputs_that_will_not_come_fail_a_completed_job(rig: Rig) -> None:
    """The evidence says why; a job that had failed keeps its own reason."""

    def missing(order: FetchOrder) -> None:
        raise OutputMissing(f"{order.target}: there is no output directory")

    rig.fetcher.does = missing
    assert run(rig) == 2
    assert rig.statuses() == [JobStatus.FAILED, JobStatus.FAILED]
    evidence = [rig.job(sub).evidence for sub in (0, 1)]
    assert evidence[0] is not None
    assert evidence[1] is not None
    assert "outputs: " in evidence[0].reason
    assert "no output directory" in evidence[0].reason
    assert evidence[1].reason == "exit code 3"


@pytest.mark.parametrize("error", [TransientError("flaky"), RuntimeError("bug")], ids=repr)
def test_what_may_pass_is_tried_again_up_to_the_limit(rig: Rig, error: Exception) -> None:
    """Put off twice, each time later; the third failure is the end, and says so."""
    tried: list[str] = []

    def fails(order: FetchOrder) -> None:
        if order.fqid == "7.0":
            tried.append(order.fqid)
            raise error

    rig.fetcher.does = fails
    assert run(rig) == 1
    assert rig.statuses() == [JobStatus.COMPLETING, JobStatus.FAILED]
    assert rig.depth(FETCH) == (1, 0)
    assert run(rig) == 0
    assert rig.store.tries(FETCH, f"{OWNER}:{REPOSITORY}:7:0@1") == 2
    assert run(rig) == 1
    assert len(tried) == 3
    assert rig.statuses() == [JobStatus.FAILED, JobStatus.FAILED]
    evidence = rig.job(0).evidence
    assert evidence is not None
    assert f"given up after 3 tries: {error}" in evidence.reason
    assert rig.store.tries(FETCH, f"{OWNER}:{REPOSITORY}:7:0@1") == 0


def test_what_is_put_off_waits(rig: Rig) -> None:
    """The wait is base doubled each time, give or take a half."""

    def fails(order: FetchOrder) -> None:
        raise TransientError("flaky")

    rig.fetcher.does = fails
    key = rig.store.keys.due(FETCH)
    for least, most in ((1.0, 3.0), (2.0, 6.0)):
        before = rig.inbox.clock()
        run(rig)
        after = rig.inbox.clock()
        dues = [due / 1000 for _, due in rig.redis.zrange(key, 0, -1, withscores=True)]
        assert len(dues) == 2
        assert all(before + least - 0.01 <= due <= after + most + 0.01 for due in dues)


def test_a_full_disk_is_waited_for_without_end(rig: Rig) -> None:
    """Nobody's job fails because a disk is full; when there is room it completes."""

    def full(order: FetchOrder) -> None:
        raise DiskFull(f"{order.target}: No space left on device")

    rig.fetcher.does = full
    for _ in range(10):
        assert run(rig) == 0
    assert rig.statuses() == [JobStatus.COMPLETING] * 2
    rig.fetcher.does = lambda _: None
    assert run(rig) == 2
    assert rig.statuses() == [JobStatus.COMPLETED, JobStatus.FAILED]


def test_a_job_resubmitted_before_its_fetch_is_not_fetched(rig: Rig) -> None:
    """The message is of an attempt that is over."""
    claim = rig.claim(FETCH)
    rig.store.enqueue(
        OWNER, "", enqueue([spec(0, attempt=2)], "e2", total=2, workspace=f"{rig.folder}/7")
    )
    assert rig.fetch.run(claim.token, "w1") == 1
    assert [order.fqid for order in rig.fetcher.orders] == ["7.1"]
    assert (rig.job(0).attempt, rig.job(0).status) == (2, JobStatus.SUBMITTED)
    assert rig.depth(FETCH) == (0, 0)


def test_what_a_claim_was_for_is_looked_at_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the fetches before it took long: it may have been resubmitted, and even fetched."""
    monkeypatch.setattr(fetch, "FRESH", 0.0)

    def resubmit(order: FetchOrder) -> None:
        if order.fqid == "7.0":
            again = enqueue([spec(1, attempt=2)], "e2", total=2, workspace=f"{rig.folder}/7")
            rig.store.enqueue(OWNER, "", again)

    rig.fetcher.does = resubmit
    assert run(rig) == 1
    assert [order.fqid for order in rig.fetcher.orders] == ["7.0"]
    assert (rig.job(1).attempt, rig.job(1).status) == (2, JobStatus.SUBMITTED)


def test_a_job_resubmitted_during_its_fetch_keeps_its_new_attempt(rig: Rig) -> None:
    """The end of the old attempt's fetch changes nothing."""

    def resubmit(order: FetchOrder) -> None:
        if order.fqid == "7.0":
            again = enqueue([spec(0, attempt=2)], "e2", total=2, workspace=f"{rig.folder}/7")
            rig.store.enqueue(OWNER, "", again)

    rig.fetcher.does = resubmit
    run(rig)
    assert (rig.job(0).attempt, rig.job(0).status) == (2, JobStatus.SUBMITTED)
    assert the_master(rig.store).phase == "open"
    assert rig.depth(FETCH) == (0, 0)


@pytest.mark.parametrize("when", ["before", "between", "during"])
def test_a_withdrawn_job_is_dropped(rig: Rig, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Removed before its fetch, at its beginning or during it: no trace of it comes back."""
    claim = rig.claim(FETCH)
    if when == "before":
        rig.store.withdraw(OWNER, "", withdraw())
    if when == "during":
        rig.fetcher.does = lambda _: rig.store.withdraw(OWNER, "", withdraw())
    if when == "between":
        fetchable = rig.store.fetchable

        def withdrawn(members: Sequence[str]) -> object:
            found = fetchable(members)
            rig.store.withdraw(OWNER, "", withdraw())
            return found

        monkeypatch.setattr(rig.store, "fetchable", withdrawn)
    assert rig.fetch.run(claim.token, "w1") == 0
    assert rig.store.master(OWNER, REPOSITORY, 7) is None
    assert rig.depth(FETCH) == (0, 0)


def test_a_doubled_message_fetches_once(rig: Rig) -> None:
    """The second worker finds the claim begun."""
    claim = rig.claim(FETCH)
    assert [rig.fetch.run(claim.token, "w1"), rig.fetch.run(claim.token, "w2")] == [2, 0]
    assert len(rig.fetcher.orders) == 2


def test_a_lost_lease_does_not_hold_up_what_another_holds(rig: Rig) -> None:
    """A worker that slept past its lease commits nothing; the other one's result stands."""
    claim = rig.store.claim(FETCH, 10, 0.05, 4) or rig.claim(FETCH)
    rig.redis.delete(rig.store.keys.of("claim", claim.token))
    rig.redis.zadd(rig.store.keys.due(FETCH), dict.fromkeys(claim.members, 0))
    stale = rig.claim(FETCH)
    begun: list[bool] = []

    def asleep(order: FetchOrder) -> None:
        if not begun:
            begun.append(True)
            rig.redis.zadd(rig.store.keys.of("leases"), {stale.token: 0})
            until(rig.store.rescue, 60, "the lease expires")
            other = rig.claim(FETCH)
            assert rig.fetch.run(other.token, "w2") == 2

    rig.fetcher.does = asleep
    assert rig.fetch.run(stale.token, "w1") == 0
    assert rig.statuses() == [JobStatus.COMPLETED, JobStatus.FAILED]
    assert rig.sent.queues() == [MERGE]
