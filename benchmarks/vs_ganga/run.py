"""``python -m benchmarks vs-ganga``: stock Ganga 8.7.12 and gangamon, one after the other, watch
the same simulated DIRAC-like grid in the same run, each in a session of its own.

Nothing of the user's own is touched: private homes in temporary directories, removed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import figures
from benchmarks.vs_ganga.measure import measure
from benchmarks.vs_ganga.sides import GANGAMON, INTERVAL, STOCK, Failed, play
from benchmarks.vs_ganga.table import promises, table

SIZES, QUICK = [1000, 5000, 10000], [1000]


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks vs-ganga")
    parser.add_argument("--subjobs", type=_sizes, default=SIZES, help="default: 1000,5000,10000")
    parser.add_argument("--quick", action="store_true", help="1000 subjobs only")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--limit", type=float, default=700.0, help="seconds of one session")
    parser.add_argument("--rate", type=float, default=50.0, help="jobs a second that end")
    options = parser.parse_args(argv)
    sizes: list[int] = QUICK if options.quick else options.subjobs
    if find_spec("ganga") is None:
        print("vs-ganga: Ganga is not installed: pip install 'gangamon[all]'", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is ended
    machine = figures.machine()
    print(machine)
    print(f"{options.rate:g} jobs/s end, a query every {INTERVAL} s, limit {options.limit:g} s")
    found: dict[tuple[int, str], dict[str, Any]] = {}
    faults = 0
    for size in sizes:
        for side in (STOCK, GANGAMON):
            load = os.getloadavg()[0]
            try:
                one = measure(play(side, size, options.rate, options.limit), options.rate)
            except Failed as error:
                print(f"FAULT {side}, {size} subjobs: {error}", flush=True)
                faults += 1
                continue
            found[size, side] = one
            one["load"] = (load, os.getloadavg()[0])
            after = f"{one['seconds']:.0f} s; load {load:.1f} -> {one['load'][1]:.1f}"
            told = f"{side}, {size} subjobs: {one['completed']} completed in Ganga after {after}"
            print(told, flush=True)
    print("\n".join(["", *table(sizes, found), ""]))
    said = promises(sizes, found, INTERVAL)
    print(said)
    if options.json:
        report = {"machine": machine, "rate": options.rate, "interval": INTERVAL,
                  "limit": options.limit, "runs": list(found.values())}  # fmt: skip
        options.json.write_text(json.dumps(report, indent=1))
    return 1 if faults or "MISSED" in said else 0


def _sizes(text: str) -> list[int]:
    sizes = [int(part) for part in text.split(",")]
    if not all(size > 0 for size in sizes):
        raise ValueError
    return sizes
