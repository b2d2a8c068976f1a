"""What ``monitor`` shows of the service's data; and how lanes and jobs are named to people."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gangamon.adapter.prompt import survey
from gangamon.adapter.prompt.figures import Figures
from gangamon.domain.status import JobStatus
from gangamon.errors import BadInput
from gangamon.views import jobs, lanes
from tests.support.commands import LANE, REPOSITORY
from tests.support.rig import Rig, client_of


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_a_survey(rig: Rig, tmp_path: Path) -> None:
    """Lanes with what they are asked, paused ones with the reason; queues; and the masters."""
    client = client_of(rig, tmp_path)
    empty = survey.take(client, REPOSITORY)
    assert survey.told(empty)[0] == "no lanes yet"
    assert "the service's last tick: never" in survey.told(empty)[-1]
    rig.begin(2)
    rig.store.pause(str(LANE), "the disks move", None)
    rig.store.note_tick()
    found = survey.take(client, REPOSITORY)
    head, row, queues = survey.told(found)
    assert head.split()[:3] == ["lane", "asked", "every"]
    assert row.startswith(str(LANE)) and row.endswith("paused, until resumed: the disks move")
    assert queues == "queues: nothing to fetch, merge, check or notify"
    (master,) = found.masters.values()
    assert survey.ahead(Figures("1", "running", {"running": master.total}), master) == ""


def test_what_the_service_knows_first(rig: Rig, tmp_path: Path) -> None:
    """Ends that the session does not show yet, the stage that is under way, the master's end."""
    rig.begin(2)
    client = client_of(rig, tmp_path)
    (master,) = survey.take(client, REPOSITORY).masters.values()
    figures = Figures("1", "running", {"running": master.total})
    one = replace(master, counts={JobStatus.COMPLETED: 1, JobStatus.RUNNING: 1})
    assert survey.ahead(figures, one) == "the service: 1 ended"
    assert survey.ahead(figures, replace(master, phase="merge")) == "the service: merge"
    ended = replace(master, status=JobStatus.FAILED, phase="done")
    assert survey.ahead(figures, ended) == "the service: failed"
    assert survey.ahead(Figures("1", "failed", {"failed": 1}), ended) == ""
    assert survey.ahead(figures, None) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Slurm", ["Slurm|a|-", "Slurm|b|-"]),
        ("Slurm|b|-", ["Slurm|b|-"]),
        ("Slurm|a", ["Slurm|a|-"]),
        ("SlurmX", ["SlurmX|a|-"]),
        ("Lo", ["Local|a|-"]),
        ("slurm", []),
        ("", []),
    ],
)
def test_lanes_by_name(text: str, expected: list[str]) -> None:
    """A backend's name means all of its lanes, and no other backend's that begins so."""
    names = ["Local|a|-", "Slurm|a|-", "Slurm|b|-", "SlurmX|a|-"]
    assert lanes.named(names, text) == expected


def test_jobs_by_name() -> None:
    assert jobs.parse("42") == (42, -1)
    assert jobs.parse("42.7") == (42, 7)
    for bad in ("", "a", "42.", ".7", "42.x", "-1"):
        with pytest.raises(BadInput, match=r"accepted: 42 or 42\.7"):
            jobs.parse(bad)
