"""LocalBackend where something cannot be read: it teaches nothing, and holds up no other job."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import pytest

from gangamon.backends import jobstatus
from gangamon.backends.local import LocalBackend
from gangamon.domain.observation import Absent, Seen, Unreachable
from gangamon.errors import BackendUnreachable
from gangamon.protocols import PollItem
from gangamon.testing.factories import poll_item
from tests.unit.local_jobs import HERE, START

DONE = f"{START}WRAPPER: 11\nPID: 12\nEXITCODE: 0\n"


@pytest.fixture
def jobs(tmp_path: Path) -> list[PollItem]:
    """Three subjobs that have ended."""
    found = []
    for sub in range(3):
        output = tmp_path / "LocalXML" / "42" / str(sub) / "output"
        output.mkdir(parents=True)
        (output / "__jobstatus__").write_text(DONE)
        found.append(poll_item(f"42.{sub}", str(output)))
    return found


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Directories that cannot be entered. Permissions would not stop a test that runs as root."""
    names: set[str] = set()
    real = os.open

    def guarded(path: str, flags: int) -> int:
        if os.path.dirname(path) in names:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path, flags)

    monkeypatch.setattr(jobstatus.os, "open", guarded)
    return names


def test_one_unreadable_directory_is_of_that_job_alone(
    jobs: list[PollItem], refused: set[str]
) -> None:
    """The others are answered in the same query; it is neither ended nor absent."""
    refused.add(jobs[1].output)
    answers = LocalBackend().poll(HERE, jobs)
    assert [type(answers[job.key]) for job in jobs] == [Seen, Unreachable, Seen]
    assert answers[jobs[1].key] == Unreachable(f"{jobs[1].output}/__jobstatus__: Permission denied")


def test_where_all_are_unreadable_the_query_fails(jobs: list[PollItem], refused: set[str]) -> None:
    """Then it is the lane that waits, and says so."""
    refused.update(job.output for job in jobs)
    with pytest.raises(BackendUnreachable, match="Permission denied"):
        LocalBackend().poll(HERE, jobs)


def test_another_home_that_is_not_mounted(jobs: list[PollItem], tmp_path: Path) -> None:
    """The jobs of other owners are asked about; its own are not absent."""
    (tmp_path / "elsewhere" / "LocalXML").mkdir(parents=True)
    away = poll_item("7.0", str(tmp_path / "elsewhere" / "LocalXML" / "7" / "0" / "output"))
    answers = LocalBackend().poll(HERE, [away, *jobs])
    assert isinstance(answers["7.0"], Unreachable)
    assert all(isinstance(answers[job.key], Seen) for job in jobs)


def test_the_second_source_neither(jobs: list[PollItem], refused: set[str]) -> None:
    """What cannot be read is no absence there."""
    os.remove(f"{jobs[0].output}/__jobstatus__")
    refused.add(jobs[1].output)
    answers = LocalBackend().second_source(HERE, jobs)
    assert answers[jobs[0].key] == Absent("local", second=True)
    assert isinstance(answers[jobs[1].key], Unreachable)


def test_it_is_logged_once(
    jobs: list[PollItem], refused: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    """And again when it happens again."""
    backend = LocalBackend()
    with caplog.at_level(logging.WARNING):
        for unreadable in ([jobs[1].output], [jobs[1].output], [], [jobs[1].output]):
            refused.clear()
            refused.update(unreadable)
            backend.poll(HERE, jobs)
    assert [record.args[0] for record in caplog.records if record.args] == ["42.1", "42.1"]
