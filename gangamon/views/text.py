"""Plain text tables, figures and times."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime, timezone

#: What would move a terminal's cursor, colour or rename it, or turn the order of letters around:
#: control characters of ASCII and of Latin-1, and Unicode's marks of direction.
_HOSTILE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def plain(line: object) -> str:
    """A line as a terminal may have it: names and reasons come from users, jobs and log files. What
    it must not see is shown as Python writes it: ``\\x1b``."""
    return _HOSTILE.sub(lambda found: ascii(found[0])[1:-1], str(line))


def lines(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A table: columns as wide as their widest cell, the first and the last to the left."""
    cells = [list(head), *([plain(cell) for cell in row] for row in rows)]
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


def share(part: float) -> str:
    return f"{100 * part:.1f} %"


def size(count: float) -> str:
    """Bytes, in three figures or less."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"


def moment(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def quantile(ordered: Sequence[float], q: float) -> float | None:
    """The smallest value that a share ``q`` of all does not exceed; None of none."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)]
