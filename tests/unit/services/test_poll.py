"""One query of a lane: what is learnt, what is not, and what follows."""

from __future__ import annotations

from pathlib import Path

import pytest

from gangamon.domain.command import UNSPLIT, Enqueue, Register
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Seen
from gangamon.domain.status import JobStatus
from gangamon.errors import BackendUnreachable, CredentialMissing, PermanentError
from gangamon.services.poll import BREAKER
from gangamon.store.keys import batch_member
from tests.support.backend import DONE, FAILED, RUNNING, SUBMITTED
from tests.support.commands import LANE, OWNER, REPOSITORY, spec, the_master, withdraw
from tests.support.rig import FETCH, MERGE, POLL, Rig
from tests.support.waiting import until

ABSENT = Absent("script")
UNKNOWN = Absent("accounting", second=True)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def interval(rig: Rig) -> float | None:
    return rig.store.lane(str(LANE)).interval


def test_one_query_for_all_batches(rig: Rig) -> None:
    """All due batches of a lane, also of several masters, are asked about at once."""
    rig.begin(2)
    rig.begin(1, command_id="e2", master=8)
    rig.backend.answers = [{"7.0": RUNNING, "7.1": SUBMITTED, "8.0": RUNNING}]
    assert rig.ask() == 2
    assert rig.backend.asked == [["7.0", "7.1", "8.0"]]
    assert rig.statuses() == [JobStatus.RUNNING, JobStatus.SUBMITTED]
    assert rig.job().site == "node1"
    assert rig.depth(POLL) == (2, 0)


def test_an_end_makes_the_fetch_due_and_sends_it(rig: Rig) -> None:
    """Completed and failed jobs are both fetched; killed ones are not."""
    rig.begin(4)
    killed = Seen("CA", JobStatus.KILLED, "script")
    rig.backend.answers = [{"7.0": DONE, "7.1": FAILED, "7.2": killed, "7.3": RUNNING}]
    rig.ask()
    assert [s.value for s in rig.statuses()] == ["completing", "completing", "killed", "running"]
    assert rig.sent.take(FETCH).jobs == 2
    assert rig.inbox.lags(str(LANE)) == [10.0, 10.0]


@pytest.mark.parametrize(
    "error", [BackendUnreachable("down"), RuntimeError("bug"), KeyError("7.0")], ids=repr
)
def test_a_query_that_fails_teaches_nothing(rig: Rig, error: Exception) -> None:
    """No job changes, its facts included; the lane backs off and says why; then it recovers."""
    rig.begin(2)
    # Each half of a query that fails by a bug is tried, before it is seen that all fail.
    errors = [error] * (2 if isinstance(error, BackendUnreachable) else 6)
    rig.backend.answers = [{"7.0": RUNNING, "7.1": RUNNING}, *errors, {"7.0": DONE}]
    rig.ask()
    before = [rig.job(0), rig.job(1)]
    rig.ask()
    rig.ask()
    assert [rig.job(0), rig.job(1)] == before
    record = rig.store.lane(str(LANE))
    assert record.failures == 2
    assert str(error) in record.error
    assert rig.depth(POLL) == (1, 0)
    due = rig.redis.zrange(rig.store.keys.of("due", POLL, OWNER), 0, -1, withscores=True)[0][1]
    now = rig.redis.time()[0] * 1000
    assert now < due < now + 800_000  # the second wait: 400 s, give or take a half
    rig.ask()
    record = rig.store.lane(str(LANE))
    assert (record.failures, record.error) == (0, "")
    assert rig.statuses()[0] is JobStatus.COMPLETING


def test_a_job_that_the_answer_omits_is_left_as_it_is(rig: Rig) -> None:
    """A plugin that breaks its promise does no harm: an omission is no absence."""
    rig.begin(2)
    before = rig.job(1)
    rig.backend.answers = [{"7.0": RUNNING}]
    rig.ask()
    assert rig.statuses()[0] is JobStatus.RUNNING
    assert rig.job(1) == before
    assert rig.depth(POLL) == (1, 0)


def test_an_answer_about_others_is_not_believed(rig: Rig) -> None:
    """Jobs that were not asked about do not change."""
    rig.begin(1)
    rig.backend.answers = [{"7.0": DONE}, {"7.0": FAILED, "9.9": DONE}]
    rig.begin([spec(1)], command_id="e2", total=2)  # type: ignore[arg-type]
    rig.ask()
    rig.ask()
    assert rig.backend.asked[1] == ["7.1"]
    assert rig.job(0).verdict is JobStatus.COMPLETED


def test_the_second_source_is_asked_after_the_grace_only(rig: Rig) -> None:
    """Enough good answers without the job, over the grace time; and only about that job."""
    rig.begin(2)
    rig.backend.answers = [{"7.0": ABSENT, "7.1": RUNNING}]
    rig.backend.second = [{"7.0": DONE}]
    rig.ask()
    rig.ask()
    rig.ask()
    assert rig.job(0).absences == 3
    assert rig.backend.asked_second == []
    rig.clock.at += 60
    rig.ask()
    assert rig.backend.asked_second == [["7.0"]]
    assert rig.statuses() == [JobStatus.COMPLETING, JobStatus.RUNNING]


def test_a_job_seen_again_was_never_gone(rig: Rig) -> None:
    """One good answer with the job begins the counting anew."""
    rig.begin(1)
    rig.backend.answers = [{"7.0": ABSENT}, {"7.0": ABSENT}, {"7.0": RUNNING}, {"7.0": ABSENT}]
    for _ in range(3):
        rig.ask()
    rig.clock.at += 100
    rig.ask()
    assert rig.backend.asked_second == []
    assert rig.job().absences == 1


@pytest.mark.parametrize("error", [BackendUnreachable("down"), RuntimeError("bug")], ids=repr)
def test_a_second_source_that_fails_takes_nothing_from_the_first(
    rig: Rig, error: Exception
) -> None:
    """What the query said is committed; the missing job is asked about again."""
    rig.begin(2)
    rig.backend.answers = [{"7.0": ABSENT, "7.1": SUBMITTED}] * 2 + [{"7.0": ABSENT, "7.1": DONE}]
    rig.backend.second = [error]
    rig.ask()
    rig.ask()
    rig.clock.at += 60
    rig.ask()
    assert rig.backend.asked_second == [["7.0"]]
    assert rig.statuses() == [JobStatus.SUBMITTED, JobStatus.COMPLETING]
    assert rig.depth(POLL) == (1, 0)


def test_a_job_that_nobody_knows_is_stale_and_then_lost(rig: Rig) -> None:
    """Stale keeps its status; after ``lost_after`` it fails with the evidence of it."""
    rig.begin(1)
    rig.backend.answers = [{"7.0": ABSENT}]
    rig.backend.second = [{"7.0": UNKNOWN}]
    rig.ask()
    rig.clock.at += 60
    rig.ask()
    assert (rig.job().status, rig.job().stale) == (JobStatus.SUBMITTED, True)
    rig.clock.at += 539
    rig.ask()
    assert rig.job().status is JobStatus.SUBMITTED
    rig.clock.at += 1
    rig.ask()
    job = rig.job()
    assert job.status is JobStatus.FAILED
    assert job.evidence is not None
    assert "lost" in job.evidence.reason
    assert job.evidence.absences == 4
    assert MERGE in rig.sent.queues()


def test_an_unmapped_code_is_kept_and_decides_nothing(rig: Rig) -> None:
    """The native status is shown as it is; the status stays."""
    rig.begin(1)
    rig.backend.answers = [{"7.0": RUNNING}, {"7.0": Seen("XX", None, "script")}]
    rig.ask()
    rig.ask()
    job = rig.job()
    assert (job.status, job.native_status, job.unmapped) == (JobStatus.RUNNING, "XX", True)


def test_the_lane_remembers_its_pace(rig: Rig) -> None:
    """The interval grows while nothing changes, up to the cap, and shrinks with a change."""
    rig.begin(1)
    answers: list[dict[str, Observation]] = [{"7.0": SUBMITTED}] * 5 + [{"7.0": RUNNING}]
    rig.backend.answers = [*answers]
    found = []
    for _ in range(6):
        rig.ask()
        found.append(interval(rig))
    assert found == [100.0, 200.0, 400.0, 800.0, 800.0, 100.0]
    assert rig.store.lane(str(LANE)).asked_at == 1000.0


@pytest.mark.parametrize(
    ("wish", "every"),
    [({"Local": 300.0}, 300.0), ({"Local": 1.0}, 100.0), ({"Slurm": 300.0}, 200.0)],
)
def test_an_owner_may_wish_a_pace(rig: Rig, wish: dict[str, float], every: float) -> None:
    """The owner's batches are asked about at the pace wished for this backend, within its bounds;
    the lane's own pace does not change by it."""
    rig.begin(1)
    rig.store.register(OWNER, Register("r2", REPOSITORY, (str(rig.folder),), wish))
    rig.backend.answers = [{"7.0": RUNNING}] * 2
    rig.ask()
    rig.ask()
    (batch,) = rig.store.batches([batch_member(OWNER, REPOSITORY, 7, 1)])
    assert batch.every == every
    assert rig.store.lane(str(LANE)).interval == 200.0


def test_a_batch_ends_with_its_last_polled_job(rig: Rig) -> None:
    """Nobody is asked about jobs whose end is known."""
    rig.begin(2)
    rig.backend.answers = [{"7.0": DONE, "7.1": RUNNING}, {"7.1": FAILED}]
    rig.ask()
    assert rig.depth(POLL) == (1, 0)
    rig.ask()
    assert rig.backend.asked == [["7.0", "7.1"], ["7.1"]]
    assert rig.depth(POLL) == (0, 0)


def test_a_batch_whose_jobs_all_ended_meanwhile_asks_nothing(rig: Rig) -> None:
    """Killed in Ganga between two polls: no query, no batch left."""
    rig.begin(2)
    rig.store.register(OWNER, Register("r1", REPOSITORY, (str(rig.folder),)))
    claim = rig.claim(POLL)
    rig.send(withdraw(subs=(0, 1)))
    rig.intake.run()
    rig.poll.run(claim.token, "w1")
    assert rig.backend.asked == []
    assert rig.depth(POLL) == (0, 0)
    assert rig.statuses() == [JobStatus.KILLED] * 2


def test_a_withdrawn_batch_is_dropped_and_the_others_are_asked(rig: Rig) -> None:
    """A master that was removed while its claim was on the way."""
    rig.begin(1)
    rig.begin(1, command_id="e2", master=8)
    claim = rig.claim(POLL)
    assert len(claim.members) == 2
    rig.store.withdraw(OWNER, "", withdraw(7))
    rig.backend.answers = [{"8.0": RUNNING}]
    assert rig.poll.run(claim.token, "w1") == 1
    assert rig.backend.asked == [["8.0"]]
    assert rig.depth(POLL) == (1, 0)


def test_only_withdrawn_batches_free_the_lane(rig: Rig) -> None:
    """Nothing is left of the claim, and no query is made."""
    rig.begin(1)
    claim = rig.claim(POLL)
    rig.store.withdraw(OWNER, "", withdraw(7))
    assert rig.poll.run(claim.token, "w1") == 0
    assert rig.backend.asked == []
    assert rig.depth(POLL) == (0, 0)


def test_a_doubled_message_asks_once(rig: Rig) -> None:
    """The second worker finds the claim begun."""
    rig.begin(1)
    rig.backend.answers = [{"7.0": RUNNING}]
    claim = rig.claim(POLL)
    assert [rig.poll.run(claim.token, "w1"), rig.poll.run(claim.token, "w2")] == [1, 0]
    assert len(rig.backend.asked) == 1


@pytest.mark.parametrize("answer", [{"7.0": DONE}, BackendUnreachable("down")], ids=["ok", "down"])
def test_a_worker_that_lost_its_lease_changes_nothing(rig: Rig, answer: object) -> None:
    """It was asleep during its query; another has the batch now."""
    rig.begin(1)
    claim = rig.store.claim(POLL, 10, 0.05, 2)
    assert claim is not None

    def asleep(*_: object) -> dict[str, Observation]:
        until(rig.store.rescue, 60, "the lease expires")
        if isinstance(answer, Exception):
            raise answer
        return {f"{OWNER}:{REPOSITORY}/7.0": DONE}

    rig.backend.poll = asleep  # type: ignore[method-assign]
    rig.keeper.lease = 0.05
    rig.store.renew = lambda *_: None  # type: ignore[method-assign, assignment]
    assert rig.poll.run(claim.token, "w1") == 0
    assert rig.statuses() == [JobStatus.SUBMITTED]
    assert sum(rig.depth(POLL)) == 1


def test_jobs_of_the_same_number_do_not_meet(rig: Rig) -> None:
    """Two repositories, or two owners, in one lane: each answer reaches its own job 7.0."""
    other = "f" * 32
    rig.begin(1)
    rig.store.register("bob", Register("r2", other, (str(rig.folder),)))
    jobs = (spec(0, native_id="bobs"),)
    workspace = f"{rig.folder}/bob/7"
    command = Enqueue("e2", other, 7, 1, "bob's", LANE, workspace, (), jobs)
    rig.store.enqueue("bob", "", command)
    asked: list[list[str]] = []

    def by_native_id(lane: object, items: list[object]) -> dict[str, Observation]:
        asked.append([item.native_id for item in items])  # type: ignore[attr-defined]
        return {
            item.key: DONE if item.native_id == "bobs" else RUNNING  # type: ignore[attr-defined]
            for item in items
        }

    rig.backend.poll = by_native_id  # type: ignore[method-assign, assignment]
    rig.ask()
    bobs = rig.store.master("bob", other, 7)
    assert bobs is not None
    assert rig.store.jobs(bobs, [0])[0].status is JobStatus.COMPLETING
    assert rig.statuses() == [JobStatus.RUNNING]
    assert [sorted(ids) for ids in asked] == [["bobs", "n0"]], "one query for the lane"


def test_a_job_that_was_not_split_is_asked_by_its_own_number(rig: Rig) -> None:
    """``7``, with its outputs in the master's own directory."""
    rig.begin([spec(UNSPLIT)])  # type: ignore[arg-type]
    rig.backend.answers = [{"7": DONE}]
    assert rig.ask() == 1
    rig.fetch_all()
    assert rig.fetcher.orders[0].target == f"{rig.folder}/7/output"
    assert the_master(rig.store).counts[JobStatus.COMPLETED] == 1


def test_a_restart_by_the_backend_is_followed(rig: Rig) -> None:
    """Requeued while it ran: submitted again with a new restart, then running again."""
    rig.begin(1)
    again = Seen("PD", JobStatus.SUBMITTED, "script", restarts=1)
    anew = Seen("R", JobStatus.RUNNING, "script", restarts=1)
    rig.backend.answers = [{"7.0": RUNNING}, {"7.0": again}, {"7.0": RUNNING}, {"7.0": anew}]
    statuses = []
    for _ in range(4):
        rig.ask()
        statuses.append((rig.job().restart, rig.job().status.value))
    assert statuses == [(0, "running"), (1, "submitted"), (1, "submitted"), (1, "running")]


def test_a_message_doubled_during_the_query_asks_nothing(rig: Rig) -> None:
    """The second one comes while the first is at work, in another worker."""
    rig.begin(1)
    claim = rig.claim(POLL)
    asked: list[int] = []

    def meanwhile(*_: object) -> dict[str, Observation]:
        asked.append(len(asked))
        assert rig.poll.run(claim.token, "w2") == 0
        return {f"{OWNER}:{REPOSITORY}/7.0": RUNNING}

    rig.backend.poll = meanwhile  # type: ignore[method-assign]
    assert rig.poll.run(claim.token, "w1") == 1
    assert asked == [0]


def test_a_late_commit_of_an_ended_master_makes_no_second_merge(rig: Rig) -> None:
    """Its jobs were ended in Ganga, it was merged and told; then a slow poll commits."""
    rig.begin(2)
    claim = rig.claim(POLL)
    rig.send(withdraw(subs=(0, 1)))
    rig.intake.run()
    stages = ((MERGE, rig.merge), (f"check.{OWNER}", rig.check), (f"notify.{OWNER}", rig.notify))
    for queue, stage in stages:
        assert stage.run(rig.claim(queue).token, "w1") == 1
    rig.poll.run(claim.token, "w1")
    assert the_master(rig.store).phase == "done"
    assert rig.depth(MERGE) == (0, 0)
    assert len(rig.updates("f")) == 1


# --- the lane -------------------------------------------------------------------------------

DOWN = BackendUnreachable("down")
EXPIRED = CredentialMissing("proxy expired at noon")


def rested(rig: Rig) -> None:
    """The time for which the breaker rests, or a pause until its probe, is over."""
    key = rig.store.keys.of("lane", str(LANE))
    for field in ("open_until", "probe_at"):
        if rig.redis.hget(key, field):
            rig.redis.hset(key, field, 1)


def due(rig: Rig) -> bool:
    rig.hurry(POLL)
    rig.dispatcher.push([POLL])
    return POLL in rig.sent.queues()


def test_the_breaker_opens_after_several_failures_and_one_probe_closes_it(rig: Rig) -> None:
    """Nothing is asked while it is open; then one query, and after a good answer all goes on."""
    for n in range(3):
        rig.begin([spec(n)], command_id=f"e{n}", total=3)  # type: ignore[arg-type]
    rig.backend.limits = rig.backend.limits.__class__(jobs=100, slots=3)
    rig.backend.answers = [DOWN]
    for _ in range(BREAKER - 1):
        rig.ask()
    assert rig.store.lane(str(LANE)).open_until is None
    for claim in [c for c in rig.sent.claims if c.queue == POLL]:
        rig.poll.run(claim.token, "w1")
    assert rig.store.lane(str(LANE)).open_until is not None
    rig.sent.claims.clear()
    asked = len(rig.backend.asked)
    assert not due(rig)
    rested(rig)
    assert due(rig)
    assert rig.sent.queues() == [POLL], "one probe, whatever is due"
    rig.backend.answers = [{f"7.{n}": RUNNING for n in range(3)}]
    rig.poll.run(rig.sent.take(POLL).token, "w1")
    assert len(rig.backend.asked) == asked + 1
    record = rig.store.lane(str(LANE))
    assert (record.open_until, record.failures, record.error) == (None, 0, "")
    while due(rig):
        rig.poll.run(rig.sent.take(POLL).token, "w1")
        if rig.statuses() == [JobStatus.RUNNING] * 3:
            break
    assert rig.statuses() == [JobStatus.RUNNING] * 3


def test_a_probe_that_fails_lets_the_lane_rest_again(rig: Rig) -> None:
    """For longer than before; the jobs keep their status all the while."""
    rig.begin(1)
    rig.backend.answers = [DOWN]
    for _ in range(BREAKER):
        rig.ask()
    first = rig.store.lane(str(LANE))
    rested(rig)
    rig.ask()
    again = rig.store.lane(str(LANE))
    assert again.failures == BREAKER + 1
    assert first.open_until is not None
    assert again.open_until is not None
    assert again.open_until > rig.inbox.clock() + 2
    assert not due(rig)
    assert rig.statuses() == [JobStatus.SUBMITTED]


def test_a_missing_credential_pauses_its_lane_alone(rig: Rig) -> None:
    """It says so, counts no failure, and other lanes are asked as ever."""
    rig.begin(1)
    other = Lane("Local", "node1", "other")
    rig.begin(1, command_id="e2", master=8, lane=other)
    rig.backend.answers = [EXPIRED, {"8.0": RUNNING}]
    rig.ask()
    record = rig.store.lane(str(LANE))
    assert record.paused == "credential: proxy expired at noon"
    assert record.probe_at is not None
    assert record.failures == 0
    assert not due(rig)
    assert rig.poll.run(rig.claim(f"poll.{other}").token, "w1") == 1
    assert rig.statuses() == [JobStatus.SUBMITTED]


def test_a_lane_goes_on_by_itself_when_its_credential_is_back(rig: Rig) -> None:
    """By a probe now and then; the first good one ends the pause, and what waits is due."""
    rig.begin([spec(0)], total=2)  # type: ignore[arg-type]
    rig.begin([spec(1)], command_id="e2", total=2)  # type: ignore[arg-type]
    rig.backend.limits = rig.backend.limits.__class__(jobs=100, slots=3)
    rig.backend.answers = [EXPIRED]
    rig.ask()
    rig.sent.claims.clear()
    rig.redis.delete(rig.store.keys.of("slots", POLL))  # the other query never came back
    rested(rig)
    rig.ask()
    assert rig.store.lane(str(LANE)).paused
    assert not due(rig)
    rested(rig)
    rig.backend.answers = [{"7.0": RUNNING, "7.1": RUNNING}]
    rig.ask()
    assert rig.store.lane(str(LANE)).paused == ""


@pytest.mark.parametrize("answer", [{"7.0": RUNNING}, EXPIRED], ids=["good", "expired"])
def test_the_owners_pause_outlasts_a_query_under_way(rig: Rig, answer: object) -> None:
    """Whatever comes of it."""
    rig.begin(1)
    rig.backend.answers = [EXPIRED]
    rig.ask()
    rested(rig)
    claim = rig.claim(POLL)
    rig.backend.answers = [answer]  # type: ignore[list-item]
    asked = rig.backend.poll

    def meanwhile(*given: object) -> object:
        rig.store.pause(str(LANE), "maintenance", None)
        return asked(*given)  # type: ignore[arg-type]

    rig.backend.poll = meanwhile  # type: ignore[method-assign, assignment]
    rig.poll.run(claim.token, "w1")
    assert rig.store.lane(str(LANE)).paused == "maintenance"
    assert not due(rig)


def poisoned(rig: Rig, error: Exception, *bad: str) -> None:
    """Queries that name one of these fail, others are answered: running."""

    def poll(lane: object, items: list[object]) -> dict[str, Observation]:
        rig.backend.asked.append(sorted(item.fqid for item in items))  # type: ignore[attr-defined]
        if set(bad) & set(rig.backend.asked[-1]):
            raise error
        return {item.key: RUNNING for item in items}  # type: ignore[attr-defined]

    rig.backend.poll = poll  # type: ignore[method-assign, assignment]


def test_a_job_that_breaks_the_query_is_set_aside_and_the_others_are_asked(rig: Rig) -> None:
    """In the same round; it keeps its status, and no later query names it until it is retried."""
    rig.begin(8)
    poisoned(rig, ValueError("no number: n5"), "7.5")
    assert rig.ask() == 7
    assert rig.statuses()[5] is JobStatus.SUBMITTED
    (letter,) = rig.store.dead(OWNER)
    assert letter.name == f"{OWNER}:{REPOSITORY}:7:5"
    assert letter.reason == "ValueError: no number: n5"
    record = rig.store.lane(str(LANE))
    assert (record.failures, record.open_until) == (0, None)
    assert sum(count for count, _ in rig.inbox.calls(str(LANE)).values()) == len(rig.backend.asked)
    rig.ask()
    assert rig.backend.asked[-1] == [f"7.{n}" for n in range(8) if n != 5]
    poisoned(rig, ValueError("never"))
    rig.store.retry(letter)
    rig.ask()
    assert "7.5" in rig.backend.asked[-1]
    assert rig.statuses() == [JobStatus.RUNNING] * 8


def test_a_batch_of_nothing_but_bad_jobs_is_not_asked_again(rig: Rig) -> None:
    """The plugin says that the only job can never be asked about."""
    rig.begin(1)
    poisoned(rig, PermanentError("no such id"), "7.0")
    rig.ask()
    assert len(rig.store.dead(OWNER)) == 1
    assert rig.depth(POLL) == (0, 0)


def test_a_failed_round_pays_for_all_that_it_asked(rig: Rig) -> None:
    """Halves that fail are queries, too."""
    rig.begin(4)
    rig.backend.limits = rig.backend.limits.__class__(rate=0.001, burst=20)
    rig.backend.answers = [ValueError("new format")]
    rig.ask()
    asked = len(rig.backend.asked)
    assert asked == 7
    assert sum(count for count, _ in rig.inbox.calls(str(LANE)).values()) == asked
    tokens = float(str(rig.redis.hget(rig.store.keys.of("budget", str(LANE)), "tokens")))
    assert tokens == pytest.approx(20 - asked, abs=0.1)


def test_the_second_source_is_counted(rig: Rig) -> None:
    """It is asked of the same site."""
    rig.begin(1)
    rig.backend.answers = [{"7.0": ABSENT}]
    rig.backend.second = [{"7.0": DONE}]
    rig.ask()
    rig.clock.at += 60
    rig.ask()
    assert sum(count for count, _ in rig.inbox.calls(str(LANE)).values()) == 3


def test_a_mass_disappearance_is_asked_about_again(rig: Rig) -> None:
    """In the same round, before an absence is counted; a second time it is not new."""
    rig.begin(20)
    everybody: dict[str, Observation] = {f"7.{n}": RUNNING for n in range(20)}
    nobody: dict[str, Observation] = {f"7.{n}": ABSENT for n in range(20)}
    rig.backend.answers = [everybody, nobody, everybody, nobody]
    rig.ask()
    rig.ask()
    assert len(rig.backend.asked) == 3
    assert rig.job().absences == 0
    rig.ask()
    assert rig.job().absences == 1
    rig.ask()
    assert len(rig.backend.asked) == 6
    assert rig.job().absences == 2


def test_a_lag_goes_with_the_interval_that_was_in_force(rig: Rig) -> None:
    """By which it can be judged; the first question about a job comes when it comes."""
    rig.begin(2)
    rig.backend.answers = [{"7.0": DONE, "7.1": SUBMITTED}, {"7.1": SUBMITTED}, {"7.1": DONE}]
    for _ in range(3):
        rig.ask()
    assert [lag.interval for lag in rig.inbox.detections(str(LANE))] == [200.0, None]
    assert interval(rig) == 100.0
