"""What every JobStore must do: run against fakeredis (the same Lua) and a real server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fakeredis
import pytest
import redis

from gangamon.domain.effect import Stage
from gangamon.domain.job import Job
from gangamon.domain.observation import Absent, Fetched, Observation, Seen
from gangamon.domain.status import JobStatus
from gangamon.domain.transition import TELL_EVERY, AbsencePolicy, advance
from gangamon.errors import LeaseLost
from gangamon.protocols import Change, Claim, Outcome
from gangamon.store.inbox import ClientStore
from gangamon.store.keys import Keys
from gangamon.store.redis import RedisStore
from tests.support.commands import (
    LANE,
    OWNER,
    REPOSITORY,
    enqueue,
    register,
    spec,
    the_master,
    withdraw,
)
from tests.support.redis import PrivateRedis
from tests.support.waiting import until

POLL = f"poll.{LANE}"
DONE = Seen("done", JobStatus.COMPLETED, "test", ended_at=1.0, exit_code=0)
RUNNING = Seen("running", JobStatus.RUNNING, "test", attributes={"id": 5})


class Rig:
    """A store with a registered repository, and shorthand for what the services do with it."""

    def __init__(self, store: RedisStore, client: ClientStore, connection: redis.Redis) -> None:
        self.store = store
        self.client = client
        self.connection = connection
        store.register(OWNER, register())

    def take(
        self, queue: str = POLL, lease: float = 3600.0, slots: int = 5, members: int = 10
    ) -> Claim:
        claim = self.store.claim(queue, members, lease, slots)
        assert claim is not None
        return claim

    def change(self, sub: int, observation: Observation) -> Change:
        job: Job = self.store.jobs(the_master(self.store), [sub])[sub]
        return Change(sub, job, advance(job, observation, AbsencePolicy(), 10.0))

    def observe(
        self, claim: Claim, seen: dict[int, Observation], again: float | None = 5.0
    ) -> None:
        changes = [self.change(sub, what) for sub, what in seen.items()]
        self.store.commit(claim.token, claim.members[0], the_master(self.store), changes, again)

    def fetch_all(self) -> None:
        while claim := self.store.claim(f"fetch.{OWNER}", 10, 3600.0, 5):
            for member in claim.members:
                sub = int(member.rsplit(":", 1)[1].split("@")[0])
                change = self.change(sub, Fetched(True))
                self.store.commit(claim.token, member, the_master(self.store), [change], None)

    def updates(self, kind: str) -> list[dict[str, str]]:
        found = self.client.updates(OWNER, REPOSITORY, "0", 1000, 0)
        return [dict(fields) for _, fields in found if fields["k"] == kind]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRedis]:
    private = PrivateRedis(tmp_path_factory.mktemp("redis"))
    private.start()
    yield private
    private.close()


@pytest.fixture(params=["fakeredis", "redis"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    if request.param == "fakeredis":
        connection = fakeredis.FakeRedis(decode_responses=True, protocol=2)
        url = ""
    else:
        private: PrivateRedis = request.getfixturevalue("server")
        connection, url = private.connection(), private.url
        connection.flushall()
    return Rig(
        RedisStore(url, "gm", connection=connection),
        ClientStore(url, "gm", connection=connection),
        connection,
    )


def test_taken_in_jobs_are_due_at_once(rig: Rig) -> None:
    """An enqueued batch is one member of its lane's queue, with all of its jobs."""
    assert not rig.store.enqueue(OWNER, "", enqueue(3))
    claim = rig.take()
    assert claim.jobs == 3
    (batch,) = rig.store.batches(claim.members)
    assert sorted(batch.jobs) == [0, 1, 2]
    assert batch.jobs[1].status is JobStatus.SUBMITTED
    assert batch.specs[1].native_id == "n1"
    assert the_master(rig.store).counts[JobStatus.SUBMITTED] == 3


def test_the_same_content_twice_changes_nothing(rig: Rig) -> None:
    """A command that arrives again is acknowledged and makes nothing due twice."""
    rig.store.enqueue(OWNER, "", enqueue(3))
    rig.take()
    assert not rig.store.enqueue(OWNER, "", enqueue(3, "e2"))
    assert rig.store.claim(POLL, 10, 3600.0, 5) is None
    assert [ack["why"] for ack in rig.updates("a")] == ["", ""]
    assert the_master(rig.store).counts[JobStatus.SUBMITTED] == 3


def test_other_content_is_refused_whole(rig: Rig) -> None:
    """Same job and attempt with another native id: a fault naming it, and nothing is done."""
    rig.store.enqueue(OWNER, "", enqueue(2))
    faults = rig.store.enqueue(OWNER, "", enqueue([spec(5), spec(1, native_id="x")], "e2"))
    assert len(faults) == 1
    assert "7.1 attempt 1" in faults[0]
    assert 5 not in rig.store.jobs(the_master(rig.store), None)


def test_an_inbox_entry_applies_once(rig: Rig) -> None:
    """Two ticks that read the same entry: the second finds it gone."""
    (entry,) = rig.client.send(OWNER, ["{}"])
    rig.store.enqueue(OWNER, entry, enqueue(2))
    assert rig.store.inbox(10) == []
    rig.store.enqueue(OWNER, entry, enqueue([spec(9)], "e2"))
    assert 9 not in rig.store.jobs(the_master(rig.store), None)
    assert len(rig.updates("a")) == 1


def test_a_claim_is_exclusive_and_bounded_by_slots(rig: Rig) -> None:
    """A claimed member is not claimed again; slots bound the claims of a queue."""
    rig.store.enqueue(OWNER, "", enqueue([spec(0)], "e1"))
    rig.store.enqueue(OWNER, "", enqueue([spec(1)], "e2"))
    first = rig.take(slots=1, members=1)
    assert rig.store.claim(POLL, 1, 3600.0, slots=1) is None
    second = rig.take(slots=2, members=1)
    assert first.members != second.members


def test_slots_of_a_stage_bound_what_waits_for_a_worker(rig: Rig) -> None:
    """A fetch that is begun, and renewed, leaves its slot to the next; a query keeps its own."""
    rig.store.enqueue(OWNER, "", enqueue([spec(0), spec(1)]))
    query = rig.take(slots=1, members=1)
    assert rig.store.begin(query.token, "w", 1800.0) is not None
    rig.store.renew([query.token], 7200.0)
    slots = rig.store.keys.of("slots", POLL)
    assert rig.connection.zscore(slots, query.token) > (rig.store.clock() + 3600.0) * 1000
    assert rig.store.claim(POLL, 1, 3600.0, slots=1) is None
    rig.observe(query, {0: DONE, 1: DONE})
    queue = f"fetch.{OWNER}"
    first = rig.take(queue, slots=1, members=1)
    assert rig.store.claim(queue, 1, 3600.0, slots=1) is None
    assert rig.store.begin(first.token, "w", 3600.0) is not None
    rig.store.renew([first.token], 3600.0)
    assert rig.client.depth(queue) == (1, 1)
    second = rig.take(queue, slots=1, members=1)
    assert rig.store.claim(queue, 1, 3600.0, slots=1) is None
    assert second.members != first.members


def test_a_claim_is_begun_once(rig: Rig) -> None:
    """A doubled message finds the claim begun; a lost lease cannot be begun."""
    rig.store.enqueue(OWNER, "", enqueue(1))
    claim = rig.take()
    begun = rig.store.begin(claim.token, "w1", 3600.0)
    assert begun is not None
    assert begun.members == claim.members
    assert rig.store.begin(claim.token, "w2", 3600.0) is None
    assert rig.store.begin("nonsense", "w1", 3600.0) is None
    assert rig.store.rescue() == []


def test_an_expired_lease_goes_back_and_its_token_counts_no_more(rig: Rig) -> None:
    """Rescue makes the members due; the stale worker's commit is refused and changes nothing."""
    rig.store.enqueue(OWNER, "", enqueue(1))
    stale = rig.take(lease=0.05)
    (back,) = until(rig.store.rescue, 60, "the lease expires")
    assert (back.queue, back.what) == (POLL, "back")
    fresh = rig.take()
    assert fresh.members == stale.members
    with pytest.raises(LeaseLost):
        rig.observe(stale, {0: DONE})
    assert rig.store.jobs(the_master(rig.store), [0])[0].status is JobStatus.SUBMITTED
    rig.observe(fresh, {0: RUNNING})
    assert rig.store.jobs(the_master(rig.store), [0])[0].status is JobStatus.RUNNING


def test_a_renewed_lease_is_not_rescued(rig: Rig) -> None:
    """Renewing keeps a short lease alive past its first end."""
    rig.store.enqueue(OWNER, "", enqueue(1))
    kept = rig.take(lease=0.05)
    rig.store.renew([kept.token], 3600.0)
    rig.store.enqueue(OWNER, "", enqueue([spec(1)], "e2"))
    rig.take(lease=0.05)
    until(lambda: rig.store.rescue(), 60, "the lease that was not renewed expires")
    assert rig.store.rescue() == []
    rig.observe(kept, {0: RUNNING})


def test_commit_applies_only_to_the_job_as_it_was_read(rig: Rig) -> None:
    """Compare and swap: a step computed from an older state is refused, and counted."""
    rig.store.enqueue(OWNER, "", enqueue(2))
    claim = rig.take()
    old = rig.change(0, DONE)
    rig.store.commit("", "", the_master(rig.store), [rig.change(0, RUNNING)], None)
    done = rig.store.commit(
        claim.token, claim.members[0], the_master(rig.store), [old, rig.change(1, RUNNING)], 5.0
    )
    assert (done.applied, done.refused) == (1, 1)
    assert rig.store.jobs(the_master(rig.store), [0])[0].status is JobStatus.RUNNING


def test_many_commits_are_sent_together(rig: Rig) -> None:
    """Each by itself: one that the claim no longer holds hinders no other; also where Redis has
    forgotten its scripts."""
    for master in (7, 8, 9):
        rig.store.enqueue(OWNER, "", enqueue(2, f"e{master}", master))
    claim = rig.take()
    batches = {batch.master.id: batch for batch in rig.store.batches(claim.members)}
    rig.store.postpone(claim.token, claim.queue, batches[8].id, 1000.0)
    rig.connection.script_flush()
    seen = {7: {0: RUNNING, 1: DONE}, 8: {0: RUNNING}, 9: {}}
    outcomes = [
        Outcome(
            batches[master].id,
            batches[master].master,
            [
                Change(sub, job, advance(job, what, AbsencePolicy(), 10.0))
                for sub, what in answers.items()
                for job in [batches[master].jobs[sub]]
            ],
            5.0,
        )
        for master, answers in seen.items()
    ]
    done = rig.store.commit_all(claim.token, outcomes)
    assert [d and d.applied for d in done] == [2, None, 0]
    assert done[0] is not None and done[0].due == (f"fetch.{OWNER}",)
    states = {m: rig.store.jobs(the_master(rig.store, m), [0])[0].status for m in seen}
    assert states == {7: JobStatus.RUNNING, 8: JobStatus.SUBMITTED, 9: JobStatus.SUBMITTED}
    assert not rig.store.commit_all(claim.token, [])


def test_more_commits_than_are_sent_at_once(rig: Rig) -> None:
    for master in range(1, 121):
        rig.store.enqueue(OWNER, "", enqueue(10, f"e{master}", master))
    claim = rig.take(members=200)
    batches = rig.store.batches(claim.members)
    outcomes = [
        Outcome(
            batch.id,
            batch.master,
            [
                Change(sub, job, advance(job, RUNNING, AbsencePolicy(), 10.0))
                for sub, job in batch.jobs.items()
            ],
            5.0,
        )
        for batch in batches
    ]
    done = rig.store.commit_all(claim.token, outcomes)
    assert [d and d.applied for d in done] == [10] * 120


def test_the_owners_word_counts_once(rig: Rig) -> None:
    """Acknowledged by another pass meanwhile: the jobs may have been submitted anew since."""
    rig.store.enqueue(OWNER, "", enqueue(1))
    change = rig.change(0, RUNNING)
    rig.store.acknowledge(OWNER, "", "w1", REPOSITORY)
    done = rig.store.commit("", "w1", the_master(rig.store), [change], None)
    assert (done.applied, done.refused) == (0, 0)
    assert rig.store.commit("", "w2", the_master(rig.store), [change], None).applied == 1


def test_a_commit_of_many_jobs_is_whole(rig: Rig) -> None:
    """More fields than Lua's stack bears at once."""
    rig.store.enqueue(OWNER, "", enqueue(4500))
    changes = [rig.change(sub, RUNNING) for sub in range(4500)]
    done = rig.store.commit("", "", the_master(rig.store), changes, None)
    assert (done.applied, done.refused) == (4500, 0)
    assert the_master(rig.store).counts[JobStatus.RUNNING] == 4500
    jobs = rig.store.jobs(the_master(rig.store), None).values()
    assert {(job.status, job.native_status) for job in jobs} == {(JobStatus.RUNNING, "running")}


def test_a_transition_its_counters_its_update_and_its_fetch_are_one(rig: Rig) -> None:
    """One commit writes state, counters, update and the due fetch."""
    rig.store.enqueue(OWNER, "", enqueue(2))
    rig.observe(rig.take(), {0: DONE, 1: RUNNING}, again=0.001)
    counts = the_master(rig.store).counts
    assert counts[JobStatus.COMPLETING] == counts[JobStatus.RUNNING] == 1
    assert counts[JobStatus.SUBMITTED] == 0
    (update,) = rig.updates("t")
    assert '"completing"' in update["d"]
    assert '"id":5' in update["d"]
    assert rig.take(f"fetch.{OWNER}").members == (f"{OWNER}:{REPOSITORY}:7:0@1",)
    until(lambda: rig.store.claim(POLL, 10, 3600.0, 5), 60, "the batch is due again")


def test_what_changes_without_a_transition_is_told(rig: Rig) -> None:
    """One entry for the jobs of a commit, with what has changed of them and no more; none for a
    commit that changes nothing of them; and none for a job that has moved on meanwhile."""
    waits = Seen("queued", JobStatus.SUBMITTED, "test", attributes={"a": 1, "b": 1})
    rig.store.enqueue(OWNER, "", enqueue(3))
    rig.store.commit("", "", the_master(rig.store), [rig.change(0, waits)], None)
    late = rig.change(1, waits)
    rig.observe(rig.take(), {0: Absent("test"), 1: RUNNING})
    rig.store.commit("", "", the_master(rig.store), [late], None)
    first, second = rig.updates("t")
    assert (first["d"], first["n"]) == ("[]", '[[0,1,0,"submitted",{"a":1,"b":1}]]')
    assert '"running"' in second["d"] and second["n"] == "[]"
    again = replace(waits, attributes={"a": 1, "b": 2})
    job = rig.store.jobs(the_master(rig.store), [0])[0]
    step = advance(job, again, AbsencePolicy(), 10.0 + TELL_EVERY)
    rig.store.commit("", "", the_master(rig.store), [Change(0, job, step)], None)
    assert rig.updates("t")[2]["n"] == '[[0,1,0,"submitted",{"b":2}]]'
    job = rig.store.jobs(the_master(rig.store), [0])[0]
    assert (job.attributes, job.told_at) == ({"a": 1, "b": 2}, 10.0 + TELL_EVERY)
    assert len(rig.updates("t")) == 3


def test_the_merge_is_due_exactly_once(rig: Rig) -> None:
    """Fan-in: after the last of all subjobs, in several batches, and never again."""
    rig.store.enqueue(OWNER, "", enqueue([spec(0)], "e1", total=2))
    rig.observe(rig.take(), {0: DONE}, again=None)
    rig.fetch_all()
    assert rig.store.claim(f"merge.{OWNER}", 1, 3600.0, 5) is None
    rig.store.enqueue(OWNER, "", enqueue([spec(1)], "e2", total=2))
    rig.observe(rig.take(), {1: DONE}, again=None)
    rig.fetch_all()
    assert rig.take(f"merge.{OWNER}").members == (f"{OWNER}:{REPOSITORY}:7@1",)
    assert rig.store.claim(f"merge.{OWNER}", 1, 3600.0, 5) is None
    assert the_master(rig.store).phase == "merge"


def end(rig: Rig, attempt: int = 1) -> None:
    """Work the master's stages to the end."""
    for stage in (Stage.MERGE, Stage.CHECK, Stage.NOTIFY):
        claim = rig.take(f"{stage}.{OWNER}")
        master = the_master(rig.store)
        assert master.attempt == attempt
        final = JobStatus.COMPLETED if stage is Stage.NOTIFY else None
        result = {"ok": True, "mergers": []} if stage is Stage.MERGE else {"ok": True}
        rig.store.commit_stage(claim.token, claim.members[0], master, stage, result, final)


def test_the_stages_follow_each_other_to_the_final_status(rig: Rig) -> None:
    """merge, check, notify; the last writes the master's status and its update."""
    rig.store.enqueue(OWNER, "", enqueue(1))
    rig.observe(rig.take(), {0: DONE}, again=None)
    rig.fetch_all()
    end(rig)
    master = the_master(rig.store)
    assert (master.phase, master.status) == ("done", JobStatus.COMPLETED)
    (final,) = rig.updates("f")
    assert (final["m"], final["a"], final["s"]) == ("7", "1", "completed")


def test_a_resubmitted_subjob_opens_its_master_again(rig: Rig) -> None:
    """A new attempt of a subjob: new attempt of the ended master, merged anew, once."""
    rig.store.enqueue(OWNER, "", enqueue(2))
    rig.observe(rig.take(), {0: DONE, 1: DONE}, again=None)
    rig.fetch_all()
    end(rig)
    rig.store.enqueue(OWNER, "", enqueue([spec(1, attempt=2)], "e2", total=2))
    master = the_master(rig.store)
    assert (master.phase, master.attempt, master.status) == ("open", 2, None)
    assert master.counts[JobStatus.COMPLETED] == 1
    rig.observe(rig.take(), {1: DONE}, again=None)
    rig.fetch_all()
    end(rig, attempt=2)
    assert len(rig.updates("f")) == 2


def test_an_older_attempt_is_ignored(rig: Rig) -> None:
    """A late command of an attempt that is over changes nothing."""
    rig.store.enqueue(OWNER, "", enqueue([spec(0, attempt=2)]))
    assert not rig.store.enqueue(OWNER, "", enqueue([spec(0, attempt=1)], "e2"))
    assert rig.store.jobs(the_master(rig.store), [0])[0].attempt == 2


def test_a_resubmitted_job_is_asked_in_its_newer_batch_only(rig: Rig) -> None:
    """Its old batch still lives for the others."""
    rig.store.enqueue(OWNER, "", enqueue(2))
    rig.store.enqueue(OWNER, "", enqueue([spec(1, attempt=2)], "e2", total=2))
    batches = rig.store.batches(rig.take().members)
    assert [sorted(batch.jobs) for batch in batches] == [[0], [1]]


def test_withdrawn_is_forgotten_and_running_work_finds_it_gone(rig: Rig) -> None:
    """No key of it stays; a commit on it applies nothing and frees the slot."""
    rig.store.enqueue(OWNER, "", enqueue(2))
    claim = rig.take(slots=1)
    master = the_master(rig.store)
    change = rig.change(0, DONE)
    rig.store.withdraw(OWNER, "", withdraw())
    assert rig.store.master(OWNER, REPOSITORY, 7) is None
    done = rig.store.commit(claim.token, claim.members[0], master, [change], 5.0)
    assert (done.applied, done.refused) == (0, 1)
    assert rig.store.batches(claim.members) == []
    assert rig.client.depth(POLL) == (0, 0)
    left = rig.store._redis.keys(Keys("gm").of("m", "*")) + rig.store._redis.keys("gm:b:*")
    assert left == []


def test_postponed_members_count_their_tries(rig: Rig) -> None:
    """Put off: due later, counted in a row; dropped: gone for good."""
    rig.store.enqueue(OWNER, "", enqueue(1))
    claim = rig.take()
    assert rig.store.postpone(claim.token, POLL, claim.members[0], 0.001) == 1
    again = until(lambda: rig.store.claim(POLL, 10, 3600.0, 5), 60, "due again")
    assert rig.store.tries(POLL, again.members[0]) == 1
    rig.store.drop(again.token, POLL, again.members[0])
    assert rig.store.tries(POLL, again.members[0]) == 0
    assert rig.client.depth(POLL) == (0, 0)


@pytest.mark.parametrize("slice_", [1, 2, 4, 5, 6])
def test_refresh_makes_waiting_batches_due(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, slice_: int
) -> None:
    """The owner's refresh beats the interval, of each batch, however many a script takes."""
    monkeypatch.setattr("gangamon.store.intake.REFRESHED", slice_)
    for sub in range(5):
        rig.store.enqueue(OWNER, "", enqueue([spec(sub)], f"e{sub}", total=5))
    for sub in range(5):
        rig.observe(rig.take(members=1), {sub: RUNNING}, again=3600)
    assert rig.store.claim(POLL, 10, 3600.0, 5) is None
    rig.store.refresh(OWNER, REPOSITORY, 7)
    assert rig.take().jobs == 5


def test_hastened_batches_are_due(rig: Rig) -> None:
    """News beats the interval, of those that wait; one that is being polled is not told of."""
    rig.store.enqueue(OWNER, "", enqueue(1))
    claim = rig.take()
    (member,) = claim.members
    assert list(rig.store.hasten(POLL, [member, f"{OWNER}:{REPOSITORY}:8:1"])) == []
    rig.observe(claim, {0: RUNNING}, again=3600)
    assert rig.store.claim(POLL, 10, 3600.0, 5) is None
    assert list(rig.store.hasten(POLL, [member])) == [member]
    assert rig.take().jobs == 1
    assert list(rig.store.hasten(POLL, [])) == []


def test_history_and_evidence_survive_the_store(rig: Rig) -> None:
    """What `why` prints is what was decided."""
    rig.store.enqueue(OWNER, "", enqueue(1))
    rig.observe(rig.take(), {0: DONE}, again=None)
    rig.fetch_all()
    job = rig.store.jobs(the_master(rig.store), [0])[0]
    assert [e.status for e in job.history] == [
        JobStatus.SUBMITTED,
        JobStatus.COMPLETING,
        JobStatus.COMPLETED,
    ]
    assert job.evidence is not None
    assert (job.evidence.exit_code, job.evidence.source) == (0, "test")


def test_the_epoch_lasts_and_begins_anew_when_emptied(rig: Rig) -> None:
    """One id for one life of the store."""
    first = rig.store.epoch()
    assert rig.store.epoch() == first
    rig.store.note_journaled("j1", "day:9")
    assert rig.store.journaled("j1") == "day:9"
    assert rig.store.journaled("j2") == ""
    rig.store._redis.flushall()
    assert rig.store.epoch() != first
    assert rig.store.journaled("j1") == ""


def test_records_of_many_masters(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order asked for, in portions, each as it is by itself, without those unknown."""
    monkeypatch.setattr("gangamon.store.reads.RECORDS", 2)
    for number in (1, 2, 3):
        assert not rig.store.enqueue(OWNER, "", enqueue(number, f"e{number}", number))
    found = rig.client.records(OWNER, REPOSITORY, [3, 9, 1, 2])
    assert [master.id for master in found] == [3, 1, 2]
    assert found == [rig.client.master(OWNER, REPOSITORY, n) for n in (3, 1, 2)]
    assert rig.client.records(OWNER, REPOSITORY, []) == []


def test_native_ids(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those that were enqueued, in portions."""
    monkeypatch.setattr("gangamon.store.reads.PORTION", 2)
    assert not rig.store.enqueue(OWNER, "", enqueue(5))
    master = the_master(rig.store)
    assert rig.client.native_ids(master, [4, 0, 9, 2]) == {4: "n4", 0: "n0", 2: "n2"}
    assert rig.client.native_ids(master, []) == {}


def test_leases_are_told_with_who_works_on_them(rig: Rig) -> None:
    """A claim from when it is made until its last member is given back."""
    assert not rig.store.enqueue(OWNER, "", enqueue(3))
    assert rig.client.queues() == [POLL]
    assert rig.client.leases(10) == []
    claim = rig.take()
    (waiting,) = rig.client.leases(10)
    assert (waiting.queue, waiting.by, waiting.members, waiting.jobs) == (POLL, "", 1, 3)
    rig.store.begin(claim.token, "poll@host:task mark", 7200.0)
    (begun,) = rig.client.leases(10)
    assert begun.by == "poll@host:task mark"
    assert begun.expires > waiting.expires
    rig.observe(claim, {0: RUNNING})
    assert rig.client.leases(10) == []


def test_news_of_several_repositories(rig: Rig) -> None:
    """By one call, of those that have something after their positions, in order."""
    other = "f" * 32
    assert rig.client.news(OWNER, {}, 10, 0) == {}
    for repository, count in ((REPOSITORY, 3), (other, 1)):
        for n, entry in enumerate(rig.client.send(OWNER, ["{}"] * count)):
            rig.store.acknowledge(OWNER, entry, f"c{n}", repository)
    since = {REPOSITORY: "0", other: rig.client.position(OWNER, other), "e" * 32: "0"}
    found = rig.client.news(OWNER, since, 2, 0)
    assert {r: [f["id"] for _, f in entries] for r, entries in found.items()} == {
        REPOSITORY: ["c0", "c1"]
    }
    since[REPOSITORY] = found[REPOSITORY][-1][0]
    assert [f["id"] for _, f in rig.client.news(OWNER, since, 2, 0)[REPOSITORY]] == ["c2"]
    assert rig.client.updates(OWNER, REPOSITORY, since[REPOSITORY], 2, 0)
