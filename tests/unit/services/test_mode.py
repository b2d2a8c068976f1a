"""The flag of who has a repository's jobs, and the hold of a master: what is not done then."""

from __future__ import annotations

from pathlib import Path

import pytest

from gangamon.domain.command import MergerSpec
from gangamon.domain.status import JobStatus
from gangamon.errors import BadInput, DiskFull
from gangamon.services import hold, mode
from gangamon.services.mode import GANGA, GANGAMON, Mode
from tests.support.backend import DONE, FAILED
from tests.support.commands import the_master
from tests.support.rig import CHECK, FETCH, MERGE, Rig


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "gangamon"


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """Two jobs at their end, one of them failed; both to be fetched, then merged."""
    found = Rig(tmp_path)
    found.begin(2, (MergerSpec("TextMerger", ("stdout",)),))
    found.backend.answers = [{"7.0": DONE, "7.1": FAILED}]
    found.ask()
    return found


def _work(rig: Rig, queue: str) -> int:
    rig.hurry(queue)
    service = rig.fetch if queue == FETCH else rig.merge
    return service.run(rig.claim(queue).token, "w1")


def test_what_is_written_is_read(place: Path) -> None:
    """Without a file gangamon has the jobs; the last who wrote decides."""
    assert mode.read(place) == Mode()
    written = mode.write(place, GANGA, "a test")
    assert mode.read(place) == written
    assert mode.given_back([str(place.parent)])
    mode.write(place, GANGAMON, "a test")
    assert not mode.given_back(["/nowhere", str(place.parent)])
    assert [path.name for path in place.iterdir()] == [mode.NAME]


@pytest.mark.parametrize("text", ["", "[]", '{"mode": "both", "by": "", "at": 0}', '{"mode": 1}'])
def test_a_flag_that_is_not_ours_keeps_hands_off(place: Path, text: str) -> None:
    """Nobody of ours touches the jobs then."""
    place.mkdir()
    (place / mode.NAME).write_text(text)
    assert mode.read(place).mode == GANGA


def test_a_bad_mode_and_a_full_disk_are_told(place: Path) -> None:
    """The line names the value and what is accepted."""
    with pytest.raises(BadInput, match="mode: got 'off'; accepted: gangamon, ganga"):
        mode.write(place, "off", "a test")
    place.write_text("in the way")
    with pytest.raises(DiskFull):
        mode.write(place, GANGA, "a test")


def test_nothing_is_fetched_that_was_given_back(rig: Rig, place: Path) -> None:
    """The jobs keep their place, and are fetched when they are gangamon's again."""
    mode.write(place, GANGA, "a test")
    assert _work(rig, FETCH) == 0
    assert rig.fetcher.orders == []
    assert rig.statuses() == [JobStatus.COMPLETING] * 2
    mode.write(place, GANGAMON, "a test")
    assert _work(rig, FETCH) == 2


def test_nothing_is_merged_that_was_given_back(rig: Rig, place: Path) -> None:
    """The master is not ended either, and its turn comes later."""
    rig.fetch_all()
    mode.write(place, GANGA, "a test")
    assert _work(rig, MERGE) == 0
    assert rig.merger.orders == []
    mode.write(place, GANGAMON, "a test")
    assert _work(rig, MERGE) == 1


def test_a_master_with_failures_waits_for_its_session(rig: Rig, place: Path) -> None:
    """While it is held its merge waits; one without failures is merged all the same."""
    hold.hold(place, 7)
    rig.fetch_all()
    assert _work(rig, MERGE) == 0
    assert the_master(rig.store).phase == "merge"
    hold.let_go(place, 7)
    hold.let_go(place, 7)  # once more changes nothing
    assert _work(rig, MERGE) == 1
    assert CHECK in rig.sent.queues()


def test_a_held_master_without_failures_is_merged(tmp_path: Path) -> None:
    """Nothing of it will be resubmitted."""
    rig = Rig(tmp_path)
    rig.begin(2)
    hold.hold(tmp_path / "gangamon", 7)
    rig.backend.answers = [{"7.0": DONE, "7.1": DONE}]
    rig.ask()
    rig.fetch_all()
    assert _work(rig, MERGE) == 1
