"""What the commands about lanes print, of what the store holds; without a service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gangamon.cli import commanding, main
from gangamon.domain.lane import Lane
from gangamon.protocols import Asked, Lag
from gangamon.views.text import quantile, seconds
from tests.support.commands import LANE, OWNER, enqueue
from tests.support.rig import POLL, Rig, client_of


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Its store is that of the command line."""
    found = Rig(tmp_path)

    monkeypatch.setattr(commanding, "client", lambda: client_of(found, tmp_path))
    return found


def gangamon(*arguments: str) -> str:
    done = CliRunner().invoke(main, list(arguments))
    assert done.exit_code == 0, done.output
    return done.output


def told(*arguments: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(gangamon(*arguments, "--json"))
    return found


@pytest.mark.parametrize(
    ("values", "q", "expected"),
    [([], 0.5, None), ([1.0], 0.99, 1.0), ([1.0, 2.0], 0.5, 1.0), ([1.0, 2.0], 0.51, 2.0)],
)
def test_quantiles(values: list[float], q: float, expected: float | None) -> None:
    """The smallest value that so many do not exceed."""
    assert quantile(values, q) == expected
    assert quantile([float(n) for n in range(1, 101)], 0.99) == 99.0


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.25, "0.250 s"), (5.0, "5.0 s"), (300.0, "5 min"), (7200.0, "2.0 h")],
)
def test_seconds(value: float | None, text: str) -> None:
    """As people read them."""
    assert seconds(value) == text


def test_without_lanes(rig: Rig) -> None:
    """Each command says so."""
    assert gangamon("lanes") == "no lanes\n"
    assert gangamon("report", "lag") == "no end was noticed yet\n"
    assert gangamon("report", "politeness") == "nothing was asked in the last hour\n"
    assert gangamon("dead", "list") == "nothing is set aside\n"


def test_a_lane_that_rests_or_waits_says_why_and_until_when(rig: Rig) -> None:
    """The breaker, a credential, an owner's pause, and a failure before any of these."""
    rig.begin(2)
    name = str(LANE)
    assert "never" in gangamon("lanes")
    rig.store.note_failure(name, "BackendUnreachable: down", Asked(1, 2.0, 2.0))
    assert gangamon("lanes").endswith("failing: BackendUnreachable: down\n")
    rig.store.open_breaker(name, 600.0)
    assert gangamon("lanes").endswith("resting, tried again in 10 min: BackendUnreachable: down\n")
    (lane,) = told("lanes")
    assert (lane["failures"], lane["breaker_open"], lane["waiting"]) == (1, True, 1)
    rig.store.pause(name, "credential: expired", 30.0)
    text = gangamon("lanes")
    assert text.endswith(": credential: expired\n")
    assert "paused, tried again in " in text
    rig.store.pause(name, "moving", None)
    assert gangamon("lanes").endswith("paused, until resumed: moving\n")


def test_the_report_on_politeness_counts_the_last_hour(rig: Rig) -> None:
    """From the lane's first query in it; older minutes are not in it."""
    rig.begin(1)
    name = str(LANE)
    minute = int(rig.inbox.clock() // 60)
    calls = {}
    for ago, queries, took, slow in ((90, 99, 99.0, 99.0), (30, 40, 10.0, 3.0), (10, 20, 2.0, 1.0)):
        calls |= {str(minute - ago): queries, f"s:{minute - ago}": took, f"m:{minute - ago}": slow}
    rig.redis.hset(rig.store.keys.of("calls", name), mapping=calls)  # type: ignore[arg-type]
    budget = {"tokens": 1, "at": 1, "rate": 0.5, "burst": 10}
    rig.redis.hset(rig.store.keys.of("budget", name), mapping=budget)  # type: ignore[arg-type]
    (found,) = told("report", "politeness")
    assert (found["queries"], found["per_minute_max"], found["query_max"]) == (60, 40, 3.0)
    assert found["query_mean"] == pytest.approx(0.2)
    assert found["per_minute_mean"] == pytest.approx(1.0, rel=0.02)
    assert found["time_share"] == pytest.approx(12 / 3600, rel=0.02)
    assert found["budget_used"] == pytest.approx(1 / 30, rel=0.02)
    assert found["budget_used_max"] == pytest.approx(1.0)
    assert "0.5/s, 10 at once: 3." in gangamon("report", "politeness")


def test_the_report_on_politeness_of_a_lane_without_a_budget(rig: Rig) -> None:
    """It says none; one that was not asked is left out of the table."""
    rig.begin(1)
    rig.store.note_query(str(LANE), 1.0, 5.0, 0.1, Asked(1, 0.1, 0.1), [])
    rig.store.enqueue(OWNER, "", enqueue(1, "e2", 8, lane=Lane("Local", "quiet")))
    lines = gangamon("report", "politeness").splitlines()
    assert lines[-1].startswith(str(LANE))
    assert lines[-1].endswith("none")
    assert "quiet" not in "".join(lines)


def test_the_report_on_lags_judges_by_the_interval_in_force(rig: Rig) -> None:
    """A late first look at a job is shown, and breaks no promise."""
    rig.begin(1)
    lags = [Lag(500.0), *[Lag(5.9, 5.0)] * 99, Lag(11.9, 10.0)]
    rig.store.note_query(str(LANE), 1.0, 1.0, 0.1, Asked(1, 0.1, 0.1), lags)
    (found,) = told("report", "lag")
    assert (found["n"], found["judged"], found["max"], found["p50"]) == (101, 100, 500.0, 5.9)
    assert found["p99_intervals"] == pytest.approx(1.18)
    assert found["holds"] is True
    rig.store.note_query(str(LANE), 1.0, 1.0, 0.1, Asked(1, 0.1, 0.1), [Lag(6.1, 5.0)] * 3)
    (found,) = told("report", "lag")
    assert found["holds"] is False
    assert gangamon("report", "lag").splitlines()[1].endswith("does not hold")
    rig.redis.delete(rig.store.keys.of("lags", str(LANE)))
    rig.store.note_query(str(LANE), 1.0, 1.0, 0.1, Asked(1, 0.1, 0.1), [Lag(6.1)])
    assert gangamon("report", "lag").splitlines()[1].endswith("nothing to judge by")


def test_dead_stages_are_named_by_their_stage(rig: Rig) -> None:
    """Of a job and of a master; an owner's name may hold what separates an attempt."""
    rig.begin(2)
    claim = rig.claim(POLL)
    (batch,) = rig.store.batches(claim.members)
    rig.store.set_aside(claim.token, POLL, batch.id, batch.master, 1, "no such id 17")
    for member, queue in ((f"{claim.members[0].rpartition(':')[0]}@1", "merge"),
                          (f"{claim.members[0].rpartition(':')[0]}:0@1", "fetch")):  # fmt: skip
        body = json.dumps({"queue": f"{queue}.{OWNER}", "reason": "it hangs", "at": 5.0})
        rig.redis.hset(rig.store.keys.of("dead"), member, body)
    found = {(one["stage"], *one["examples"]) for one in told("dead", "list")}  # type: ignore[misc]
    assert found == {("poll", "7.1"), ("merge", "7"), ("fetch", "7.0")}
    assert gangamon("dead", "show", "7.0").splitlines()[1] == "  it hangs"
