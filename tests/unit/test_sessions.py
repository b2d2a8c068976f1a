"""Whose turn it is at a shell on another host. What is shown with a real one:
tests/integration/backends/test_remote_streams.py."""

from __future__ import annotations

from typing import Any, cast

import pytest

from gangamon.fetchers import sessions
from gangamon.fetchers.framing import Broken


class Coming:
    """Parts of a stream; those in front are done after so many looks at how much has come."""

    def __init__(self, place: sessions._Place, looks: int, each: int) -> None:
        self._place, self._looks, self._each = place, looks, each
        self._came = 0

    @property
    def came(self) -> int:
        self._came += self._each
        self._looks -= 1
        if not self._looks:
            del self._place.turns[0]
        return self._came


def queue(each: int) -> tuple[sessions._Host, sessions._Place, sessions.Turn]:
    """A shell that serves one claim, and a second that waits behind it."""
    host, place = sessions._Host(), sessions._Place()
    shell = cast(Any, object.__new__(sessions.Shell))
    shell.parts = Coming(place, 12, each)
    place.shell = shell
    place.turns = [sessions.Turn(host, place, {name: 0}, False) for name in "ab"]
    return host, place, place.turns[1]


def test_it_is_waited_for_as_long_as_something_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "IDLE", 0.001)
    host, place, second = queue(each=1)
    assert host.await_turn(place, second) is place.shell
    assert place.turns == [second]


def test_it_is_not_where_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "IDLE", 0.001)
    host, place, second = queue(each=0)
    with pytest.raises(Broken, match="busy for long"):
        host.await_turn(place, second)
