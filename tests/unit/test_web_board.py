"""What the job page reads of the store for one view."""

from __future__ import annotations

from pathlib import Path

import pytest

from gangamon.client import Client
from gangamon.views.subjobs import Wanted
from gangamon.web.board import Board
from gangamon.web.live import Live
from tests.support.commands import REPOSITORY
from tests.support.rig import Rig, client_of


def test_a_job_is_one_look_at_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its states are read once, for all who look later."""
    rig = Rig(tmp_path)
    rig.store.epoch()
    rig.begin(6)
    client = client_of(rig, tmp_path)
    board = Board(client, Live(client))
    looks: list[str] = []

    def counted(name: str) -> None:
        call = getattr(Client, name)

        def noted(*given: object) -> object:
            looks.append(name)
            return call(client, *given)

        monkeypatch.setattr(client, name, noted)

    for name in ("master", "job", "states", "jobs", "native_ids"):
        counted(name)
    found = board.job_page(REPOSITORY, 7, Wanted(), 2, 3)
    assert found is not None
    assert [row["sub"] for row in found["subjobs"]["rows"]] == [2, 3, 4]
    assert (found["row"]["job"], found["subjobs"]["total"]) == (7, 6)
    assert looks == ["master", "states", "jobs", "native_ids"]
    looks.clear()
    assert board.job_page(REPOSITORY, 7, Wanted(), 0, 3) is not None
    assert looks == ["master", "jobs", "native_ids"]
    assert board.job_page(REPOSITORY, 8, Wanted(), 0, 3) is None
