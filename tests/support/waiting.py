"""Waiting on a condition with a deadline, never on a guess of how long something takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def until(
    condition: Callable[[], T], within: float, what: str, seen: Callable[[], object] | None = None
) -> T:
    """The first true value of ``condition``; AssertionError after ``within`` seconds, with its last
    value and what ``seen`` says of the state.

    A deadline only ends a test that hangs: at least a minute, for the machine may stand still.
    """
    deadline = time.monotonic() + within
    while True:
        late = time.monotonic() > deadline  # before the last look, however long that lasts
        value = condition()
        if value:
            return value
        if late:
            state = f"; {seen()}" if seen is not None else ""
            raise AssertionError(f"not within {within:.0f} s: {what}; last: {value!r}{state}")
        time.sleep(0.02)  # between looks, not instead of them


def quickest(work: Callable[[], object], below: float, tries: int = 5) -> float:
    """Seconds that ``work`` takes, tried again while that is not ``below``: the machine makes work
    longer, never shorter, so only the quickest of several tells how long it takes by itself."""
    least = float("inf")
    for _ in range(tries):
        begun = time.monotonic()
        work()
        least = min(least, time.monotonic() - begun)
        if least < below:
            break
    return least


def tail(path: Path, lines: int = 20) -> str:
    """The last lines of a log, to show why something did not come."""
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return f"{path.name}: none"
    return "\n".join([f"{path.name}:", *text.splitlines()[-lines:]])
