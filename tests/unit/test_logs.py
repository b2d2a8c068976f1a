"""Log lines: for people or as JSON, with what they are about, and harmless whatever they quote."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gangamon.errors import TransientError
from gangamon.protocols import FetchOrder
from gangamon.services.trail import about, about_member, trail
from tests.support.backend import DONE
from tests.support.commands import OWNER, REPOSITORY
from tests.support.rig import FETCH, Rig
from workers import logs


def record(message: str, *values: object) -> logging.LogRecord:
    return logging.LogRecord("gangamon.x", logging.WARNING, "x.py", 1, message, values, None)


def test_for_people() -> None:
    """Time, level, process, logger, message; then what it is about, if anything."""
    people = logs.formatter("text")
    assert people.format(record("%d jobs", 3)).endswith("WARNING MainProcess gangamon.x: 3 jobs")
    with about(claim="ab"), about(job="42.7"):
        assert people.format(record("late")).endswith("gangamon.x: late [claim=ab job=42.7]")


def test_for_programs() -> None:
    """The same fields by name, and a traceback in one."""
    with about(claim="ab", job="42.7"):
        told = json.loads(logs.formatter("json").format(record("%d jobs", 3)))
    assert told.pop("time").endswith("Z")
    assert told.pop("process").startswith("MainProcess:")
    assert told == {
        "level": "WARNING",
        "logger": "gangamon.x",
        "message": "3 jobs",
        "claim": "ab",
        "job": "42.7",
    }
    try:
        raise ValueError("no")
    except ValueError:
        failed = record("it failed")
        failed.exc_info = sys.exc_info()
    told = json.loads(logs.formatter("json").format(failed))
    assert told["exception"].startswith("Traceback")
    assert told["exception"].endswith("ValueError: no")


@pytest.mark.parametrize("name", ["text", "json"])
def test_what_is_quoted_stays_in_its_line(name: str) -> None:
    """A backend's words begin no line of their own, and obey no terminal."""
    with about(job="1\n2"):
        line = logs.formatter(name).format(record("said: %s", "x\n2026 INFO forged\x1b[2J"))
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line
    assert "forged" in line


def test_what_it_is_about_ends() -> None:
    """Also by an error."""
    with pytest.raises(ValueError), about(job="1"):
        raise ValueError
    assert trail() == {}


@pytest.mark.parametrize(
    ("member", "job"), [("alice:r:42:7@1", "42.7"), ("alice:r:42:-1@1", "42"), ("a:r:42@3", "42")]
)
def test_a_member_names_its_job(member: str, job: str) -> None:
    """A subjob's fetch, that of a job that was not split, a master's stage."""
    with about_member("fetch.alice", member):
        assert trail() == {"queue": "fetch.alice", "repository": "r", "job": job}


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logs.formatter("json"))
        self.lines: list[dict[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler, root = Kept(), logging.getLogger()
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)


def test_a_fetch_says_whose_it_is(tmp_path: Path, kept: Kept) -> None:
    """The line about a job's trouble names its repository and itself; the one before it does not
    tell of this one."""
    rig = Rig(tmp_path)
    rig.begin(2)
    rig.backend.answers = [{"7.0": DONE, "7.1": DONE}]
    rig.ask()

    def away(order: FetchOrder) -> None:
        if order.fqid == "7.1":
            raise TransientError("the storage is away")

    rig.fetcher.does = away
    rig.hurry(FETCH)
    with about(task="t1"):
        rig.fetch.run(rig.claim(FETCH).token, "w1")
    (line,) = (line for line in kept.lines if "the storage is away" in line["message"])
    wanted = {"task": "t1", "queue": f"fetch.{OWNER}", "repository": REPOSITORY, "job": "7.1"}
    assert {name: line[name] for name in wanted} == wanted
