"""Lanes, reports and dead letters on the command line, against a running service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from gangamon import instance, settings
from gangamon.settings import hostname
from tests.integration.ganga.service import Service
from tests.integration.test_cli import REPOSITORY, Shell, end, refused
from tests.support.waiting import until

LANE = f"Local|{hostname()}|-"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    found = Service()
    try:
        found.up()
        yield found
    finally:
        found.close()


@pytest.fixture
def gangamon(service: Service, tmp_path: Path) -> Shell:
    return Shell(service, tmp_path)


@pytest.fixture
def store(service: Service) -> Iterator[redis.Redis]:
    url = instance.redis_url(settings.load(service.environ))
    assert url
    with redis.Redis.from_url(url, protocol=2, decode_responses=True) as connection:
        yield connection


def enqueued(gangamon: Shell, master: int) -> None:
    done = gangamon.enqueue(gangamon.batch(master=master))
    assert done.returncode == 0, done.stderr


def ok(gangamon: Shell, *arguments: str) -> str:
    done = gangamon(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def lane(gangamon: Shell) -> dict[str, Any]:
    (found,) = json.loads(ok(gangamon, "lanes", "--json"))
    return dict(found)


def test_a_lane_is_shown_with_how_it_is_asked(gangamon: Shell) -> None:
    """In a table for people, in json for programs."""
    enqueued(gangamon, 11)

    def asked() -> dict[str, Any] | None:
        """Between a query's answer and its commit the batch neither waits nor has a slot."""
        found = lane(gangamon)
        there = found["waiting"] + found["claims"] == 1
        return found if there and found["asked_ago"] is not None else None

    found = until(asked, 120, "the lane is asked", lambda: lane(gangamon))
    assert found is not None
    assert (found["lane"], found["backend"], found["endpoint"]) == (LANE, "Local", hostname())
    assert found["credential"] == "-"
    assert found["interval"] >= 1.0
    assert (found["failures"], found["paused"], found["breaker_open"]) == (0, "", False)
    head, row = ok(gangamon, "lanes").splitlines()
    assert head.split()[:4] == ["lane", "interval", "query", "asked"]
    assert row.startswith(LANE)
    assert row.endswith("asked")


def test_a_paused_lane_is_not_asked_until_it_is_resumed(gangamon: Shell) -> None:
    """Its jobs keep their status, whatever happens meanwhile; then they are asked about at once."""
    enqueued(gangamon, 12)
    until(lambda: lane(gangamon)["asked_ago"] is not None, 120, "the lane is asked")
    assert ok(gangamon, "pause", "Local", "--reason", "the disks move") == f"paused: {LANE}\n"
    until(lambda: lane(gangamon)["claims"] == 0, 120, "what was under way has ended")
    for sub in "01":
        end(gangamon.folder / "12" / sub / "output")
    found = until(
        lambda: (v := lane(gangamon))["asked_ago"] > 1.5 * v["interval"] + 1 and v,
        120,
        "it would have been asked again",
    )
    assert (found["paused"], found["tried_in"]) == ("the disks move", None)
    assert "paused, until resumed: the disks move" in ok(gangamon, "lanes")
    (master,) = [m for m in json.loads(ok(gangamon, "status", "--json")) if m["job"] == 12]
    assert not master["ended"]
    assert master["subjobs"]["completing"] == master["subjobs"]["completed"] == 0
    assert ok(gangamon, "resume", LANE) == f"resumed: {LANE}\n"
    assert gangamon("watch", "12", "--timeout", "150").returncode == 0
    assert lane(gangamon)["paused"] == ""


def test_lanes_that_are_not_there(gangamon: Shell) -> None:
    """One line with what is accepted, and exit code 2."""
    enqueued(gangamon, 13)
    for command in ("pause", "resume"):
        refused(gangamon(command, "Slurm|cluster|-"), "lane: got 'Slurm|cluster|-'", LANE)
    refused(gangamon("pause", LANE, "--reason", "x" * 300), "reason: got 'xxx")
    assert lane(gangamon)["paused"] == ""


def test_the_report_on_politeness(gangamon: Shell) -> None:
    """Queries, their times, the share of the budget, and the period they are of."""
    enqueued(gangamon, 14)

    def report() -> dict[str, Any]:
        (found,) = json.loads(ok(gangamon, "report", "politeness", "--json"))
        return dict(found)

    until(lambda: report()["queries"], 120, "the lane is asked")
    found = report()
    assert found["lane"] == LANE
    assert found["per_minute_mean"] > 0
    # The mean may be above the most of a minute by the clock: the first and the last are not whole.
    minutes = found["end"] // 60 - found["begin"] // 60 + 1
    assert found["per_minute_max"] <= found["queries"] <= minutes * found["per_minute_max"]
    assert 0 < found["query_mean"] <= found["query_max"] < 30
    assert 0 < found["time_share"] < 1
    assert 0 < found["budget_used"] < 1
    assert 0 < found["budget_used_max"] < 1
    assert (found["rate"], found["burst"]) == (2.0, 30)
    assert 0 < found["end"] - found["begin"] <= 3600
    text = ok(gangamon, "report", "politeness")
    assert text.startswith("Queries to backends from 20")
    assert "2/s, 30 at once: " in text


def test_the_report_on_lags(gangamon: Shell) -> None:
    """Quantiles of the last ends, and whether the promise holds for those it is made for."""
    enqueued(gangamon, 15)
    for sub in "01":
        end(gangamon.folder / "15" / sub / "output")
    assert gangamon("watch", "15", "--timeout", "150").returncode == 0
    (found,) = json.loads(ok(gangamon, "report", "lag", "--json"))
    assert found["n"] >= 2
    assert found["p50"] <= found["p95"] <= found["p99"] <= found["max"]
    assert found["judged"] <= found["n"]
    assert (found["holds"] is None) == (found["judged"] == 0)
    assert "1.2 x interval" in ok(gangamon, "report", "lag")


def bury(store: redis.Redis, owner: str, master: int, sub: int, reason: str) -> None:
    """As a poll does that finds this job to break its query."""
    name = f"{owner}:{REPOSITORY}:{master}"
    store.hset(f"gm:m:{name}:batch", str(sub), "")
    letter = {"queue": f"poll.{LANE}", "reason": reason, "at": 1_700_000_000.5 + sub}
    store.hset("gm:dead", f"{name}:{sub}", json.dumps(letter))


def test_dead_letters_are_listed_by_cause_shown_and_taken_back(
    gangamon: Shell, store: redis.Redis
) -> None:
    """Two of one cause and one of another; taken back they are asked about, and end."""
    assert ok(gangamon, "dead", "list") == "nothing is set aside\n"
    for master in (16, 17):
        enqueued(gangamon, master)
    owner = settings.load(gangamon.environ).owner
    bury(store, owner, 16, 0, "ValueError: no number: 0x77aa")
    bury(store, owner, 16, 1, "NoSuchId: 12345 at 7f3c9d2e11")
    bury(store, owner, 17, 0, "NoSuchId: 999 at 00112233aa")
    first, second = json.loads(ok(gangamon, "dead", "list", "--json"))
    assert (first["cause"], first["count"]) == ("NoSuchId: # at #", 2)
    assert first["examples"] == ["17.0", "16.1"]
    assert (first["first"], first["last"]) == (1_700_000_000.5, 1_700_000_001.5)
    assert (second["count"], second["stage"]) == (1, "poll")
    text = ok(gangamon, "dead", "list")
    assert "NoSuchId: # at #" in text
    assert "2023-11-14 22:13:20 UTC" in text
    assert "NoSuchId: 12345 at 7f3c9d2e11" in ok(gangamon, "dead", "show", "16.1")
    shown = json.loads(ok(gangamon, "dead", "show", "16", "--json"))
    assert [letter["job"] for letter in shown] == ["16.0", "16.1"]
    for master in (16, 17):
        for sub in "01":
            end(gangamon.folder / str(master) / sub / "output")
    assert ok(gangamon, "dead", "retry", "16.0") == "1 taken back\n"
    assert ok(gangamon, "dead", "retry", "--cause", "NoSuchId: # at") == "2 taken back\n"
    assert ok(gangamon, "dead", "list") == "nothing is set aside\n"
    for master in ("16", "17"):
        assert gangamon("watch", master, "--timeout", "150").returncode == 0
    assert ok(gangamon, "dead", "retry", "--all") == "0 taken back\n"


def test_dead_letters_that_are_not_there(gangamon: Shell) -> None:
    """What is accepted is said."""
    refused(gangamon("dead", "show", "4711"), "job: got 4711; accepted: one that `gangamon dead")
    refused(gangamon("dead", "show", "x"), "job: got 'x'; accepted: 42 or 42.7")
    refused(gangamon("dead", "retry", "4711.1"), "job: got 4711.1; accepted")
    refused(gangamon("dead", "retry"), "accepted: one of JOB, --all, --cause TEXT")
    refused(gangamon("dead", "retry", "1", "--all"), "accepted: one of JOB, --all, --cause TEXT")
    refused(gangamon("dead", "retry", "--cause", "nope"), "--cause: got 'nope'")


def test_reconcile_with_nothing_lost(gangamon: Shell) -> None:
    """It says how many there are, and that none was missing."""
    enqueued(gangamon, 18)
    count = len(json.loads(ok(gangamon, "status", "--json")))
    assert ok(gangamon, "reconcile") == f"{count} master jobs, 0 of them were missing\n"
    assert json.loads(ok(gangamon, "reconcile", "--json")) == {"masters": count, "back": 0}


def test_redis_not_reachable(gangamon: Shell, tmp_path: Path) -> None:
    """One line each, exit code 2, and nothing is kept to be sent later."""
    away = {"GANGAMON_REDIS_URL": "redis://127.0.0.1:1/0", "GANGAMON_STATE_DIR": str(tmp_path)}
    for command in (
        ("lanes",), ("pause", "Local"), ("resume", "Local"), ("reconcile",), ("dead", "list"),
        ("dead", "retry", "--all"), ("report", "lag"), ("report", "politeness"),
    ):  # fmt: skip
        refused(gangamon(*command, **away), "Redis at redis://127.0.0.1:1/0")
    assert not (tmp_path / "spool").exists()
