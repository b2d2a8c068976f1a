"""What the doctor says of gathered facts: each fault with its fix, and nothing of what is well."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from gangamon.domain.lane import Lane
from gangamon.protocols import FAIL, OK, WARN, Census, Finding, ProcessRecord, QueueCensus
from gangamon.views import health
from tests.support.cell import RESTING, WITHOUT, fill
from tests.support.commands import LANE, OWNER
from tests.support.rig import Rig

COMMON = {"tick_seconds": 1.0, "lease_seconds": 20.0, "visibility_timeout": 3600.0}


def process(node: str, skew: float = 0.0, version: str = "1", **settings: float) -> ProcessRecord:
    return ProcessRecord(node, skew, version, {**COMMON, **settings})


RUNNING = [process("beat@a:7"), process("tick@a"), process("poll@b")]


def faults(found: Iterable[Finding]) -> list[tuple[str, str, str]]:
    """(name, level, text) of what is not well; each must say a fix."""
    ill = [finding for finding in found if finding.level != OK]
    assert all(finding.fix for finding in ill)
    return [(finding.name, finding.level, finding.text) for finding in ill]


@pytest.fixture
def census(tmp_path: Path) -> Census:
    """Of a cell in which something of everything happened."""
    rig = Rig(tmp_path)
    fill(rig)
    return rig.inbox.census()


# --- clocks ---------------------------------------------------------------------------------


def test_clocks_that_agree() -> None:
    """Within two seconds, either way."""
    (found,) = health.clocks(-1.9, RUNNING)
    assert (found.level, found.text) == (OK, "3 hosts within 2 s of Redis")


@pytest.mark.parametrize(
    ("here", "skew", "level", "text"),
    [
        (3.0, 0.0, WARN, "this host is 3.0 s ahead of Redis's clock"),
        (0.0, -4.0, WARN, "b is 4.0 s behind Redis's clock"),
        (0.0, 300.0, FAIL, "b is 300.0 s ahead of Redis's clock"),
    ],
)
def test_a_clock_that_is_wrong(here: float, skew: float, level: str, text: str) -> None:
    """Which host, how far, and to which side; of several processes of a host the worst."""
    found = [*RUNNING, process("merge@b", skew)]
    assert faults(health.clocks(here, found)) == [("clock", level, text)]


# --- processes ------------------------------------------------------------------------------


def test_processes_that_agree() -> None:
    """All that is needed runs, of one version, with one configuration."""
    assert faults(health.processes(RUNNING, "1", 0.5)) == []


@pytest.mark.parametrize(("age", "level"), [(None, FAIL), (300.0, FAIL), (1.0, WARN)])
def test_nobody_runs(age: float | None, level: str) -> None:
    """A failure, but where it ticks: they are silent then, not gone."""
    found = faults(health.processes([], "1", age))
    assert found == [("processes", level, "no beat and no worker has been heard of")]
    ((name, worse, text),) = faults(health.processes(RUNNING[1:], "1", age))
    assert (name, worse) == ("processes", level)
    assert text.startswith("no beat has been heard of")


def test_versions_that_differ() -> None:
    """Who has which; this command counts too."""
    mixed = [*RUNNING, process("poll@c", version="2")]
    told = "1: beat@a:7, tick@a, poll@b, this command; 2: poll@c"
    assert faults(health.processes(mixed, "1", 1.0)) == [("process versions", WARN, told)]
    told = "1: beat@a:7, tick@a, poll@b; 2: this command"
    assert faults(health.processes(RUNNING, "2", 1.0)) == [("process versions", WARN, told)]


def test_beats_with_different_settings() -> None:
    """Which setting, and who has which value."""
    mixed = [*RUNNING, process("beat@b:8", tick_seconds=5.0)]
    told = "tick_seconds differs: 1: beat@a:7, tick@a, poll@b; 5: beat@b:8"
    assert faults(health.processes(mixed, "1", 1.0)) == [("process settings", WARN, told)]


def test_a_visibility_timeout_that_differs() -> None:
    """Whoever has the shortest gives all messages back."""
    mixed = [*RUNNING, process("poll@c", visibility_timeout=60.0)]
    ((name, level, text),) = faults(health.processes(mixed, "1", 1.0))
    assert (name, level) == ("process settings", FAIL)
    assert text == "visibility_timeout differs: 3600: beat@a:7, tick@a, poll@b; 60: poll@c"


def test_a_visibility_timeout_below_a_lease() -> None:
    """For each process that has it so."""
    late = [process(p.node, lease_seconds=4000.0) for p in RUNNING]
    found = faults(health.processes(late, "1", 1.0))
    assert [(name, level) for name, level, _ in found] == [("visibility time-out", FAIL)] * 3
    assert "tick@a: visibility_timeout 3600 s is not above lease_seconds 4000 s" in found[1][2]


# --- lanes and stages -----------------------------------------------------------------------


def lane_of(census: Census, lane: Lane, **changes: object) -> Census:
    """With other facts of one lane, and no other lanes."""
    found = replace(census.lanes[str(lane)], **changes)  # type: ignore[arg-type]
    return replace(census, lanes={str(lane): found}, dead=0)


def test_lanes_that_are_asked(census: Census) -> None:
    """One without jobs is nobody's trouble, however late it is."""
    assert faults(health.work(lane_of(census, LANE))) == []
    gone = lane_of(census, RESTING, queue=QueueCensus(0, 0, 0.0))
    assert faults(health.work(gone)) == []


def test_lanes_that_are_not_asked(census: Census) -> None:
    """One that rests, one without its credential; and what is dead."""
    assert faults(health.work(census)) == [
        ("lanes", FAIL, f"{RESTING} does not answer (3 failures): BackendUnreachable: away"),
        ("lanes", FAIL, f"{WITHOUT} is not asked: credential: no proxy"),
        ("dead letters", WARN, "1 dead letter"),
    ]


def test_a_lane_that_is_paused(census: Census) -> None:
    """By its owner, who may have forgotten it: no failure; its words obey no terminal."""
    record = replace(census.lanes[str(LANE)].record, paused="moving\x1b[2J")
    found = faults(health.work(lane_of(census, LANE, record=record)))
    assert found == [("lanes", WARN, f"{LANE} is paused: moving\\x1b[2J")]


@pytest.mark.parametrize(
    ("messages", "fix"), [(0, "is its plugin installed"), (3, "3 messages wait in poll.Local")]
)
def test_a_lane_that_is_stuck(census: Census, messages: int, fix: str) -> None:
    """Due for minutes and not asked: whose fault that is shows in Celery's queue."""
    stuck = lane_of(census, LANE, queue=QueueCensus(4, 0, 1000.0))
    (found,) = (
        f for f in health.work(replace(stuck, messages={"poll.Local": messages})) if f.level == FAIL
    )
    assert found.text == f"{LANE}: a query has been due for 17 min"
    assert fix in found.fix


@pytest.mark.parametrize(("claims", "level"), [(0, FAIL), (2, WARN)])
def test_a_stage_that_is_stuck(census: Census, claims: int, level: str) -> None:
    """With nobody at it, or with more to do than its workers can."""
    queue = QueueCensus(7, claims, 600.0)
    found = faults(health.work(replace(census, lanes={}, dead=0, stages={("fetch", OWNER): queue})))
    assert found == [("stages", level, "fetch of alice: 7 wait, the oldest for 10 min")]


def test_an_inbox_that_nobody_empties(census: Census) -> None:
    """While nothing ticks; else it will be taken in soon."""
    quiet = replace(census, lanes={}, stages={}, dead=0, inboxes={OWNER: 2})
    assert faults(health.work(replace(quiet, tick_age=1.0))) == []
    found = faults(health.work(replace(quiet, tick_age=900.0)))
    assert found == [("inbox", FAIL, "alice: 2 commands not taken in")]
