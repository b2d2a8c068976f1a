"""A progress bar of one line: redrawn on a terminal, a new line now and then elsewhere."""

from __future__ import annotations

import shutil
import time
from typing import TextIO

from gangamon.adapter.prompt.figures import Figures, Rate
from gangamon.views.text import bar, seconds

#: Seconds between two lines where the output is not a terminal.
SELDOM = 30.0

#: Characters between the brackets: at most; and at least, or there are none.
WIDEST, NARROWEST = 30, 5


def text(figures: Figures, rate: Rate, note: str, width: int) -> str:
    """One line of at most ``width`` characters. What has no room is left out, ``note`` first."""
    head = f"job {figures.job}"
    parts = [f"{figures.done}/{figures.total}", figures.told(), _speed(figures, rate), note]
    parts = [part for part in parts if part]
    while len(parts) > 1 and len(head) + 2 + len("; ".join(parts)) > width:
        parts.pop()
    tail = "; ".join(parts)
    room = min(WIDEST, width - len(head) - len(tail) - 4)
    drawn = f" {bar(figures.done, figures.total, room)}" if room >= NARROWEST else ""
    return f"{head}{drawn} {tail}"[:width]


def _speed(figures: Figures, rate: Rate) -> str:
    if figures.over:
        return figures.status
    found, left = rate.per_second, rate.left(figures.total - figures.done)
    if found is None or not left:
        return ""
    speed = f"{found:.1f}/s" if found >= 1 else f"{60 * found:.1f}/min"
    return f"{speed}, over in {seconds(left)}"


class Bar:
    """``live``: whether ``out`` is a terminal."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.live = out.isatty()
        self._drawn, self._said_at = 0, -SELDOM

    def show(self, figures: Figures, rate: Rate, note: str = "") -> None:
        """Called as often as one likes."""
        if self.live:
            # The last column stays free: some terminals begin a new line there.
            line = text(figures, rate, note, shutil.get_terminal_size().columns - 1)
            self._out.write("\r" + line.ljust(self._drawn))
            self._drawn = len(line)
        elif figures.over or time.monotonic() - self._said_at >= SELDOM:
            self._said_at = time.monotonic()
            self._out.write(text(figures, rate, note, 1000) + "\n")
        self._out.flush()

    def close(self) -> None:
        """What follows begins a new line."""
        if self.live and self._drawn:
            self._out.write("\n")
            self._out.flush()
        self._drawn = 0
