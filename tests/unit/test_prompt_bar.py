"""The line that ``monitor.watch`` draws, and the figures in it."""

from __future__ import annotations

import io
import os

import pytest

from gangamon.adapter.prompt import bar
from gangamon.adapter.prompt.bar import Bar, text
from gangamon.adapter.prompt.figures import WINDOW, Figures, Rate
from gangamon.adapter.prompt.told import Told

HALF = Figures("42", "running", {"failed": 1, "completed": 4, "running": 5})
OVER = Figures("42", "failed", {"failed": 1, "completed": 9})


def rate(*seen: tuple[float, int]) -> Rate:
    found = Rate()
    for at, done in seen:
        found.note(at, done)
    return found


def test_figures() -> None:
    """Frozen subjobs are over; statuses come in the order of a job's life, unknown ones last."""
    figures = Figures("1", "running", {"odd": 1, "completed_frozen": 2, "running": 3, "new": 0})
    assert (figures.total, figures.done, figures.over) == (6, 2, False)
    assert figures.told() == "3 running, 2 completed_frozen, 1 odd"
    # A split job all of whose subjobs have ended is over when its outputs are merged.
    assert not Figures("1", "running", {"completed": 2}).over
    assert Figures("1", "completed", {"completed": 2}).over


@pytest.mark.parametrize(
    ("seen", "per_second", "left"),
    [
        ([], None, None),
        ([(0.0, 4)], None, None),
        ([(0.0, 4), (10.0, 4)], None, None),
        ([(0.0, 4), (10.0, 24)], 2.0, 50.0),
        ([(0.0, 4), (10.0, 24), (20.0, 3)], None, None),  # 21 were submitted again
        ([(0.0, 4), (10.0, 24), (20.0, 3), (30.0, 13)], 1.0, 100.0),
    ],
)
def test_a_rate(
    seen: list[tuple[float, int]], per_second: float | None, left: float | None
) -> None:
    found = rate(*seen)
    assert (found.per_second, found.left(100)) == (per_second, left)


def test_a_rate_forgets() -> None:
    """Only the last minute counts, with the last look before it."""
    found = rate(*[(float(at), 10 * at) for at in range(100)])
    assert found.per_second == 10.0
    for at in range(100, 300):
        found.note(float(at), 990)
    assert found.per_second is None
    assert len(found._seen) <= WINDOW + 2


def test_the_line() -> None:
    speed = rate((0.0, 0), (2.0, 4))
    whole = text(HALF, speed, "the service: 6 ended", 200)
    assert whole == (
        "job 42 [###############...............] 5/10; 5 running, 4 completed, 1 failed; "
        "2.0/s, over in 2.5 s; the service: 6 ended"
    )
    assert "30.0/min, over in 10.0 s" in text(HALF, rate((0.0, 0), (10.0, 5)), "", 200)
    assert text(OVER, speed, "", 200).endswith("10/10; 9 completed, 1 failed; failed")


@pytest.mark.parametrize("width", [1, 10, 20, 40, 60, 80, 120])
def test_the_line_has_room(width: int) -> None:
    """Never wider than the terminal; what is least needed goes first."""
    line = text(HALF, rate((0.0, 0), (2.0, 4)), "the service: 6 ended", width)
    assert len(line) <= width
    if width >= 20:
        assert line.startswith("job 42") and "5/10" in line
    if width >= 60:
        assert "5 running, 4 completed, 1 failed" in line
    if width < 80:
        assert "the service" not in line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_one_line_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shorter line wipes the longer one before it, and the last column stays free."""
    monkeypatch.setattr(bar.shutil, "get_terminal_size", lambda: os.terminal_size((50, 24)))
    out = Terminal()
    drawn = Bar(out)
    drawn.show(HALF, Rate())
    drawn.show(Figures("42", "completed", {"completed": 10}), Rate())
    drawn.close()
    drawn.close()
    first, second = out.getvalue().split("\r")[1:]
    assert "\n" not in first
    assert first == text(HALF, Rate(), "", 49)
    assert second.endswith("\n") and second.count("\n") == 1
    assert len(first) <= len(second.rstrip("\n")) <= 49


def test_elsewhere_lines_come_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first, one each half minute, and the last."""
    now = [1000.0]
    monkeypatch.setattr(bar.time, "monotonic", lambda: now[0])
    out = io.StringIO()
    drawn = Bar(out)
    for _ in range(70):
        drawn.show(HALF, Rate())
        now[0] += 1.0
    drawn.show(OVER, Rate())
    drawn.close()
    lines = out.getvalue().splitlines()
    assert len(lines) == 4
    assert "\r" not in out.getvalue()
    assert lines[-1].endswith("failed")


def test_what_is_told_is_shown_as_it_is() -> None:
    found = Told.of(["one", "two"])
    assert repr(found) == str(found) == "one\ntwo"
