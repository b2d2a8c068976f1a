"""The table at the end: a row for each figure, and for each number of subjobs both sides."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.vs_ganga.sides import GANGAMON, STOCK

Figures = Mapping[str, Any]

QUANTILES = ("p50", "p95", "p99", "max")
CALLS = ("jobs(i).status", "len(jobs)", "select", "str(jobs)")

#: What gangamon promises: p99 of the detection lag in polls, and its pace.
PROMISED_LAG, PROMISED_PACE = 1.2, 0.95


def rows() -> list[tuple[str, tuple[str, ...], float]]:
    """(name, where the figure is, factor)."""
    found: list[tuple[str, tuple[str, ...], float]] = [
        ("completed in Ganga", ("completed",), 1),
        ("seconds from start to end", ("seconds",), 1),
    ]
    for name, key in (
        ("detected by the service", "detected"),
        ("fetched and committed", "committed"),
        ("completed in Ganga", "shown"),
    ):
        found += [(f"lag, end -> {name}, {q}, s", (key, q), 1) for q in QUANTILES]
    found += [
        ("completed in Ganga while the backend ends, /s", ("rate", "while_ending"), 1),
        ("completed in Ganga until the last, /s", ("rate", "to_end"), 1),
        ("pace (1 = the backend's)", ("rate", "pace"), 1),
        ("CPU of the session, submitting, s", ("cpu", "submit"), 1),
        ("CPU of the session, watching, s", ("cpu", "session"), 1),
        ("CPU of all gangamon processes, s", ("cpu", "service"), 1),
        ("CPU, session watching and gangamon, s", ("cpu", "watching"), 1),
        ("memory of the session, MB", ("memory_mb",), 1),
    ]
    for call in CALLS:
        found += [(f"{call}, {q}, ms", ("calls", call, q), 1000) for q in ("p50", "p99", "max")]
    return found


def table(sizes: Sequence[int], found: Mapping[tuple[int, str], Figures]) -> list[str]:
    """``found``: (subjobs, side) -> its figures; a side that failed is missing."""
    head = f"{'':46}" + "".join(f"{f'{size} subjobs':>30}" for size in sizes)
    columns = "".join(f"{'stock':>10}{'gangamon':>10}{'ratio':>10}" for _ in sizes)
    lines = [head, f"{'':46}{columns}"]
    for name, path, factor in rows():
        cells = ""
        for size in sizes:
            stock, ours = (found.get((size, side), {}) for side in (STOCK, GANGAMON))
            ratio = _ratio(stock, ours, path)
            cells += f"{_cell(stock, path, factor):>10}{_cell(ours, path, factor):>10}{ratio:>10}"
        lines.append(f"{name:46}{cells}".rstrip())
    return lines


def promises(sizes: Sequence[int], found: Mapping[tuple[int, str], Figures], poll: float) -> str:
    """What is held and what is missed, a line for each size."""
    lines = []
    for size in sizes:
        if (size, GANGAMON) not in found:
            continue
        ours, most = found[size, GANGAMON], PROMISED_LAG * poll
        told = []
        for name, key in (("detected", "detected"), ("fetched", "committed"), ("shown", "shown")):
            p99 = value(ours, (key, "p99"))
            held = "held" if p99 <= most else "MISSED"
            if p99 <= most and bound(ours, (key, "p99")):
                held = "not known"
            told.append(f"{name} {_cell(ours, (key, 'p99'), 1)} s {held}")
        pace = value(ours, ("rate", "pace"))
        held = "too few polls to tell"
        if not math.isnan(pace):
            held = f"{_text(pace)} {'held' if pace >= PROMISED_PACE else 'MISSED'}"
        lines.append(
            f"gangamon, {size} subjobs: p99 of the lag (<= {most:g} s): {', '.join(told)}; "
            f"pace (>= {PROMISED_PACE}): {held}"
        )
    return "\n".join(lines)


def value(figures: Figures, path: Sequence[str]) -> float:
    """NaN where there is none."""
    found: Any = figures
    for part in path:
        if part not in found:
            return math.nan
        found = found[part]
    return float(found)


def bound(figures: Figures, path: Sequence[str]) -> bool:
    """Whether this is a lower bound only: a percentile among jobs that never were seen."""
    return len(path) == 2 and value(figures, path) >= value(figures, (path[0], "exact"))


def _cell(figures: Figures, path: Sequence[str], factor: float) -> str:
    number = value(figures, path) * factor
    if math.isnan(number):
        return "-"
    return ("≥" if bound(figures, path) else "") + _text(number)


def _ratio(stock: Figures, ours: Figures, path: Sequence[str]) -> str:
    below, above = value(stock, path), value(ours, path)
    unclear = bound(stock, path) and bound(ours, path)
    if math.isnan(below) or math.isnan(above) or below == 0 or unclear:
        return "-"
    sign = "≤" if bound(stock, path) else "≥" if bound(ours, path) else ""
    return sign + _text(above / below)


def _text(number: float) -> str:
    if number == int(number):
        return f"{number:.0f}"
    size = abs(number)
    return f"{number:.{0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 3}f}"
