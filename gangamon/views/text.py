"""Plain text tables, figures and times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timezone


def lines(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A table: columns as wide as their widest cell, the first and the last to the left."""
    cells = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(head))]
    last = len(head) - 1
    return [
        "  ".join(
            cell.ljust(width) if n in (0, last) else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def bar(done: int, total: int, width: int = 20) -> str:
    """``[####....]``, ``width`` characters between the brackets."""
    filled = width * done // total if total else 0
    return f"[{'#' * filled}{'.' * (width - filled)}]"


def seconds(value: float | None) -> str:
    """Three figures and the unit; - where there is none."""
    if value is None:
        return "-"
    if value >= 60:
        return f"{value / 60:.0f} min" if value < 5400 else f"{value / 3600:.1f} h"
    return f"{value:.3f} s" if value < 1 else f"{value:.1f} s"


def count(number: int, what: str) -> str:
    """``1 job``, ``2 jobs``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def size(number: float) -> str:
    """Bytes, in three figures or so: ``17 B``, ``3.2 kB``, ``120 MB``."""
    units = ["B", "kB", "MB", "GB", "TB"]
    while number >= 1000 and len(units) > 1:
        number /= 1000
        del units[0]
    unit = units[0]
    return f"{number:.1f} {unit}" if number < 100 and unit != "B" else f"{number:.0f} {unit}"


def share(part: float) -> str:
    return f"{100 * part:.1f} %"


def moment(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def quantile(ordered: Sequence[float], q: float) -> float | None:
    """The smallest value that a share ``q`` of all does not exceed; None of none."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)]
