"""``gangamon doctor backend``: what is missing is told, and nothing raises."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from gangamon.backends import examine
from gangamon.backends.local import LocalBackend
from gangamon.backends.slurm import SlurmBackend
from gangamon.cli import main
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Unreachable
from gangamon.errors import BackendUnreachable, CredentialMissing
from gangamon.protocols import FAIL, OK, WARN, Finding, Limits, PollItem
from gangamon.settings import hostname

LANE = Lane("Table", "cluster")


@dataclass
class Table:
    """A backend without a doctor of its own. ``answer``: what it says of any job, or raises."""

    answer: Observation | Exception = field(default_factory=lambda: Absent("table"))
    limits: Limits = field(default_factory=Limits)
    name = "Table"

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return {item.key: self.answer for item in items}

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        return {item.key: Absent("table", second=True) for item in items}


class Ill(Table):
    """Its doctor dies half way."""

    def doctor(self, lane: Lane) -> Iterator[Finding]:
        yield Finding("version", OK, "Table 1.0")
        raise BackendUnreachable("no accounting")


def found(backend: Table | LocalBackend | SlurmBackend, lane: Lane = LANE) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine.examine(backend, lane, "alice")}


def test_a_backend_without_a_doctor() -> None:
    """One query and its time."""
    told = found(Table())
    assert list(told) == ["limits", "query"]
    assert told["query"].level == OK
    assert "answered in" in told["query"].text


@pytest.mark.parametrize(
    ("answer", "text", "fix"),
    [
        (CredentialMissing("proxy expired"), "proxy expired", "renew"),
        (ValueError("a bug"), "ValueError: a bug", ""),
        (Unreachable("hidden"), "nothing is learnt: hidden", ""),
    ],
)
def test_a_query_that_fails(answer: Observation | Exception, text: str, fix: str) -> None:
    query = found(Table(answer))["query"]
    assert query.level == FAIL
    assert text in query.text
    assert fix in query.fix


def test_a_query_that_is_nearly_too_slow() -> None:
    assert found(Table(limits=Limits(timeout=1e-9)))["query"].level == WARN


def test_a_doctor_that_dies() -> None:
    """What it has told stands, its error is told, and the query is tried all the same."""
    told = found(Ill())
    assert [(name, finding.level) for name, finding in told.items()] == [
        ("limits", OK), ("version", OK), ("doctor", FAIL), ("query", OK),
    ]  # fmt: skip


def test_a_host_without_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each command that is missing is named; sacct is not needed everywhere."""
    monkeypatch.setenv("PATH", str(tmp_path))
    told = found(SlurmBackend(), Lane("Slurm", hostname()))
    assert [told[f"command {name}"].level for name in ("squeue", "scontrol", "sacct")] == [
        FAIL, FAIL, WARN,
    ]  # fmt: skip
    assert told["query"].level == FAIL


def test_local_of_another_host() -> None:
    """Its status files can be read, its processes cannot be seen."""
    assert found(LocalBackend(), Lane("Local", hostname()))["host"].level == OK
    told = found(LocalBackend(), Lane("Local", "elsewhere.example"))
    assert told["host"].level == WARN
    assert told["query"].level == OK


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where no service runs."""
    monkeypatch.setenv("GANGAMON_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("GANGAMON_CONFIG", "")
    monkeypatch.delenv("GANGAMON_REDIS_URL", raising=False)


@pytest.mark.usefixtures("environ")
def test_on_the_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Exit code 0 where all is there, 1 where something is missing, 2 for a name that is none."""
    told = CliRunner().invoke(main, ["doctor", "backend", "Local", "--json"])
    assert told.exit_code == 0, told.output
    assert {check["name"] for check in json.loads(told.output)} >= {"limits", "host", "query"}
    monkeypatch.setenv("PATH", str(tmp_path))
    told = CliRunner().invoke(main, ["doctor", "backend", "Slurm", "--endpoint", "hpc"])
    assert told.exit_code == 1
    assert "FAIL command squeue: not found in PATH  -> install it" in told.output
    told = CliRunner().invoke(main, ["doctor", "backend", "Slrum"])
    assert told.exit_code == 2
    assert "accepted:" in told.output
