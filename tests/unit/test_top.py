"""``gangamon top`` without a terminal, and what keys do to what is shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from gangamon.cli import commanding, main
from gangamon.cli.top import Screen, _pressed
from gangamon.client import Client
from gangamon.domain.command import Command
from gangamon.errors import StoreUnavailable
from gangamon.protocols import Asked, Lag
from gangamon.views import glance
from tests.support.cell import RESTING, WITHOUT, fill
from tests.support.commands import LANE, OWNER, REPOSITORY
from tests.support.rig import Rig, client_of


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    found = Rig(tmp_path)
    fill(found)
    return found


@pytest.fixture
def client(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The command line's."""
    found = client_of(rig, rig.folder)
    monkeypatch.setattr(commanding, "client", lambda: found)
    return found


def shown(screen: Screen) -> str:
    console = Console(width=200, height=50, color_system=None, record=True, file=_Nowhere())
    console.print(screen.show(50))
    return console.export_text()


class _Nowhere:
    def write(self, _: str) -> int:
        return 0

    def flush(self) -> None: ...


@pytest.fixture
def screen(client: Client) -> Iterator[Screen]:
    found = Screen(client)
    found.look()
    yield found


def test_without_a_terminal_it_is_printed_once(client: Client) -> None:
    """Troubles first, then lanes, stages and the jobs that have not ended."""
    done = CliRunner().invoke(main, ["top"])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0].startswith("tick ")
    assert "4 submitted, 2 completed, 1 failed" in lines[0]
    assert lines[1:3] == ["1 dead letter: gangamon dead list", "1 command not yet taken in"]
    assert [line.split()[0] for line in lines[4:7]] == [str(LANE), str(RESTING), str(WITHOUT)]
    assert "resting, tried again in" in lines[5]
    assert "credential: no proxy" in lines[6]
    assert [line.split()[1] for line in lines[7:]] == ["8", "20", "21"]


def test_rates_are_those_since_the_look_before(rig: Rig, client: Client) -> None:
    """Not told at first; a store that was emptied meanwhile gives no negative ones."""
    first = glance.look(client)
    assert {row.queries for row in first.lanes} == {None}
    rig.store.note_query(str(LANE), 1.0, 5.0, 0.1, Asked(3, 0.3, 0.1), [Lag(2.0)])
    second = glance.look(client, first.census)
    elapsed = second.census.at - first.census.at
    by_lane = {row.lane: row for row in second.lanes}
    assert by_lane[str(LANE)].queries == pytest.approx(180 / elapsed)
    assert by_lane[str(RESTING)].queries == 0
    rig.redis.delete(rig.store.keys.of("counted"))
    assert glance.look(client, second.census).lanes[0].queries == 0


def test_keys_sort_and_choose(screen: Screen) -> None:
    """By name, then by lag, jobs, what waits; the arrows go round."""
    assert [row.lane for row in screen.rows()] == [str(LANE), str(RESTING), str(WITHOUT)]
    assert str(LANE) in shown(screen)
    assert screen.press("s")
    assert screen.rows()[0].lane == str(LANE), "the only one with lags"
    assert not screen.press("x")
    for key, chosen in (("\x1b[B", LANE), ("j", RESTING), ("\x1b[A", LANE), ("k", WITHOUT)):
        assert screen.press(key)
        assert screen._chosen == str(chosen)


def test_p_pauses_and_resumes(rig: Rig, screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a command, as `gangamon pause` does; without a choice nothing."""

    def send(client: Client, command: Command, timeout: float) -> None:
        client.submit(command)
        client.flush()
        rig.tick.run()

    monkeypatch.setattr(commanding, "send", send)
    rig.tick.run()
    screen.press("p")
    assert "choose a lane first" in shown(screen)
    screen.press("j")
    screen.press("p")
    assert rig.store.lane(str(LANE)).paused == "by its owner, in gangamon top"
    assert f"paused: {LANE}" in shown(screen)
    screen.press("p")
    assert rig.store.lane(str(LANE)).paused == ""
    rig.redis.zrem(rig.store.keys.of("ring", f"poll.{LANE}"), OWNER)
    screen.press("p")
    assert f"{OWNER} has no jobs in {LANE}" in shown(screen)


def test_a_store_that_goes_away(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was seen stays, with the reason; and goes on when it is back."""

    def away(*_: object) -> None:
        raise StoreUnavailable("Redis at unix:///x: no answer")

    with monkeypatch.context() as patch:
        patch.setattr(Client, "census", away)
        screen.look()
    assert "Redis at unix:///x: no answer" in shown(screen)
    assert str(LANE) in shown(screen)
    screen.look()
    assert "no answer" not in shown(screen)


def test_other_peoples_words_obey_no_terminal(rig: Rig, screen: Screen) -> None:
    """A job's name and an error may hold escapes."""
    evil = "\x1b]0;title\x07\x1b[2J"
    rig.redis.hset(rig.store.keys.master(OWNER, REPOSITORY, 8), "name", evil)
    rig.redis.hset(rig.store.keys.of("lane", str(RESTING)), "error", evil)
    screen.look()
    assert "\x1b" not in shown(screen)
    assert r"\x1b]0;title\x07\x1b[2J" in shown(screen)


def test_more_lanes_and_jobs_than_lines(client: Client) -> None:
    """It never needs more lines than there are, but for the lanes."""
    screen = Screen(client)
    assert "gangamon top" in shown(screen), "before the first look"
    screen.look()
    console = Console(width=200, color_system=None)
    assert len(console.render_lines(screen.show(3))) < len(console.render_lines(screen.show(50)))


def test_keys_that_come_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One by one, an arrow as a whole; the end of input is a q."""
    typed = tmp_path / "typed"
    typed.write_bytes(b"s\x1b[B\x1bOAp")
    with typed.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert _pressed(60.0) == ["s", "\x1b[B", "\x1bOA", "p"]
        assert _pressed(60.0) == ["q"]
