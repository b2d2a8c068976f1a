"""``top``: lanes, what waits and your jobs, live in a terminal; without one printed once."""

from __future__ import annotations

import contextlib
import os
import re
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from gangamon.cli import commanding
from gangamon.cli.table import table
from gangamon.domain.command import Pause, Resume
from gangamon.domain.lane import Lane
from gangamon.errors import BadInput, GangamonError, StoreUnavailable
from gangamon.views.glance import SORTS, Glance, LaneRow, look
from gangamon.views.lanes import ASKED, mine
from gangamon.views.text import seconds

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gangamon.client import Client

HEAD = (
    *("lane", "live", "interval", "asked", "query", "a minute", "moved/s", "batches", "claims"),
    *("lag p50", "p99", "state"),
)

KEYS = "q ends  s sorts  up, down choose a lane  p pauses or resumes it"
UP, DOWN = ("\x1b[A", "\x1bOA", "k"), ("\x1b[B", "\x1bOB", "j")

_KEY = re.compile(r"\x1b[\[O].|.", re.DOTALL)

#: Seconds to wait for the answer to a pause.
WAIT = 10.0


@click.command()
@click.option(
    "--every", type=click.FloatRange(0.2, 3600), default=2.0, show_default=True, help="Seconds."
)
@click.option("--once", is_flag=True, help="Print it once.")
def top(every: float, once: bool) -> None:
    """The service at a glance, live: lanes, what waits, your jobs. Keys: q ends, s sorts, up and
    down choose a lane, p pauses or resumes it."""
    client = commanding.client()
    if once or not (sys.stdin.isatty() and sys.stdout.isatty()):
        _print(look(client))
        return
    try:
        from rich.live import Live
    except ImportError as error:
        fix = "accepted: --once, or an installation with it: pip install 'gangamon[server]'"
        raise BadInput([f"top: {error}; {fix}"]) from error
    screen = Screen(client)
    with _keys(), Live(screen=True, auto_refresh=False) as live:
        while True:
            screen.look()
            live.update(screen.show(live.console.size.height), refresh=True)
            shown = time.monotonic()
            while (left := shown + every - time.monotonic()) > 0:
                for key in _pressed(left):
                    if key == "q":
                        return
                    if screen.press(key):
                        live.update(screen.show(live.console.size.height), refresh=True)


COMMANDS = (top,)


class Screen:
    """What is shown, and what keys do to it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._glance: Glance | None = None
        self._sort = 0
        self._chosen = ""
        self._said = ""

    def look(self) -> None:
        """Anew; what was seen last stays while the store is away."""
        try:
            before = self._glance.census if self._glance else None
            self._glance = look(self._client, before)
            if self._said.startswith("Redis"):
                self._said = ""
        except StoreUnavailable as error:
            self._said = str(error)

    def rows(self) -> list[LaneRow]:
        found = list(self._glance.lanes) if self._glance else []
        return sorted(found, key=list(SORTS.values())[self._sort])

    def press(self, key: str) -> bool:
        """Whether there is something new to show."""
        if key == "s":
            self._sort = (self._sort + 1) % len(SORTS)
        elif key in UP:
            self._choose(-1)
        elif key in DOWN:
            self._choose(1)
        elif key == "p":
            self._pause()
        else:
            return False
        return True

    def _choose(self, step: int) -> None:
        names = [row.lane for row in self.rows()]
        if names:
            place = names.index(self._chosen) + step if self._chosen in names else 0
            self._chosen = names[place % len(names)]

    def _pause(self) -> None:
        name, client = self._chosen, self._client
        if not name:
            self._said = "p: choose a lane first, by the arrow keys"
            return
        try:
            if name not in mine(client):
                self._said = f"p: {client.owner} has no jobs in {name}"
                return
            paused = bool(client.lane(name).paused)
            repository, lane = commanding.a_repository(client), Lane.parse(name)
            command: Pause | Resume = Resume(client.new_id(), repository, lane)
            if not paused:
                command = Pause(client.new_id(), repository, lane, "by its owner, in gangamon top")
            commanding.send(client, command, WAIT)
            self._said = f"{'resumed' if paused else 'paused'}: {name}"
            self.look()
        except GangamonError as error:
            self._said = str(error)

    def show(self, height: int) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        lines: list[Any] = [Text(f"gangamon top  {KEYS}", style="dim")]
        if self._said:
            lines.append(Text(self._said, style="bold"))
        if self._glance is None:
            return Group(*lines)
        lines.append(Text(self._glance.head))
        lines += [Text(trouble, style="bold red") for trouble in self._glance.troubles]
        lanes = Table(expand=True, box=None, header_style="bold", pad_edge=False)
        for number, name in enumerate(HEAD):
            sorted_by = list(SORTS)[self._sort]
            style = "underline" if name == sorted_by.split()[0] else ""
            last = number in (0, len(HEAD) - 1)
            lanes.add_column(
                Text(name, style=style), justify="left" if last else "right", no_wrap=True
            )
        for row in self.rows():
            style = "reverse" if row.lane == self._chosen else "" if row.state == ASKED else "red"
            lanes.add_row(*(Text(cell) for cell in _cells(row)), style=style)
        lines.append(lanes)
        lines += [Text(stage) for stage in self._glance.stages]
        room = max(0, height - len(lines) - len(self._glance.lanes) - 1)
        lines += [Text(line, no_wrap=True) for line in self._glance.masters[-room:] if room]
        return Group(*lines)


def _cells(row: LaneRow) -> tuple[str, ...]:
    return (
        row.lane,
        str(row.live),
        seconds(row.interval),
        "never" if row.asked_ago is None else f"{seconds(row.asked_ago)} ago",
        seconds(row.query),
        "-" if row.queries is None else f"{row.queries:.1f}",
        "-" if row.moved is None else f"{row.moved:.1f}",
        str(row.waiting),
        str(row.claims),
        seconds(row.lag_p50),
        seconds(row.lag_p99),
        row.state,
    )


def _print(glance: Glance) -> None:
    for line in (glance.head, *glance.troubles):
        click.echo(line)
    if glance.lanes:
        table(HEAD, [_cells(row) for row in glance.lanes])
    for line in (*glance.stages, *glance.masters):
        click.echo(line)


@contextlib.contextmanager
def _keys() -> Iterator[None]:
    """Keys arrive one by one and are not shown; as it was before, however this ends."""
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _pressed(within: float) -> list[str]:
    """The keys of the next input, an arrow key as its sequence; none after so many seconds; q where
    input ended."""
    if not select.select([sys.stdin], [], [], within)[0]:
        return []
    return _KEY.findall(os.read(sys.stdin.fileno(), 64).decode(errors="replace")) or ["q"]
