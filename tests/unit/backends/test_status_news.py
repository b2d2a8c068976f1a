"""Push from status files: by inotify and by looking, over an ordinary directory tree."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gangamon.backends import inotify, statusnews
from gangamon.backends.inotify import Inotify, is_local
from gangamon.backends.statusnews import StatusNews
from gangamon.protocols import PollItem
from gangamon.testing.factories import poll_item
from tests.support.waiting import until


@pytest.fixture(params=["inotify", "look", "no watches left"])
def news(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> StatusNews:
    """On a file system of this host; on one that others write; where the kernel refuses."""
    local = request.param != "look"
    monkeypatch.setattr(statusnews, "is_local", lambda path: local)
    if request.param == "no watches left":

        def refuse(self: Inotify, directory: str) -> None:
            raise OSError(28, "No space left on device", directory)

        monkeypatch.setattr(Inotify, "watch", refuse)
    return StatusNews()


@pytest.fixture
def jobs(tmp_path: Path) -> list[PollItem]:
    items = [poll_item(f"42.{n}", str(tmp_path / str(n) / "output")) for n in range(3)]
    for item in items:
        Path(item.output).mkdir(parents=True)
    return items


def look(news: StatusNews, jobs: list[PollItem]) -> Callable[[], set[str]]:
    """As the service asks: with what the last look gave."""
    position = ""

    def once() -> set[str]:
        nonlocal position
        found = news.changed(jobs, position)
        position = found.position
        return set(found.keys)

    return once


def test_what_is_written_is_told_once(news: StatusNews, jobs: list[PollItem]) -> None:
    """At first all, for nobody knows what was missed; then each write; other files are none."""
    told = look(news, jobs)
    assert told() == {"42.0", "42.1", "42.2"}
    assert told() == set()
    status = Path(jobs[1].output, "__jobstatus__")
    status.write_text("START: x\n")
    Path(jobs[2].output, "stdout").write_text("out")
    assert told() == {"42.1"}
    assert told() == set()
    with status.open("a") as file:  # which stays open, as the wrapper's
        file.write("PID: 1\n")
        file.flush()
        assert told() == {"42.1"}
    other = status.with_name("new")
    other.write_text("EXITCODE: 0\n")
    told()
    other.replace(status)
    assert told() == {"42.1"}


def test_a_directory_that_goes(news: StatusNews, jobs: list[PollItem]) -> None:
    """It raises nothing; one that comes again is watched again."""
    Path(jobs[0].output, "__jobstatus__").touch()
    told = look(news, jobs)
    told()
    shutil.rmtree(jobs[0].output)
    assert told() <= {"42.0"}
    told()
    Path(jobs[0].output).mkdir()
    told()
    Path(jobs[0].output, "__jobstatus__").write_text("START: x\n")
    until(lambda: told() == {"42.0"} or told() == set(), 10, "told")


@pytest.mark.parametrize("position", ["x", "[1]", "{", '{"42.0": []}', "null"])
def test_a_position_that_makes_no_sense(
    position: str, jobs: list[PollItem], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statusnews, "is_local", lambda path: False)
    assert set(StatusNews().changed(jobs, position).keys) == {"42.0", "42.1", "42.2"}


def test_watches_that_nobody_needs_end(
    jobs: list[PollItem], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statusnews, "is_local", lambda path: True)
    monkeypatch.setattr(statusnews, "FORGOTTEN", -1.0)
    news = StatusNews()
    assert len(news.changed(jobs, "").keys) == 3
    assert len(news.changed(jobs, "").keys) == 3, "they are watched anew"


def test_a_queue_that_has_run_over(jobs: list[PollItem], monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says so: then all may have been written."""
    watches = Inotify("__jobstatus__")
    for job in jobs:
        watches.watch(job.output)
    events = [inotify._HEAD.pack(-1, inotify._OVERFLOW, 0, 0), b""]
    monkeypatch.setattr(watches, "_read", lambda: events.pop(0))
    assert watches.written() == {job.output for job in jobs}
    watches.close()


def test_which_file_systems_are_our_own(tmp_path: Path) -> None:
    assert is_local(str(tmp_path))
    assert not is_local("/proc/self")
