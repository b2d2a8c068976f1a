"""Lanes in the store: fair, polite, paused and broken; and what is set aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
import redis

from gangamon.domain.effect import Stage
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Fetched, Observation, Seen
from gangamon.domain.status import JobStatus
from gangamon.domain.transition import AbsencePolicy, advance
from gangamon.errors import LeaseLost
from gangamon.protocols import Asked, Change, Claim, Lag, Master, Polite
from gangamon.store.claims import STRIKES
from gangamon.store.inbox import ClientStore
from gangamon.store.redis import RedisStore
from tests.support.commands import LANE, OWNER, REPOSITORY, enqueue, spec, the_master, withdraw
from tests.support.waiting import until

POLL = f"poll.{LANE}"
NAME = str(LANE)
RUNNING = Seen("R", JobStatus.RUNNING, "test")
DONE = Seen("CD", JobStatus.COMPLETED, "test", ended_at=1.0, exit_code=0)
ANY = Polite(endpoint_slots=1000)
ONCE = Asked(1, 0.1, 0.1)


class Rig:
    """Two stores over one Redis, as two workers have them."""

    def __init__(self, connect: Callable[[], redis.Redis]) -> None:
        self.redis = connect()
        self.store = RedisStore("", "gm", connection=self.redis)
        self.other = RedisStore("", "gm", connection=connect())
        self.client = ClientStore("", "gm", connection=self.redis)

    def add(self, batches: int, owner: str = OWNER, lane: Lane = LANE, master: int = 7) -> None:
        """So many batches of one job each."""
        for n in range(batches):
            command = enqueue([spec(n)], f"{owner}{master}.{n}", master, batches, lane=lane)
            assert not self.store.enqueue(owner, "", command)

    def claim(
        self,
        members: int = 1,
        lease: float = 3600.0,
        slots: int = 1000,
        polite: Polite = ANY,
        lane: Lane = LANE,
    ) -> Claim | None:
        return self.begun(self.store.claim(f"poll.{lane}", members, lease, slots, polite), lease)

    def begun(self, claim: Claim | None, lease: float) -> Claim | None:
        """A claim of which the lease is to expire is begun: by the worker that then dies."""
        if claim is not None and lease < 1:
            self.store.begin(claim.token, "w", lease)
        return claim

    def take(self, **given: object) -> Claim:
        claim = self.claim(**given)  # type: ignore[arg-type]
        assert claim is not None
        return claim

    def stage(self, stage: str, lease: float = 3600.0) -> Claim:
        claim = self.begun(self.store.claim(f"{stage}.{OWNER}", 1, lease, 5), lease)
        assert claim is not None
        return claim

    def change(self, sub: int, seen: Observation, master: Master) -> Change:
        job = self.store.jobs(master, [sub])[sub]
        return Change(sub, job, advance(job, seen, AbsencePolicy(), 10.0))

    def answer(self, claim: Claim, seen: Observation, again: float | None = None) -> None:
        """Commit all batches of a claim."""
        for batch in self.store.batches(claim.members):
            changes = [self.change(sub, seen, batch.master) for sub in batch.jobs]
            self.store.commit(claim.token, batch.id, batch.master, changes, again)

    def expire(self) -> list[str]:
        """What became of the members whose leases end now."""
        return [rescued.what for rescued in until(self.store.rescue, 60, "a lease expires")]

    def fetch_all(self) -> None:
        master = the_master(self.store)
        while claim := self.store.claim(f"fetch.{OWNER}", 10, 3600.0, 5):
            for member in claim.members:
                sub = int(member.rsplit(":", 1)[1].split("@")[0])
                change = self.change(sub, Fetched(True), master)
                self.store.commit(claim.token, member, master, [change], None)

    def later(self, seconds: float, field: str) -> None:
        """So much time has passed for what the lane waits for."""
        at = float(str(self.redis.hget(self.store.keys.of("lane", NAME), field)))
        self.redis.hset(self.store.keys.of("lane", NAME), field, round(at - seconds * 1000))

    def seconds(self) -> float:
        return self.client.clock()

    def lane_of(self, credential: str, endpoint: str = "node1") -> Lane:
        return Lane("Local", endpoint, credential)


@pytest.fixture
def rig(connection: Callable[[], redis.Redis]) -> Rig:
    return Rig(connection)


# --- fairness -------------------------------------------------------------------------------


@pytest.mark.parametrize(("members", "within"), [(1, 21), (10, 3)])
def test_small_owners_are_served_beside_a_large_one(rig: Rig, members: int, within: int) -> None:
    """One owner has 500 batches, 20 have one: each of them is in the first claims."""
    rig.add(500, owner="large")
    small = [f"u{n:02}" for n in range(20)]
    for owner in small:
        rig.add(1, owner=owner)
    claims = [rig.take(members=members) for _ in range(within)]
    served = Counter(member.split(":")[0] for claim in claims for member in claim.members)
    assert {owner: served[owner] for owner in small} == dict.fromkeys(small, 1)
    assert served["large"] == within * members - 20
    assert rig.take(members=members).members[0].startswith("large:"), "nobody else is left"


def test_who_comes_later_is_served_next(rig: Rig) -> None:
    """A new owner does not wait for the batches that were there before."""
    rig.add(50, owner="large")
    for _ in range(10):
        rig.take()
    rig.add(1, owner="zoe")
    assert rig.take().members == (f"zoe:{REPOSITORY}:7:1",)


def test_owners_of_many_batches_share_a_query(rig: Rig) -> None:
    """One batch of each in turn, in one claim as over several."""
    for owner in ("ann", "bob", "cyd"):
        rig.add(30, owner=owner)
    served = [member[:3] for _ in range(5) for member in rig.take(members=6).members]
    assert Counter(served) == {"ann": 10, "bob": 10, "cyd": 10}


# --- politeness -----------------------------------------------------------------------------


def test_an_endpoint_has_its_slots_over_all_lanes(rig: Rig) -> None:
    """Three credentials at one endpoint: two queries at once; another endpoint has its own."""
    lanes = [rig.lane_of(credential) for credential in "abc"]
    elsewhere = rig.lane_of("a", "node2")
    for n, lane in enumerate((*lanes, elsewhere)):
        rig.add(1, lane=lane, master=n)
    polite = Polite(endpoint_slots=2)
    first = rig.take(lane=lanes[0], polite=polite)
    rig.take(lane=lanes[1], polite=polite)
    assert rig.claim(lane=lanes[2], polite=polite) is None
    rig.take(lane=elsewhere, polite=polite)
    rig.answer(first, RUNNING)
    rig.take(lane=lanes[2], polite=polite)


@pytest.mark.parametrize("how", ["commit", "postpone", "drop", "rescue"])
def test_the_end_of_a_claim_frees_its_endpoint(rig: Rig, how: str) -> None:
    """However it ends."""
    one, two = rig.lane_of("a"), rig.lane_of("b")
    rig.add(1, lane=one)
    rig.add(1, lane=two, master=8)
    polite = Polite(endpoint_slots=1)
    claim = rig.take(lane=one, polite=polite, lease=0.02 if how == "rescue" else 3600.0)
    if how != "rescue":
        assert rig.claim(lane=two, polite=polite) is None
    if how == "commit":
        rig.answer(claim, RUNNING)
    elif how == "postpone":
        rig.store.postpone(claim.token, claim.queue, claim.members[0], 3600.0)
    elif how == "drop":
        rig.store.drop(claim.token, claim.queue, claim.members[0])
    else:
        assert rig.expire() == ["back"]
    rig.take(lane=two, polite=polite)
    assert rig.redis.zcard(rig.store.keys.endpoint(one)) == 1


@pytest.mark.parametrize("how", ["begin", "renew"])
def test_a_claim_at_work_keeps_its_endpoint(rig: Rig, how: str) -> None:
    """Begun or renewed it holds its slot past its first lease."""
    one, two, clock = rig.lane_of("a"), rig.lane_of("b"), rig.lane_of("a", "node2")
    for n, lane in enumerate((one, two, clock)):
        rig.add(1, lane=lane, master=n)
    polite = Polite(endpoint_slots=1)
    claim = rig.store.claim(f"poll.{one}", 1, 0.05, 1000, polite)
    assert claim is not None
    if how == "begin":
        assert rig.store.begin(claim.token, "w1", 3600.0)
    else:
        rig.store.renew([claim.token], 3600.0)
    rig.take(lane=clock, lease=0.05)
    assert rig.expire() == ["back"], "the lease that was not kept has ended"
    assert rig.claim(lane=two, polite=polite) is None
    assert rig.claim(lane=one, slots=1) is None


def test_a_claim_without_a_free_slot_takes_nothing(rig: Rig) -> None:
    """No token is spent, no turn taken."""
    rig.add(3)
    polite = Polite(1000, rate=0.001, burst=2)
    rig.take(slots=1, polite=polite)
    assert rig.claim(slots=1, polite=polite) is None
    rig.take(slots=2, polite=polite)


def test_the_budget_bounds_queries_over_any_time(rig: Rig) -> None:
    """Two workers that ask as fast as they can: never above burst + rate x time, and not less."""
    rig.add(60)
    rate, burst = 20.0, 3
    polite = Polite(1000, rate, burst)
    begun, taken, both = rig.seconds(), 0, [rig.store, rig.other]

    def another() -> bool:
        nonlocal taken
        for store in both:
            if store.claim(POLL, 1, 3600.0, 1000, polite):
                taken += 1
                assert taken <= burst + rate * (rig.seconds() - begun + 0.002)
        return taken >= 12

    until(another, 60, "the budget fills again")
    assert rig.seconds() - begun >= (12 - burst) / rate - 0.002
    assert rig.client.budget(NAME) == (rate, burst)


def test_the_budget_fills_by_the_clock_of_redis_and_not_over_its_brim(rig: Rig) -> None:
    """After an hour without a query there are as many as a full budget bears."""
    rig.add(10)
    polite = Polite(1000, rate=0.001, burst=3)
    assert sum(rig.claim(polite=polite) is not None for _ in range(5)) == 3
    budget = rig.store.keys.of("budget", NAME)
    rig.redis.hincrby(budget, "at", -1_000_000)  # a thousand seconds ago: one query
    assert sum(rig.claim(polite=polite) is not None for _ in range(3)) == 1
    rig.redis.hincrby(budget, "at", -1_000_000_000)
    assert sum(rig.claim(polite=polite) is not None for _ in range(5)) == 3


def test_a_query_in_parts_pays_for_each(rig: Rig) -> None:
    """The claim pays for one; what was asked besides, well or not, is paid for afterwards."""
    rig.add(10)
    polite = Polite(1000, rate=0.001, burst=8)
    rig.take(polite=polite)
    rig.store.note_query(NAME, 1.0, 5.0, 0.1, Asked(3, 0.3, 0.2), [])
    rig.take(polite=polite)
    assert rig.store.note_failure(NAME, "down", Asked(4, 0.4, 0.1)) == 1
    assert sum(rig.claim(polite=polite) is not None for _ in range(5)) == 1


def test_lanes_have_budgets_of_their_own(rig: Rig) -> None:
    """And one whose budget was switched off has none."""
    other = rig.lane_of("b")
    rig.add(3)
    rig.add(2, lane=other, master=8)
    polite = Polite(1000, rate=0.001, burst=1)
    rig.take(polite=polite)
    assert rig.claim(polite=polite) is None
    rig.take(lane=other, polite=polite)
    rig.take(polite=ANY)
    assert rig.client.budget(NAME) is None


def test_queries_are_counted_by_minute_and_forgotten(rig: Rig) -> None:
    """Number, seconds and the slowest of each minute; what is older than two hours goes."""
    calls = rig.store.keys.of("calls", NAME)
    minute = int(rig.seconds() // 60)
    old = {str(minute - 500): 9, f"s:{minute - 500}": 1.0, f"m:{minute - 500}": 1.0}
    rig.redis.hset(calls, mapping=old)  # type: ignore[arg-type]
    rig.store.note_query(NAME, 1.0, 5.0, 0.1, Asked(3, 0.75, 0.5), [Lag(2.0), Lag(1.0, 5.0)])
    rig.store.note_failure(NAME, "down", Asked(1, 0.25, 0.25))
    found = rig.client.calls(NAME)
    assert sum(count for count, _ in found.values()) == 4
    assert sum(took for _, took in found.values()) == pytest.approx(1.0)
    assert max(rig.client.slowest(NAME).values()) == 0.5
    assert str(minute - 500) not in rig.redis.hkeys(calls)
    assert min(found) >= minute
    assert sorted(rig.client.lags(NAME)) == [1.0, 2.0]
    assert set(rig.client.detections(NAME)) == {Lag(2.0), Lag(1.0, 5.0)}


def test_a_batch_knows_the_interval_it_is_asked_at(rig: Rig) -> None:
    """None before its first query, then that of the last commit."""
    rig.add(1)
    claim = rig.take()
    assert [batch.every for batch in rig.store.batches(claim.members)] == [None]
    rig.answer(claim, RUNNING, again=0.05)
    again = until(rig.claim, 60, "due again")
    assert [batch.every for batch in rig.store.batches(again.members)] == [0.05]


# --- breaker and pauses ---------------------------------------------------------------------


def test_an_open_breaker_lets_nothing_and_then_one_probe_through(rig: Rig) -> None:
    """A good answer closes it; until then only one claim at a time is given."""
    rig.add(5)
    rig.store.open_breaker(NAME, 3600.0)
    assert rig.claim() is None
    rig.later(3600.0, "open_until")
    probe = until(rig.claim, 60, "the breaker lets a probe through")
    assert rig.claim() is None
    rig.store.note_failure(NAME, "down", ONCE)
    rig.store.open_breaker(NAME, 3600.0)
    rig.store.postpone(probe.token, POLL, probe.members[0], 3600.0)
    assert rig.claim() is None
    rig.later(3600.0, "open_until")
    until(rig.claim, 60, "the next probe")
    assert rig.claim() is None
    rig.store.note_query(NAME, 1.0, 5.0, 0.1, ONCE, [])
    rig.take()
    assert rig.store.lane(NAME).open_until is None
    assert rig.store.lane(NAME).failures == 0


def test_a_lost_probe_is_followed_by_another(rig: Rig) -> None:
    """Its worker died: with its lease the lane is free for the next probe."""
    rig.add(2)
    rig.store.open_breaker(NAME, 0.001)
    until(lambda: rig.claim(lease=0.02), 60, "the probe")
    until(rig.claim, 60, "another one")


def test_a_paused_lane_is_asked_when_it_is_resumed(rig: Rig) -> None:
    """Not before, whatever is due; its reason is kept with it; other lanes go on."""
    other = rig.lane_of("b")
    rig.add(2)
    rig.add(1, lane=other, master=8)
    rig.store.pause(NAME, "maintenance", None)
    record = rig.store.lane(NAME)
    assert (record.paused, record.probe_at) == ("maintenance", None)
    assert rig.claim() is None
    rig.take(lane=other)
    rig.store.resume(NAME)
    assert rig.store.lane(NAME).paused == ""
    rig.take()


@pytest.mark.parametrize("slice_", [1, 2, 3, 1000])
def test_resuming_asks_at_once(rig: Rig, monkeypatch: pytest.MonkeyPatch, slice_: int) -> None:
    """Also what was put off for an hour by failures, and past an open breaker; however many
    batches a script makes due."""
    monkeypatch.setattr("gangamon.store.lanes.RESUMED", slice_)
    rig.add(2)
    rig.add(1, owner="bob")
    for _ in range(3):
        claim = rig.take()
        rig.store.postpone(claim.token, POLL, claim.members[0], 3600.0)
    rig.store.note_failure(NAME, "down", ONCE)
    rig.store.open_breaker(NAME, 3600.0)
    assert rig.claim() is None
    rig.store.resume(NAME)
    assert len(rig.take(members=10).members) == 3
    assert rig.store.lane(NAME).failures == 0


def test_a_lane_without_its_credential_is_probed(rig: Rig) -> None:
    """One claim at a time, from the time given on, until a probe was good."""
    rig.add(3)
    rig.store.pause(NAME, "credential: expired", 3600.0)
    assert rig.claim() is None
    rig.later(3600.0, "probe_at")
    until(rig.claim, 60, "the probe")
    assert rig.claim() is None
    rig.store.resume(NAME, probed=True)
    assert rig.store.lane(NAME).paused == ""
    rig.take()


def test_the_owners_pause_outlasts_a_credential(rig: Rig) -> None:
    """A query that was under way neither replaces it, when it fails, nor ends it, when not."""
    rig.add(2)
    rig.store.pause(NAME, "maintenance", None)
    rig.store.pause(NAME, "credential: expired", 0.001)
    rig.store.resume(NAME, probed=True)
    record = rig.store.lane(NAME)
    assert (record.paused, record.probe_at) == ("maintenance", None)
    assert rig.claim() is None
    rig.store.resume(NAME)
    rig.take()


def test_a_lane_knows_who_has_jobs_in_it(rig: Rig) -> None:
    """Also when they are all claimed, or ended."""
    rig.add(1)
    rig.add(1, owner="bob")
    rig.answer(rig.take(members=5), DONE)
    assert rig.store.owners(NAME) == [OWNER, "bob"]
    assert rig.store.owners("Local|none|-") == []


# --- what is set aside ----------------------------------------------------------------------


def test_a_batch_that_kills_its_workers_is_split_down_to_the_job(rig: Rig) -> None:
    """Of four jobs one is deadly: it alone is set aside, the others are asked about all along."""
    rig.store.enqueue(OWNER, "", enqueue(4))
    told: Counter[str] = Counter()

    def once() -> bool:
        claim = rig.take(lease=0.005)
        (batch,) = rig.store.batches(claim.members)
        if 2 in batch.jobs:
            told.update(rig.expire())
        else:
            rig.store.renew([claim.token], 3600.0)
            rig.answer(claim, RUNNING)
        return bool(rig.store.dead(OWNER))

    until(once, 60, "the deadly job is set aside")
    while claim := rig.claim():  # what waits beside it
        rig.answer(claim, RUNNING)
    (letter,) = rig.store.dead(OWNER)
    assert (letter.name, letter.queue) == (f"{OWNER}:{REPOSITORY}:7:2", POLL)
    assert "expired 5 times" in letter.reason
    assert abs(letter.at - rig.seconds()) < 60
    assert told == {"back": 3 * (STRIKES - 1), "split": 2, "dead": 1}
    statuses = {
        sub: job.status.value for sub, job in rig.store.jobs(the_master(rig.store), None).items()
    }
    assert statuses == {0: "running", 1: "running", 2: "submitted", 3: "running"}
    assert rig.claim() is None
    assert rig.store.retry(letter)
    assert rig.store.dead(OWNER) == []
    (batch,) = rig.store.batches(rig.take().members)
    assert sorted(batch.jobs) == [2]
    assert not rig.store.retry(letter)


def test_a_claim_that_nobody_begins_is_no_strike(rig: Rig) -> None:
    """No worker ran for a while: nothing is split or set aside for it."""
    rig.add(1)
    for _ in range(STRIKES + 1):
        assert rig.store.claim(POLL, 1, 0.005, 5, ANY)
        assert rig.expire() == ["back"]
    assert rig.store.dead(OWNER) == []


def test_strikes_count_in_a_row_only(rig: Rig) -> None:
    """A worker that lives and commits, or puts off, begins the counting anew."""
    rig.add(1)

    def all_but_one() -> None:
        for _ in range(STRIKES - 1):
            until(lambda: rig.claim(lease=0.005), 60, "due again")
            assert rig.expire() == ["back"]

    all_but_one()
    claim = rig.take()
    rig.store.postpone(claim.token, POLL, claim.members[0], 0.001)
    all_but_one()
    rig.answer(rig.take(), RUNNING, again=0.001)
    all_but_one()
    assert rig.store.dead(OWNER) == []


@pytest.mark.parametrize("stage", ["fetch", "merge"])
def test_a_stage_that_kills_its_workers_is_set_aside_and_retried(rig: Rig, stage: str) -> None:
    """Of a job or of a master: after its lease has expired five times."""
    rig.add(1)
    rig.answer(rig.take(), DONE)
    if stage == "merge":
        rig.fetch_all()
    member = ""
    for n in range(STRIKES):
        member = rig.stage(stage, lease=0.005).members[0]
        assert rig.expire() == ["dead" if n == STRIKES - 1 else "back"]
    assert rig.store.claim(f"{stage}.{OWNER}", 1, 3600.0, 5) is None
    (letter,) = rig.store.dead(OWNER)
    assert (letter.name, letter.queue) == (member, f"{stage}.{OWNER}")
    assert rig.store.retry(letter)
    assert rig.stage(stage).members == (member,)
    assert rig.store.dead(OWNER) == []


def test_a_job_set_aside_is_in_no_query(rig: Rig) -> None:
    """The others of its batch are; a worker without the claim sets nothing aside."""
    rig.store.enqueue(OWNER, "", enqueue(3))
    claim, master = rig.take(), the_master(rig.store)
    member = claim.members[0]
    rig.store.set_aside(claim.token, POLL, member, master, 1, "BadId: no such id n1")
    assert [sorted(b.jobs) for b in rig.store.batches(claim.members)] == [[0, 2]]
    with pytest.raises(LeaseLost):
        rig.store.set_aside("stale", POLL, member, master, 2, "")
    (letter,) = rig.store.dead(OWNER)
    assert (letter.name, letter.reason) == (f"{OWNER}:{REPOSITORY}:7:1", "BadId: no such id n1")
    assert rig.store.dead("bob") == []
    rig.answer(claim, RUNNING, again=0.001)
    again = until(rig.claim, 60, "due again")
    assert [sorted(b.jobs) for b in rig.store.batches(again.members)] == [[0, 2]]


def test_a_resubmitted_job_is_dead_no_more(rig: Rig) -> None:
    """Its new attempt is asked about; a late word about its old one is not heard."""
    rig.store.enqueue(OWNER, "", enqueue(2))
    claim, master = rig.take(), the_master(rig.store)
    rig.store.set_aside(claim.token, POLL, claim.members[0], master, 1, "bad")
    rig.store.enqueue(OWNER, "", enqueue([spec(1, attempt=2)], "e2", total=2))
    assert rig.store.dead(OWNER) == []
    rig.store.set_aside(claim.token, POLL, claim.members[0], master, 1, "bad")
    assert rig.store.dead(OWNER) == []
    assert [sorted(b.jobs) for b in rig.store.batches(rig.take().members)] == [[1]]


def test_nothing_of_a_withdrawn_master_is_dead(rig: Rig) -> None:
    """Its letters go with it, those of others stay; a letter in hand does nothing."""
    for master in (7, 71):
        rig.store.enqueue(OWNER, "", enqueue(2, f"e{master}", master))
        claim = rig.take()
        record = the_master(rig.store, master)
        rig.store.set_aside(claim.token, POLL, claim.members[0], record, 0, "bad")
        rig.answer(claim, RUNNING)
    letters = rig.store.dead(OWNER)
    assert len(letters) == 2
    rig.store.withdraw(OWNER, "", withdraw(7))
    (left,) = rig.store.dead(OWNER)
    assert left.name == f"{OWNER}:{REPOSITORY}:71:0"
    (gone,) = (letter for letter in letters if letter != left)
    assert not rig.store.retry(gone)
    assert rig.claim() is None


def test_a_letter_of_a_master_that_is_gone_is_only_removed(rig: Rig) -> None:
    """Nothing becomes due for it."""
    rig.store.enqueue(OWNER, "", enqueue(1))
    claim = rig.take()
    rig.store.set_aside(claim.token, POLL, claim.members[0], the_master(rig.store), 0, "bad")
    rig.redis.delete(rig.store.keys.master(OWNER, REPOSITORY, 7))
    (letter,) = rig.store.dead(OWNER)
    assert not rig.store.retry(letter)
    assert rig.store.dead(OWNER) == []
    assert rig.claim() is None


def test_withdrawn_while_its_leases_expire(rig: Rig) -> None:
    """It comes back as a name without jobs, and is dropped; at the last it is not set aside."""
    rig.add(1)
    rig.take(lease=0.005)
    rig.store.withdraw(OWNER, "", withdraw(7))
    for n in range(STRIKES):
        assert rig.expire() == ["gone" if n == STRIKES - 1 else "back"]
        if n < STRIKES - 1:
            assert rig.store.batches(rig.take(lease=0.005).members) == []
    assert rig.claim() is None
    assert rig.store.dead(OWNER) == []
    assert rig.client.depth(POLL) == (0, 0)
    assert rig.redis.hlen(rig.store.keys.of("strikes", POLL)) == 0


def test_owners_may_have_an_at_sign(rig: Rig) -> None:
    """Letters of ``alice@site`` are found and retried, of jobs and of stages."""
    owner = "alice@site"
    rig.add(2, owner=owner)
    claim = rig.take()
    (batch,) = rig.store.batches(claim.members)
    (sub,) = batch.jobs
    rig.store.set_aside(claim.token, POLL, batch.id, batch.master, sub, "bad")
    (letter,) = rig.store.dead(owner)
    stage = replace(letter, name=f"{owner}:{REPOSITORY}:7@1", queue=f"{Stage.MERGE}.{owner}")
    rig.redis.hset(rig.store.keys.of("dead"), stage.name, "{}")
    assert rig.store.retry(letter)
    assert rig.store.retry(stage)
    assert rig.store.claim(stage.queue, 1, 3600.0, 5) is not None


def test_a_master_that_ended_long_ago_is_forgotten(rig: Rig) -> None:
    """Not before its time, and nothing of it is left; its dead letters go with it."""
    rig.add(1)
    rig.answer(rig.take(), DONE)
    rig.fetch_all()
    for stage in (Stage.MERGE, Stage.CHECK, Stage.NOTIFY):
        claim, final = rig.stage(stage), JobStatus.COMPLETED if stage is Stage.NOTIFY else None
        assert not rig.store.prune(OWNER, REPOSITORY, 7, 0.0), "it has not ended"
        rig.store.commit_stage(
            claim.token, claim.members[0], the_master(rig.store), stage, {"ok": True}, final
        )
    rig.redis.hset(rig.store.keys.of("dead"), f"{OWNER}:{REPOSITORY}:7:0@1", "{}")
    rig.redis.hset(rig.store.keys.of("dead"), f"{OWNER}:{REPOSITORY}:71:0", "{}")
    assert rig.store.ended(60.0, 10) == []
    assert not rig.store.prune(OWNER, REPOSITORY, 7, 60.0)
    names = until(lambda: rig.store.ended(-60.0, 10), 60, "it has ended")
    assert names == [(OWNER, REPOSITORY, 7)]
    until(lambda: rig.store.prune(OWNER, REPOSITORY, 7, 0.001), 60, "it is old enough")
    assert not rig.store.prune(OWNER, REPOSITORY, 7, 0.001)
    left = [str(key) for key in rig.redis.scan_iter("gm:*") if ":7" in str(key)]
    assert left == []
    assert rig.redis.hkeys(rig.store.keys.of("dead")) == [f"{OWNER}:{REPOSITORY}:71:0"]
    assert rig.client.masters(OWNER, REPOSITORY) == []


def test_turns_are_taken_once(rig: Rig) -> None:
    """By one of all processes, until the time is over."""
    assert [store.my_turn("x", 3600.0) for store in (rig.store, rig.other)] == [True, False]
    assert rig.other.my_turn("y", 3600.0)
    turn = rig.store.keys.of("turn", "x")
    assert 0 < int(str(rig.redis.pttl(turn))) <= 3_600_000
    rig.redis.pexpire(turn, 1)
    until(lambda: rig.other.my_turn("x", 3600.0), 60, "the next turn")
    assert not rig.store.my_turn("x", 3600.0)
