"""Questions to the service from the prompt, which waits for none of them for long."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from gangamon.adapter.prompt.asker import Asker
from gangamon.errors import BadInput, StoreUnavailable
from tests.support.waiting import until


class Made:
    """Counts the clients."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        self.count += 1
        return self.count


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    found = threading.Event()
    yield found
    found.set()


def test_an_answer_and_an_error_come_through() -> None:
    """Of one client, and in a thread that does not hold up the end of the session."""
    asker = Asker(Made())
    assert asker.ask(lambda client: (client, threading.current_thread().daemon), 60) == (1, True)
    assert asker.ask(lambda client: client, 60) == 1
    with pytest.raises(BadInput, match="lane"):
        asker.ask(lambda client: _raise(BadInput(["lane: no"])), 60)
    assert asker.ask(lambda client: client, 60) == 1


def test_after_the_service_was_away_there_is_a_new_client() -> None:
    """It may have come back elsewhere."""
    asker = Asker(Made())
    with pytest.raises(StoreUnavailable, match="gone"):
        asker.ask(lambda client: _raise(StoreUnavailable("gone")), 60)
    assert asker.ask(lambda client: client, 60) == 2


def test_behind_a_question_that_hangs_no_other_is_begun(gate: threading.Event) -> None:
    """Each says so in its time; when the service answers again, all goes on."""
    asker, asked = Asker(Made()), []

    def hang(client: int) -> None:
        asked.append(client)
        gate.wait(120)

    for words in ("no answer within 0.05 s$", "nor before", "nor before"):
        with pytest.raises(StoreUnavailable, match=words):
            asker.ask(hang, 0.05)
    assert asker.begin(hang) is None
    assert len(asked) == 1
    gate.set()
    assert asker.ask(lambda client: client, 60) == 1


def test_a_question_that_nobody_waits_for() -> None:
    asker = Asker(Made())
    asked = asker.begin(lambda client: client + 1)
    assert asked is not None
    until(asked.done, 60, "it is answered")
    assert asked.result() == 2


def test_many_ask_at_once() -> None:
    """One after the other, and each gets its own answer."""
    asker, found = Asker(Made()), {}

    def ask(number: int) -> None:
        found[number] = asker.ask(lambda client: number, 60)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: number for number in range(8)}


def _raise(error: Exception) -> None:
    raise error
