"""News makes batches due, at once or when they have been polled; it decides nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gangamon.domain.lane import Lane
from gangamon.errors import BackendUnreachable
from gangamon.protocols import Limits, News, PollItem
from gangamon.services import push
from gangamon.services.push import Watcher
from gangamon.testing.factories import poll_item

LANE = Lane("Noisy", "host")


class Noisy:
    """``news``: what the next looks say, or raise."""

    name, every = "Noisy", 60.0

    def __init__(self) -> None:
        self.limits = Limits()
        self.news: list[News | Exception] = []
        self.positions: list[str] = []

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> dict[str, object]:
        return {}

    second_source = poll

    def changed(self, lane: Lane, items: Sequence[PollItem], position: str) -> News:
        self.positions.append(position)
        answer = self.news.pop(0) if self.news else News(position=position)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Store:
    """``waiting``: batches that wait; others are being polled."""

    def __init__(self) -> None:
        self.waiting: set[str] = set()
        self.due: list[str] = []

    def hasten(self, queue: str, members: Sequence[str]) -> list[str]:
        found = [member for member in members if member in self.waiting]
        self.due += found
        return found


class Dispatcher:
    def __init__(self) -> None:
        self.pushed: list[str] = []

    def push(self, queues: Sequence[str]) -> int:
        self.pushed += queues
        return 0


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> tuple[Watcher, Noisy, Store, Dispatcher]:
    """Looked at by hand."""
    monkeypatch.setattr(Watcher, "_run", lambda self: None)
    noisy, store, dispatcher = Noisy(), Store(), Dispatcher()
    watcher = Watcher(store, dispatcher, lambda name: noisy)  # type: ignore[arg-type]
    watcher.follow(LANE, "o:r:1:1", [poll_item("1.0", "/none")])
    return watcher, noisy, store, dispatcher


Parts = tuple[Watcher, Noisy, Store, Dispatcher]


def test_news_makes_due(parts: Parts) -> None:
    watcher, noisy, store, dispatcher = parts
    store.waiting.add("o:r:1:1")
    watcher.look()
    assert dispatcher.pushed == []
    noisy.news = [News(frozenset({"1.0"}), "far")]
    watcher.look()
    assert (store.due, dispatcher.pushed) == (["o:r:1:1"], [f"poll.{LANE}"])
    watcher.look()
    assert store.due == ["o:r:1:1"], "once"
    assert noisy.positions == ["", "", "far"]


def test_news_while_it_is_polled(parts: Parts) -> None:
    """That poll may have read too early: it is made due when it waits again."""
    watcher, noisy, store, dispatcher = parts
    noisy.news = [News(frozenset({"1.0"}))]
    watcher.look()
    assert (store.due, dispatcher.pushed) == ([], [])
    watcher.follow(LANE, "o:r:1:1", [poll_item("1.0", "/none")])
    store.waiting.add("o:r:1:1")
    watcher.look()
    assert store.due == ["o:r:1:1"]


def test_news_of_a_batch_that_is_over(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not kept for ever."""
    watcher, noisy, store, _ = parts
    monkeypatch.setattr(push, "KEPT", -1.0)
    noisy.news = [News(frozenset({"1.0"}))]
    watcher.look()
    store.waiting.add("o:r:1:1")
    watcher.look()
    assert store.due == []


def test_a_source_that_fails(parts: Parts) -> None:
    """The next look goes on where the last good one was."""
    watcher, noisy, store, _ = parts
    store.waiting.add("o:r:1:1")
    noisy.news = [
        News(position="here"),
        BackendUnreachable("no such directory"),
        ValueError("a bug"),
        News(frozenset({"1.0"})),
    ]
    for _ in range(4):
        watcher.look()
    assert store.due == ["o:r:1:1"]
    assert noisy.positions == ["", "here", "here", "here"]


def test_new_jobs_are_not_known_of(parts: Parts) -> None:
    """A position is of the jobs that it was given for; fewer of them are the same."""
    watcher, noisy, _, _ = parts
    two = [poll_item("1.0", "/none"), poll_item("1.1", "/none")]
    noisy.news = [News(position="one"), News(position="two")]
    watcher.look()
    watcher.follow(LANE, "o:r:1:1", two)
    watcher.look()
    watcher.follow(LANE, "o:r:1:1", two[:1])
    watcher.look()
    assert noisy.positions == ["", "", "two"]


def test_what_has_ended_is_not_looked_at(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher, noisy, _, _ = parts
    watcher.follow(LANE, "o:r:1:1", [])
    watcher.look()
    assert noisy.positions == []
    watcher.follow(LANE, "o:r:1:1", [poll_item("1.0", "/none")])
    monkeypatch.setattr(push, "FORGOTTEN", -1.0)  # another process polls it now
    watcher.look()
    assert noisy.positions == []


def test_a_backend_without_push_is_left_alone(parts: Parts) -> None:
    watcher, *_ = parts
    watcher._backend = lambda name: object()  # type: ignore[assignment, return-value]
    watcher.follow(LANE, "o:r:2:1", [poll_item("2.0", "/none")])
    assert "o:r:2:1" not in watcher._batches
