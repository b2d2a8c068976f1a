"""Commands: checked, journaled, applied, acknowledged; in this order, whatever comes in."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gangamon.domain.command import (
    Enqueue,
    MergerSpec,
    Pause,
    Reconcile,
    Refresh,
    Register,
    Resume,
    Retry,
)
from gangamon.domain.lane import Lane
from gangamon.domain.status import JobStatus
from gangamon.domain.wire import Faults, from_wire, to_wire
from gangamon.errors import DiskFull, StoreUnavailable
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
from tests.support.rig import POLL, Rig, content


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    folder = tmp_path / "data"
    folder.mkdir()
    found = Rig(folder)
    found.send(register(str(folder)))
    return found


def at(rig: Rig, jobs: int | list[Any] = 2, **given: Any) -> Enqueue:
    return enqueue(jobs, workspace=f"{rig.folder}/{given.get('master', 7)}", **given)


def test_a_command_is_on_disk_before_it_is_applied(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal's fsync comes before the first write of any command to the store."""
    order: list[str] = []
    fsync, enqueued, registered = os.fsync, rig.store.enqueue, rig.store.register

    def noted(name: str, call: Any) -> Any:
        def wrapped(*args: Any) -> Any:
            order.append(name)
            return call(*args)

        return wrapped

    monkeypatch.setattr(os, "fsync", noted("fsync", fsync))
    monkeypatch.setattr(rig.store, "enqueue", noted("enqueue", enqueued))
    monkeypatch.setattr(rig.store, "register", noted("register", registered))
    rig.send(at(rig))
    assert rig.intake.run() == 2
    assert order == ["fsync", "register", "enqueue"]
    assert [raw["kind"] for _, raw in rig.journal.replay()] == ["register", "enqueue"]


class FullJournal:
    """A journal on a full disk."""

    def append(self, records: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        if records:
            raise DiskFull("journal: No space left on device")

    def identity(self) -> str:
        return "full"

    def tail(self) -> str:
        return ""

    def replay(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        return ()


def test_without_a_journal_nothing_is_applied(rig: Rig) -> None:
    """A full disk: the commands stay in the inbox, unanswered, until there is room."""
    rig.send(at(rig))
    with pytest.raises(DiskFull):
        rig.new_intake(FullJournal()).run()
    assert rig.store.master(OWNER, REPOSITORY, 7) is None
    assert rig.answers() == []
    assert len(rig.store.inbox(10)) == 2
    rig.intake.run()
    assert rig.answers() == [("r1", ""), ("e1", "")]
    assert rig.store.inbox(10) == []


def test_a_crash_after_the_journal_applies_the_command_later_and_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Journaled, then the store went away: the next pass applies it, and a rebuild too, once."""
    rig.send(at(rig))

    def away(*_: object) -> Sequence[str]:
        raise StoreUnavailable("gone")

    with monkeypatch.context() as patch:
        patch.setattr(rig.store, "enqueue", away)
        with pytest.raises(StoreUnavailable):
            rig.intake.run()
    assert rig.intake.run() == 1
    assert rig.answers() == [("r1", ""), ("e1", "")]
    before = content(rig.store)
    rig.redis.flushall()
    rig.intake.rebuild()
    assert content(rig.store) == before


def test_each_kind_does_what_it_says(rig: Rig) -> None:
    """Register, enqueue, refresh, withdraw of all: applied and acknowledged in their order."""
    rig.send(at(rig, 2), Refresh("f1", REPOSITORY, 7), at(rig, 1, command_id="e2", master=8))
    rig.send(withdraw(8))
    assert rig.intake.run() == 5
    assert rig.answers() == [(i, "") for i in ("r1", "e1", "f1", "e2", "w1")]
    assert rig.store.roots(OWNER, REPOSITORY) == (str(rig.folder),)
    assert rig.statuses() == [JobStatus.SUBMITTED, JobStatus.SUBMITTED]
    assert rig.store.master(OWNER, REPOSITORY, 8) is None


def lines(rig: Rig) -> dict[str, tuple[Any, str]]:
    """Commands that must be refused, each with what its answer must name."""
    good = to_wire(at(rig))
    other = "f" * 32
    outside = rig.folder.parent / "outside"
    outside.mkdir()
    (rig.folder / "link").symlink_to(outside)
    (rig.folder / "up").symlink_to("..")
    return {
        "no-such-kind": ({**good, "kind": "steal"}, "kind: got 'steal'; accepted: enqueue"),
        "kind-of-list": ({**good, "kind": ["enqueue"]}, "kind: got ['enqueue']; accepted:"),
        "kind-of-object": ({**good, "kind": {}}, "kind: got {}; accepted:"),
        "version": ({**good, "v": 99}, "v: got 99; accepted: 1"),
        "master": ({**good, "master": -1}, "master: got -1; accepted: a whole number from 0"),
        "field": ({**good, "nice": 1}, "nice: unknown field; accepted: master"),
        "jobs": ({**good, "jobs": []}, "jobs: got []; accepted: a list of 1 to 100 jobs"),
        "status": (
            {**good, "jobs": [[0, 1, "completed", "n", {}]]},
            "jobs[0].status: got 'completed'; accepted: running, submitted",
        ),
        "backend": (
            to_wire(at(rig, lane=Lane("Slurm", "c1"))),
            "lane: unknown backend 'Slurm'; accepted: Local",
        ),
        "merger": (
            to_wire(at(rig, mergers=(MergerSpec("RootMerger", ("a",)),))),
            "mergers[0].kind: got 'RootMerger'; accepted: TextMerger",
        ),
        "merged-file": (
            to_wire(at(rig, mergers=(MergerSpec("TextMerger", ("../a",)),))),
            "mergers[0].files: got ['../a']; accepted: a list of file names or patterns, relative",
        ),
        "outside": (
            {**good, "workspace": "/etc"},
            f"workspace: '/etc' lies outside the registered roots; accepted: below {rig.folder}",
        ),
        "the-root-itself": ({**good, "workspace": str(rig.folder)}, "workspace: "),
        "begins-like-the-root": ({**good, "workspace": f"{rig.folder}x/7"}, "workspace: "),
        "dots": (
            {**good, "workspace": f"{rig.folder}/../x"},
            "accepted: an absolute path without '..'",
        ),
        "link-out": ({**good, "workspace": f"{rig.folder}/link/7"}, "workspace: "),
        "link-up": ({**good, "workspace": f"{rig.folder}/up/7"}, "workspace: "),
        "unregistered": (
            {**good, "repository": other},
            f"repository: {other} is not registered; register it first",
        ),
        "not-unicode": ({**good, "workspace": f"{rig.folder}/\udcff"}, ""),
        "half-a-pair": ({**good, "workspace": f"{rig.folder}/\ud800"}, ""),
        "name-of-half-a-pair": ({**good, "name": "\ud800"}, ""),
        "native-id-of-half-a-pair": ({**good, "jobs": [[0, 1, "running", "\ud800", {}]]}, ""),
        "lane-of-half-a-pair": ({**good, "lane": "Local|\ud800|-"}, ""),
    }


REFUSED = (
    "no-such-kind",
    "kind-of-list",
    "kind-of-object",
    "version",
    "master",
    "field",
    "jobs",
    "status",
    "backend",
    "merger",
    "merged-file",
    "outside",
    "the-root-itself",
    "begins-like-the-root",
    "dots",
    "link-out",
    "link-up",
    "unregistered",
    "not-unicode",
    "half-a-pair",
    "name-of-half-a-pair",
    "native-id-of-half-a-pair",
    "lane-of-half-a-pair",
)


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_command_is_answered_and_nothing_is_applied(rig: Rig, name: str) -> None:
    """Its answer says field, value and what is accepted; the commands after it are taken in."""
    body, said = lines(rig)[name]
    rig.send(body, at(rig, 1, command_id="e9", master=9))
    rig.intake.run()
    answers = dict(rig.answers() + rig.answers("f" * 32))
    assert answers.pop("r1") == answers.pop("e9") == ""
    (why,) = answers.values()
    assert why
    assert said in why
    assert rig.store.master(OWNER, body["repository"], 7) is None
    assert rig.store.inbox(10) == []
    assert rig.depth(POLL) == (1, 0)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        '"x"',
        "\\ud800",
        "{}",
        '{"id": "\\ud800", "repository": "\\ud800"}',
        "[" * 100_000,
        '{"v": 1, "kind": "enqueue", "extra": ' + "[" * 100_000,
        "9" * 5000,
    ],
    ids=lambda raw: repr(raw[:20]),
)
def test_what_is_no_command_does_not_stop_the_rest(rig: Rig, raw: str) -> None:
    """Bad json and worse leaves the inbox at once; what follows it is taken in."""
    rig.send(raw, at(rig))
    rig.intake.run()
    assert rig.store.inbox(10) == []
    assert ("e1", "") in rig.answers()
    assert rig.statuses() == [JobStatus.SUBMITTED] * 2


def test_an_entry_without_a_command_is_refused(rig: Rig) -> None:
    """An inbox is not to be trusted: also its entries' fields may be other ones."""
    rig.redis.xadd(rig.store.keys.inbox(OWNER), {"x": "y"})
    rig.send(at(rig))
    rig.intake.run()
    assert rig.store.inbox(10) == []
    assert ("e1", "") in rig.answers()


WORDS = st.sampled_from(
    (
        *("v", "id", "kind", "repository", "master", "total", "name", "lane", "workspace"),
        *("mergers", "jobs", "subs", "status", "reason", "roots", "files", "enqueue", "withdraw"),
    )
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(WORDS, inner, max_size=8),
    max_leaves=30,
)


@given(kind=WORDS | VALUES, fields=st.dictionaries(WORDS, VALUES))
@settings(max_examples=300)
def test_any_object_is_a_command_or_has_faults(kind: object, fields: dict[str, Any]) -> None:
    """``from_wire`` raises nothing but Faults, whatever json it is given."""
    body = {"v": 1, "id": "x", "repository": REPOSITORY, **fields, "kind": kind}
    try:
        command = from_wire(body)
    except Faults as error:
        assert error.faults
    else:
        assert from_wire(json.loads(json.dumps(to_wire(command)))) == command


def test_the_same_job_with_other_content_is_refused(rig: Rig) -> None:
    """Its answer shows what is known and what was given; nothing of the command is done."""
    rig.send(at(rig), at(rig, [spec(1, native_id="x"), spec(5)], command_id="e2"))
    rig.intake.run()
    why = dict(rig.answers())["e2"]
    assert "7.1 attempt 1" in why
    assert '"n1"' in why
    assert '"x"' in why
    assert len(rig.statuses()) == 2


def test_owners_are_kept_apart(rig: Rig) -> None:
    """The roots of one owner open nothing for another."""
    rig.send(at(rig), owner="mallory")
    rig.intake.run()
    assert rig.store.master("mallory", REPOSITORY, 7) is None
    found = rig.inbox.updates("mallory", REPOSITORY, "0", 10, 0)
    assert ["not registered" in fields["why"] for _, fields in found] == [True]


def test_withdrawn_subjobs_end_with_gangas_status(rig: Rig) -> None:
    """Only those named, with Ganga's word as evidence; the rest of the master goes on."""
    rig.send(at(rig, 3), withdraw(subs=(0, 2)))
    rig.intake.run()
    assert rig.statuses() == [JobStatus.KILLED, JobStatus.SUBMITTED, JobStatus.KILLED]
    evidence = rig.job(0).evidence
    assert evidence is not None
    assert (evidence.source, evidence.reason) == ("ganga", "killed in Ganga")
    counts = the_master(rig.store).counts
    assert (counts[JobStatus.KILLED], counts[JobStatus.SUBMITTED]) == (2, 1)


def test_many_subjobs_are_withdrawn_in_slices(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no script holds Redis for long; each of them ends."""
    for first in range(0, 250, 50):
        jobs = [spec(sub) for sub in range(first, first + 50)]
        rig.begin(jobs, command_id=f"e{first}", total=250)  # type: ignore[arg-type]
    sizes: list[int] = []
    commit = rig.store.commit

    def counted(*given: Any) -> Any:
        sizes.append(len(given[3]))
        return commit(*given)

    monkeypatch.setattr(rig.store, "commit", counted)
    rig.send(withdraw(subs=tuple(range(250))))
    rig.intake.run()
    assert sizes == [100, 100, 50]
    assert rig.statuses() == [JobStatus.KILLED] * 250


def test_a_withdraw_that_is_taken_in_again_does_not_touch_the_resubmission(rig: Rig) -> None:
    """Kill, resubmit; then the kill arrives again, sent by a client not told: attempt 2 lives."""
    kill = withdraw(subs=(1,))
    rig.send(at(rig, 2), kill, at(rig, [spec(1, attempt=2)], command_id="e2", total=2))
    rig.intake.run()
    assert rig.statuses() == [JobStatus.SUBMITTED, JobStatus.SUBMITTED]
    rig.send(kill)
    rig.intake.run()
    assert rig.statuses() == [JobStatus.SUBMITTED, JobStatus.SUBMITTED]
    assert rig.answers()[-1] == ("w1", "")


def test_a_whole_withdraw_that_is_taken_in_again_forgets_nothing_new(rig: Rig) -> None:
    """Remove and submit anew; then the removal arrives again: what was submitted stays."""
    rig.send(at(rig, 2), withdraw(), at(rig, [spec(0, attempt=2)], command_id="e2"))
    rig.intake.run()
    rig.send(withdraw())
    rig.intake.run()
    assert the_master(rig.store).counts[JobStatus.SUBMITTED] == 1
    assert rig.answers()[-1] == ("w1", "")


def test_a_slow_pass_applies_nothing_that_another_pass_has_applied(rig: Rig) -> None:
    """Two ticks read the same entries, the slow one applies them after a resubmission."""
    rig.send(at(rig, 2), withdraw())
    slow = rig.new_intake(rig.journal, _Slow(rig.store))
    rig.intake.run()
    rig.send(at(rig, [spec(0, attempt=2)], command_id="e2"))
    rig.intake.run()
    slow.run()
    assert the_master(rig.store).counts[JobStatus.SUBMITTED] == 1
    before = content(rig.store)
    rig.redis.flushall()
    rig.intake.rebuild()
    assert content(rig.store) == before


class _Slow:
    """A store whose inbox was read long ago."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._read = store.inbox(100)

    def inbox(self, limit: int) -> object:
        return self._read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_the_journal_gives_an_emptied_store_all_back(rig: Rig) -> None:
    """Resubmissions, withdrawals and refusals included: the same masters, jobs and due batches."""
    rig.send(
        at(rig, 3),
        at(rig, 150 // 2, command_id="e2", master=8),
        at(rig, [spec(1, attempt=2)], command_id="e3", total=3),
        at(rig, 1, command_id="e4", master=9),
        withdraw(9, command_id="w9"),
        withdraw(7, subs=(2,), command_id="w7"),
        {**to_wire(at(rig, 1, command_id="e5")), "workspace": "/etc"},
        "{",
    )
    rig.intake.run()
    before = content(rig.store, (7, 8, 9))
    epoch = rig.store.epoch()
    assert before[9] is None
    rig.redis.flushall()
    rig.intake.rebuild()
    assert content(rig.store, (7, 8, 9)) == before
    assert rig.store.epoch() != epoch
    assert not rig.intake.behind()
    assert rig.depth(POLL) == (3, 0)


def test_a_rebuild_twice_at_once_changes_nothing(rig: Rig) -> None:
    """Two ticks may both find the store empty."""
    rig.send(at(rig, 3), withdraw(7, subs=(2,)), at(rig, 2, command_id="e2", master=8))
    rig.intake.run()
    before = content(rig.store, (7, 8))
    rig.redis.flushall()
    rig.intake.rebuild()
    rig.intake.rebuild()
    assert content(rig.store, (7, 8)) == before


def test_one_bad_line_of_the_journal_does_not_hold_up_the_others(rig: Rig) -> None:
    """What an older or broken version wrote is passed over."""
    rig.journal.append([(OWNER, {"v": 1, "kind": "gone"}), (OWNER, {"kind": []})])
    rig.journal.append([(OWNER, {**to_wire(at(rig)), "name": "\ud800"})])
    rig.send(at(rig))
    rig.intake.run()
    rig.redis.flushall()
    rig.intake.rebuild()
    assert rig.statuses() == [JobStatus.SUBMITTED] * 2
    assert not rig.intake.behind()


def test_a_new_registration_replaces_the_roots(rig: Rig, tmp_path: Path) -> None:
    """The last word of the owner counts, also after a rebuild."""
    rig.send(Register("r2", REPOSITORY, ("/elsewhere",)), at(rig))
    rig.intake.run()
    assert "outside" in dict(rig.answers())["e1"]
    rig.redis.flushall()
    rig.intake.rebuild()
    assert rig.store.roots(OWNER, REPOSITORY) == ("/elsewhere",)


def test_all_that_is_taken_in_again_changes_nothing(rig: Rig) -> None:
    """A client that was not told resends submission and removal after the new submission."""
    first = [at(rig, 2), withdraw()]
    rig.send(*first, at(rig, [spec(0, attempt=2)], command_id="e2"))
    rig.intake.run()
    before = content(rig.store)
    rig.send(*first)
    rig.intake.run()
    assert content(rig.store) == before
    assert rig.answers()[-2:] == [("e1", ""), ("w1", "")]


def test_a_refused_command_is_refused_again(rig: Rig) -> None:
    """The second answer to a command that was refused is not that it was done."""
    bad = at(rig, [spec(0, native_id="x")], command_id="e2")
    rig.send(at(rig), bad, bad)
    rig.intake.run()
    assert [bool(why) for _, why in rig.answers()] == [False, False, True, True]


# --- lanes and dead letters -----------------------------------------------------------------


def test_a_lane_is_paused_and_resumed_by_who_has_jobs_in_it(rig: Rig) -> None:
    """Nothing is asked between the two; both are acknowledged."""
    rig.send(at(rig), Pause("p1", REPOSITORY, LANE, "the site is moving"))
    rig.intake.run()
    record = rig.store.lane(str(LANE))
    assert (record.paused, record.probe_at) == ("the site is moving", None)
    rig.dispatcher.push([POLL])
    assert rig.sent.queues() == []
    rig.send(Resume("p2", REPOSITORY, LANE))
    rig.intake.run()
    assert rig.store.lane(str(LANE)).paused == ""
    rig.dispatcher.push([POLL])
    assert rig.sent.queues() == [POLL]
    assert rig.answers()[-2:] == [("p1", ""), ("p2", "")]


@pytest.mark.parametrize("kind", [Pause, Resume])
def test_a_lane_without_jobs_of_the_owner_is_refused(rig: Rig, kind: Any) -> None:
    """Neither a lane that nobody knows, nor one in which only others have jobs."""
    fields = ("mallory",) if kind is Pause else ()
    rig.send(at(rig))
    rig.intake.run()
    rig.send(kind("x1", REPOSITORY, Lane("Local", "elsewhere"), *fields))
    rig.send(kind("x2", REPOSITORY, LANE, *fields), owner="mallory")
    rig.store.open_breaker(str(LANE), 60.0)
    rig.intake.run()
    why = dict(rig.answers())["x1"]
    assert why == f"lane: got 'Local|elsewhere|-'; accepted: a lane that {OWNER} has jobs in"
    (answer,) = rig.inbox.updates("mallory", REPOSITORY, "0", 10, 0)
    assert f"got '{LANE}'; accepted: a lane that mallory has jobs in" in answer[1]["why"]
    record = rig.store.lane(str(LANE))
    assert record.paused == ""
    assert record.open_until is not None


def test_a_pause_of_a_shared_lane_says_whose_it_is(rig: Rig, caplog: Any) -> None:
    """All who have jobs in it may pause and resume it: the others see who did, and so does the
    log of the service."""
    rig.store.register("bob", register(str(rig.folder)))
    assert not rig.store.enqueue("bob", "", at(rig, command_id="b1"))
    rig.send(at(rig), Pause("p1", REPOSITORY, LANE, "maintenance"))
    rig.intake.run()
    assert rig.store.lane(str(LANE)).paused == f"{OWNER}: maintenance"
    rig.send(Resume("p2", REPOSITORY, LANE), owner="bob")
    with caplog.at_level("WARNING"):
        rig.intake.run()
    assert rig.store.lane(str(LANE)).paused == ""
    assert f"lane {LANE} is resumed by bob" in caplog.text


def test_a_pause_outlives_the_store(rig: Rig) -> None:
    """It is in the journal, and so is its end."""
    rig.send(at(rig), Pause("p1", REPOSITORY, LANE, "maintenance"))
    rig.intake.run()
    rig.redis.flushall()
    rig.intake.rebuild()
    assert rig.store.lane(str(LANE)).paused == "maintenance"
    rig.send(Resume("p2", REPOSITORY, LANE))
    rig.intake.run()
    rig.redis.flushall()
    rig.intake.rebuild()
    assert rig.store.lane(str(LANE)).paused == ""


def bury(rig: Rig, *jobs: tuple[int, int]) -> None:
    """Set (master, sub) aside, of masters that were just taken in."""
    claim = rig.claim(POLL)
    for batch in rig.store.batches(claim.members):
        for master, sub in jobs:
            if batch.master.id == master:
                queue, reason = claim.queue, f"no such id {sub}"
                rig.store.set_aside(claim.token, queue, batch.id, batch.master, sub, reason)
        rig.store.postpone(claim.token, claim.queue, batch.id, 3600.0)


def dead(rig: Rig) -> list[str]:
    """Sorted by text: two set aside in one millisecond have no order."""
    return sorted(letter.name.split(":", 2)[2] for letter in rig.store.dead(OWNER))


@pytest.mark.parametrize(
    ("subs", "left"), [((), ["77:0"]), ((1,), ["7:2", "77:0"]), ((0,), ["7:1", "7:2", "77:0"])]
)
def test_retry_takes_back_a_master_or_some_of_its_jobs(
    rig: Rig, subs: tuple[int, ...], left: list[str]
) -> None:
    """Those asked for and no other; they are due at once."""
    rig.send(at(rig, 3), at(rig, 1, command_id="e2", master=77))
    rig.intake.run()
    bury(rig, (7, 1), (7, 2), (77, 0))
    assert rig.depth(POLL)[1] == 0
    rig.send(Retry("t1", REPOSITORY, 7, subs))
    rig.intake.run()
    assert dead(rig) == sorted(left)
    assert rig.answers()[-1] == ("t1", "")
    rig.dispatcher.push([POLL])
    back = {f"7:{sub}" for claim in rig.sent.claims for b in rig.store.batches(claim.members)
            for sub in b.jobs}  # fmt: skip
    assert back == {"7:1", "7:2", "77:0"} - set(left)


def test_what_its_owner_ends_is_dead_no_more(rig: Rig) -> None:
    """Killed in Ganga while it was set aside, or its fetch was: nothing is left to retry."""
    rig.send(at(rig, 3))
    rig.intake.run()
    bury(rig, (7, 1), (7, 2))
    fetch = f"{OWNER}:{REPOSITORY}:7:0@1"
    body = json.dumps({"queue": f"fetch.{OWNER}", "reason": "bad", "at": 1.0})
    rig.redis.hset(rig.store.keys.of("dead"), fetch, body)
    rig.send(withdraw(subs=(0, 1)))
    rig.intake.run()
    assert dead(rig) == ["7:2"]


def test_retry_is_for_the_owners_own(rig: Rig) -> None:
    """Nobody else's letters are touched by it."""
    rig.send(at(rig, 2))
    rig.intake.run()
    bury(rig, (7, 1))
    rig.send(Retry("t1", REPOSITORY, 7, ()), owner="mallory")
    rig.intake.run()
    assert dead(rig) == ["7:1"]


@pytest.mark.parametrize("owner", [OWNER, "alice@site"])
def test_retry_takes_back_stages(rig: Rig, owner: str) -> None:
    """Of a master with all of it; of a job also by its number."""
    rig.send(register(str(rig.folder)), at(rig, 2), owner=owner)
    rig.intake.run()
    record = rig.store.keys.of("dead")
    for name, queue in (("7@1", "merge"), ("7:1@1", "fetch"), ("77@1", "merge")):
        body = json.dumps({"queue": f"{queue}.{owner}", "reason": "bad", "at": 1.0})
        rig.redis.hset(record, f"{owner}:{REPOSITORY}:{name}", body)
    rig.send(Retry("t1", REPOSITORY, 7, (1,)), owner=owner)
    rig.intake.run()
    assert rig.redis.zrange(f"gm:due:fetch.{owner}", 0, -1) == [f"{owner}:{REPOSITORY}:7:1@1"]
    assert rig.redis.zcard(f"gm:due:merge.{owner}") == 0
    rig.send(Retry("t2", REPOSITORY, 7, ()), owner=owner)
    rig.intake.run()
    assert rig.redis.zrange(f"gm:due:merge.{owner}", 0, -1) == [f"{owner}:{REPOSITORY}:7@1"]
    assert [str(name).rpartition(":")[2] for name in rig.redis.hkeys(record)] == ["77@1"]


def test_reconcile_gives_back_what_the_store_lost(rig: Rig) -> None:
    """Of the owner who asks; what comes after it in the inbox is taken in as ever."""
    rig.send(register(str(rig.folder)), at(rig, 1), owner="bob")
    rig.send(at(rig, 2))
    rig.intake.run()
    before = content(rig.store)
    rig.redis.flushall()
    rig.send(Reconcile("c1", REPOSITORY), at(rig, 1, command_id="e8", master=8))
    rig.intake.run()
    assert content(rig.store) == before
    assert rig.store.master(OWNER, REPOSITORY, 8) is not None
    assert rig.store.master("bob", REPOSITORY, 7) is None
    assert ("c1", "") in rig.answers()
    assert rig.store.inbox(10) == []
    kinds = [raw["kind"] for _, raw in rig.journal.replay()]
    assert "reconcile" not in kinds, "a rebuild would not end"


def test_reconcile_with_nothing_lost_changes_nothing(rig: Rig) -> None:
    """Also not what was withdrawn and resubmitted."""
    rig.send(at(rig, 3), withdraw(subs=(2,)), at(rig, 1, command_id="e8", master=8))
    rig.send(withdraw(8, command_id="w8"))
    rig.intake.run()
    before = content(rig.store, (7, 8))
    rig.send(Reconcile("c1", REPOSITORY))
    rig.intake.run()
    assert content(rig.store, (7, 8)) == before
    assert not rig.intake.behind()


def test_a_reconcile_in_a_journal_does_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wrote it there."""
    rig.send(at(rig))
    rig.intake.run()
    rig.journal.append([(OWNER, to_wire(Reconcile("c1", REPOSITORY)))])
    replay, replays = rig.journal.replay, []
    monkeypatch.setattr(rig.journal, "replay", lambda: replays.append(1) or replay())
    rig.redis.flushall()
    rig.intake.rebuild()
    assert replays == [1]
    assert rig.statuses() == [JobStatus.SUBMITTED] * 2
