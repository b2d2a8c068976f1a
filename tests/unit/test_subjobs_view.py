"""A master's subjobs as the job page holds them: in step with the store, filtered and grouped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from gangamon.client import Client
from gangamon.domain.observation import Fetched, Observation, Seen
from gangamon.domain.status import JobStatus
from gangamon.views import subjobs
from gangamon.views.dead import cause_of
from gangamon.views.subjobs import Subjobs, Wanted
from tests.support.commands import OWNER, REPOSITORY, enqueue, register, spec, the_master
from tests.support.page import move
from tests.support.rig import Rig, client_of


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.at = 1000.0

    def monotonic(self) -> float:
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(subjobs, "time", made)
    return made


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    made = Rig(tmp_path)
    made.store.epoch()
    made.begin(6)
    return made


@pytest.fixture
def client(rig: Rig, tmp_path: Path) -> Client:
    return client_of(rig, tmp_path)


def held(client: Client) -> Subjobs:
    master = client.master(REPOSITORY, 7)
    assert master is not None
    made = Subjobs(client, master)
    made.refresh(master)
    return made


def told(client: Client, mine: Subjobs, since: str = "0") -> str:
    """Give it the updates since a position, as the page's reader does; the last position."""
    for position, update in client.news({REPOSITORY: since}, 0, 1000).get(REPOSITORY, ()):
        mine.apply(update.jobs)
        since = position
    return since


def seen(status: JobStatus, site: str = "A", reason: str = "", code: int | None = None) -> Seen:
    return Seen(status.value.upper(), status, "test", site=site, reason=reason, exit_code=code)


def moved(rig: Rig, what: dict[int, Observation]) -> None:
    """To running, or to the end: outputs are brought of what has failed, too."""
    move(rig.store, the_master(rig.store), what)
    ended = {sub: Fetched(True) for sub in what if rig.job(sub).status is JobStatus.COMPLETING}
    if ended:
        move(rig.store, the_master(rig.store), ended)


def found(mine: Subjobs, *statuses: JobStatus, **wanted: str) -> Sequence[int]:
    _, jobs, _ = mine.page(Wanted(frozenset(statuses), **wanted), 0, 100)
    return list(jobs)


RUNNING, FAILED = JobStatus.RUNNING, JobStatus.FAILED


def test_updates_move_subjobs_without_reading_them_all(
    rig: Rig, client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The states are read once; an update that is old changes nothing."""
    mine = held(client)
    monkeypatch.setattr(client, "states", lambda _: pytest.fail("read again"))
    moved(rig, {1: seen(RUNNING), 4: seen(RUNNING)})
    moved(rig, {4: seen(FAILED)})
    told(client, mine)
    told(client, mine)
    clock.at += 100
    mine.refresh(the_master(rig.store))
    assert found(mine, RUNNING) == [1]
    assert found(mine, FAILED) == [4]
    assert found(mine) == [0, 1, 2, 3, 4, 5]


def test_what_no_update_told_is_read_when_the_counts_differ(
    rig: Rig, client: Client, clock: Clock
) -> None:
    """As of more subjobs that were enqueued, or updates that were missed; not all the time."""
    mine = held(client)
    moved(rig, {2: seen(RUNNING)})
    mine.refresh(the_master(rig.store))
    assert found(mine, RUNNING) == []
    clock.at += 100
    mine.refresh(the_master(rig.store))
    assert found(mine, RUNNING) == [2]


def test_a_transition_that_is_about_to_be_told_is_not_read(
    rig: Rig, client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While jobs move the counts are always ahead of the updates; only what stays is read."""
    mine = held(client)
    read: list[int] = []
    states = client.states
    monkeypatch.setattr(client, "states", lambda master: read.append(1) or states(master))
    since = "0"
    for sub in range(4):
        clock.at += 2
        moved(rig, {sub: seen(RUNNING)})
        mine.refresh(the_master(rig.store))  # before it is told
        since = told(client, mine, since)
    assert read == []
    moved(rig, {4: seen(RUNNING)})
    clock.at += subjobs.QUIET + 1
    mine.refresh(the_master(rig.store))
    assert read == []  # what was told has just come
    clock.at += subjobs.QUIET + 1
    mine.refresh(the_master(rig.store))
    assert read == [1]
    assert found(mine, RUNNING) == [0, 1, 2, 3, 4]


def test_updates_while_nobody_looks(
    rig: Rig, client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more are kept than a few; then all is read again."""
    monkeypatch.setattr(subjobs, "NEWS", 2)
    mine = held(client)
    for sub in range(3):
        moved(rig, {sub: seen(RUNNING)})
    told(client, mine)
    mine.refresh(the_master(rig.store))
    assert found(mine, RUNNING) == [0, 1, 2]


def test_a_new_attempt(rig: Rig, client: Client, clock: Clock) -> None:
    """A resubmitted subjob is what its new attempt is, also for an old update."""
    mine = held(client)
    moved(rig, {3: seen(FAILED)})
    told(client, mine)
    rig.store.register(OWNER, register(str(rig.folder)))
    again = enqueue([spec(3, 2)], "again", total=6, workspace=f"{rig.folder}/7")
    assert not rig.store.enqueue(OWNER, "", again)
    clock.at += 100
    mine.refresh(the_master(rig.store))
    told(client, mine)
    clock.at += 2
    assert found(mine, FAILED) == []
    assert found(mine, JobStatus.SUBMITTED) == [0, 1, 2, 3, 4, 5]


def test_search_and_filters(rig: Rig, client: Client, clock: Clock) -> None:
    """By status, site, number, the backend's id and status, reason, in any case; all at once."""
    moved(rig, {0: seen(RUNNING, "CERN"), 1: seen(FAILED, "CERN", "Disk FULL on 12", 1)})
    moved(rig, {2: seen(FAILED, "Lyon", "Disk full on 345", 1)})
    mine = held(client)
    assert found(mine, site="CERN") == [0, 1]
    assert found(mine, site="") == [3, 4, 5]
    assert found(mine, text="disk full") == [1, 2]
    assert found(mine, FAILED, text="lyon") == [2]
    assert found(mine, text="7.4") == [4]
    assert found(mine, text="n5") == [5]
    assert found(mine, text="RUNNING") == [0]
    assert found(mine, text="nowhere") == []


def test_facts_are_read_again_after_a_transition(rig: Rig, client: Client, clock: Clock) -> None:
    """What was found before counts for a second; then it is as it is."""
    moved(rig, {0: seen(RUNNING, "CERN")})
    mine = held(client)
    since = told(client, mine)
    assert found(mine, text="quota") == []
    moved(rig, {0: seen(FAILED, "CERN", "quota")})
    told(client, mine, since)
    assert found(mine, text="quota") == []
    clock.at += 1.1
    assert found(mine, text="quota") == [0]


def test_pages(rig: Rig, client: Client) -> None:
    """By number, so many from the first; the store is asked about those only."""
    mine = held(client)
    total, jobs, natives = mine.page(Wanted(), 2, 3)
    assert (total, list(jobs), natives) == (6, [2, 3, 4], {2: "n2", 3: "n3", 4: "n4"})
    assert mine.page(Wanted(), 6, 3) == (6, {}, {})


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("signal 11 at 0x7f3a in job 12", "signal # at # in job #"),
        ("no file 6ba7b810-9dad-11d1-80b4-00c04fd430c8", "no file #"),
        ("checksum deadbeef01 of cafe", "checksum # of cafe"),
    ],
)
def test_what_is_one_cause(reason: str, cause: str) -> None:
    """What differs from case to case is left out, words are not."""
    assert cause_of(reason) == cause


def test_causes_and_sites(rig: Rig, client: Client, clock: Clock) -> None:
    """Reasons that differ in numbers only are one cause, other exit codes are others."""
    moved(rig, {n: seen(FAILED, f"S{n % 2}", f"exit after {n} s", 1) for n in range(3)})
    moved(rig, {3: seen(FAILED, "S1", "exit after 9 s", 2), 4: seen(RUNNING, "S1")})
    mine = held(client)
    first, second = mine.causes()
    assert (first["cause"], first["exit_code"], first["count"]) == ("exit after # s", 1, 3)
    assert (first["sites"], first["examples"]) == ({"S0": 2, "S1": 1}, ["7.0", "7.1", "7.2"])
    assert (second["exit_code"], second["count"]) == (2, 1)
    assert found(mine, cause=first["key"]) == [0, 1, 2]
    assert mine.sites() == {
        "S0": {"failed": 2},
        "S1": {"failed": 2, "running": 1},
        "": {"submitted": 1},
    }
