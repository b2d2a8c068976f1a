"""Starting the service for a session: once, detached, and with one line; or why not."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gangamon import instance as instances
from gangamon import settings as configuration
from gangamon.adapter.service import autostart
from gangamon.adapter.service.autostart import Autostart
from gangamon.instance import Instance
from gangamon.settings import Settings, hostname
from tests.support.waiting import until


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return configuration.load({"GANGAMON_STATE_DIR": str(tmp_path / "state")})


@pytest.fixture
def said() -> list[str]:
    return []


Make = Callable[..., Autostart]


@pytest.fixture
def make(settings: Settings, said: list[str]) -> Make:
    def made(code: str = "", wanted: bool = True, given: Settings = settings) -> Autostart:
        return Autostart(given, wanted, said.append, (sys.executable, "-c", code))

    return made


def _marker(path: Path) -> str:
    return f"open({str(path)!r}, 'a').write('x')"


def _runs_on(settings: Settings, host: str) -> None:
    settings.state_dir.mkdir(exist_ok=True)
    Instance("i", host, 1, "unix:///nowhere", "", "/nowhere", 1e9).save(settings.instance_file)


def test_it_is_started_once_and_said(make: Make, said: list[str], tmp_path: Path) -> None:
    """One process, one line at the start and one when the service answers."""
    start = make(_marker(tmp_path / "ran"))
    start.look()
    assert start.starting
    start.tell(False, 5.0)  # nothing while it is on its way
    until(lambda: start._child is None or start._child.poll() is not None, 60, "it has ended")
    start.answered()
    start.look()
    assert (tmp_path / "ran").read_text() == "x"
    assert [line for line in said if "stand still" in line] == []
    assert [line.split(":")[1].strip() for line in said] == ["no service runs", "the service runs"]


def test_a_start_that_fails_is_told_with_its_reason(make: Make, said: list[str]) -> None:
    """The reason stands in the line, and it is not tried again by this session."""
    start = make("import sys; print('gangamon: no redis-server'); sys.exit(1)")
    start.look()
    until(lambda: start._child is None or start._child.poll() is not None, 60, "it has ended")
    start.look()
    start.look()
    assert not start.starting
    assert len(said) == 2
    assert "could not be started: no redis-server" in said[1]
    assert "'gangamon up'" in said[1]


def test_another_session_that_starts_it_is_waited_for(
    make: Make, settings: Settings, tmp_path: Path
) -> None:
    """The lock is the other's as long as its `up` is at work."""
    settings.state_dir.mkdir()
    with (settings.state_dir / "autostart.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        start = make(_marker(tmp_path / "ran"))
        start.look()
        assert not start.starting
    assert not (tmp_path / "ran").exists()


def test_the_lock_is_held_by_what_is_started(make: Make, settings: Settings) -> None:
    """Also when the session that began it has gone: the descriptor is the child's."""
    held = make("import sys; sys.stdin.read(); import time; time.sleep(600)")
    held.look()
    child = held._child
    assert child is not None
    try:
        with (settings.state_dir / "autostart.lock").open("w") as lock, pytest.raises(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert os.getsid(child.pid) == child.pid
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize(
    ("case", "advice"),
    [
        ("elsewhere", "it runs on another.node since 2001-09-09"),
        ("ended", "'gangamon down' ended it: here, then"),
        ("server", "redis.url is set"),
        ("unwanted", "'gangamon up' starts it"),
    ],
)
def test_it_is_not_started_where_it_must_not_be(
    make: Make, settings: Settings, said: list[str], tmp_path: Path, case: str, advice: str
) -> None:
    """The line says why, and what to do."""
    if case == "elsewhere":
        _runs_on(settings, "another.node")
    if case == "ended":
        settings.state_dir.mkdir()
        instances.ended_mark(settings).write_text("here, then\n")
    given = replace(settings, redis_url="redis://server") if case == "server" else settings
    start = make(_marker(tmp_path / "ran"), wanted=case != "unwanted", given=given)
    start.look()
    start.tell(False, 5.0)
    assert not start.starting
    assert len(said) == 1
    assert "the service does not answer" in said[0]
    assert advice in said[0]


def test_one_that_another_session_has_just_started_is_not_started_again(
    make: Make, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long this session has waited for an answer: it was not that instance's silence."""
    settings.state_dir.mkdir()
    start = make()
    with (settings.state_dir / "autostart.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        start.look()
    start._silent_since = start._look_at = 0.0
    just_now = Instance("i", hostname(), 1, "unix:///nowhere", "", "/nowhere", time.time())
    just_now.save(settings.instance_file)
    start.look()
    assert not start.starting


def test_one_that_runs_here_is_given_time(
    make: Make, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance of this host that is silent for a moment is not started anew; then `up` looks."""
    _runs_on(settings, hostname())
    start = make()
    start.look()
    assert not start.starting
    monkeypatch.setattr(autostart, "SILENCE", 0.0)
    start._look_at = 0.0
    start.look()
    assert start.starting
    assert start._child is not None
    start._child.wait()
