"""``python -m benchmarks capacity --scale FILE --throughput FILE``: what so many live jobs take.

Nothing is run: the costs are those that ``scale --jobs 10000,100000,1000000 --json FILE`` and
``throughput --json FILE`` have measured, on one machine. The model is linear in jobs, polls,
transitions and ends; how far that holds is checked first, on the largest size measured against what
the smaller ones foretell.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: Transitions of a job that is polled: submitted -> running -> completing. The last is its fetch's.
POLLED_STEPS = 2

#: Of a core: what a Redis process may be busy with on average, so that bursts find it ready.
BUSY = 0.5

#: Jobs of one query: most plugins' limit.
QUERY = 1000

#: The model may be so far off at the largest size measured.
OFF = 1.3


@dataclass(frozen=True)
class Costs:
    """CPU microseconds a job: of workers and Redis (its rewrites with it) for a poll without
    (``still``) and with a transition (``moved``), and for a job's fetch; bytes of an ended job."""

    workers_still: float
    workers_moved: float
    redis_still: float
    redis_moved: float
    transfer: float
    redis_fetch: float
    bytes: float


@dataclass(frozen=True)
class Load:
    """``live`` jobs, each of ``lifetime`` seconds, asked about every ``interval`` seconds."""

    live: int
    lifetime: float
    interval: float

    @property
    def ends(self) -> float:
        """A second."""
        return self.live / self.lifetime


@dataclass(frozen=True)
class Need:
    """Cores on average; ``cells``: Redis processes; ``memory``: bytes, of all of them; ``queries``
    a minute, over all lanes."""

    poll: float
    transfer: float
    redis: float
    cells: int
    memory: float
    queries: float


def need(load: Load, costs: Costs) -> Need:
    polls, steps = load.live / load.interval, load.ends * POLLED_STEPS
    poll = polls * costs.workers_still + steps * (costs.workers_moved - costs.workers_still)
    redis = polls * costs.redis_still + steps * (costs.redis_moved - costs.redis_still)
    redis += load.ends * costs.redis_fetch
    return Need(
        poll=poll / 1e6,
        transfer=load.ends * costs.transfer / 1e6,
        redis=redis / 1e6,
        cells=math.ceil(redis / 1e6 / BUSY),
        memory=load.live * costs.bytes,
        queries=60 * polls / QUERY,
    )


def costs(scale: Mapping[str, float], size: int, throughput: Mapping[str, float]) -> Costs:
    """From the figures of both benchmarks. KeyError names the one that is missing."""

    def cpu(process: str, sweep: str) -> float:
        return scale[f"{size:,}: CPU of {process} a job, {sweep}"]

    def redis(sweep: str) -> float:
        return cpu("redis", sweep) + cpu("aof rewrite", sweep)

    fastest = max(throughput, key=lambda n: throughput[n] if "and committed" in n else 0.0)
    begin = f"{fastest.rpartition(':')[0]}: CPU of "
    each = {n: v for n, v in throughput.items() if n.startswith(begin) and n.endswith(" a job")}
    return Costs(
        workers_still=cpu("workers", "nothing changes"),
        workers_moved=cpu("workers", "all change"),
        redis_still=redis("nothing changes"),
        redis_moved=redis("all change"),
        transfer=sum(v for n, v in each.items() if n.startswith(f"{begin}transfer")),
        redis_fetch=each[f"{begin}redis a job"],
        bytes=scale[f"{size:,}: Redis a job, ended, all of it kept"],
    )


def sizes(scale: Mapping[str, float]) -> list[int]:
    found = {int(m[1].replace(",", "")) for n in scale if (m := re.match(r"([\d,]+): CPU of ", n))}
    return sorted(found)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks capacity")
    parser.add_argument("--scale", type=Path, required=True, help="what scale --json has written")
    parser.add_argument("--throughput", type=Path, required=True, help="and throughput --json")
    parser.add_argument("--live", default="100000,1000000,10000000,100000000", help="live jobs")
    parser.add_argument("--hours", type=float, default=6.0, help="from submitted to ended")
    parser.add_argument("--interval", type=float, default=60.0, help="seconds between two polls")
    given = parser.parse_args(argv)
    try:
        scale, throughput = _read(given.scale), _read(given.throughput)
        measured = sizes(scale)
        found = costs(scale, measured[-1], throughput)
        checked = _checked(scale, throughput, measured)
    except (OSError, ValueError, KeyError, IndexError) as error:
        parser.error(f"not what those benchmarks write: {error!r}")
    print(f"costs a job at {measured[-1]:,} live jobs, µs of CPU, bytes of Redis: {found}\n")
    print(f"{'live jobs':>12} {'ends/s':>8} {'poll cores':>11} {'transfer':>9} {'Redis cores':>12}"
          f" {'Redis processes':>16} {'memory':>9} {'queries/min':>12}")  # fmt: skip
    for live in map(int, given.live.split(",")):
        load = Load(live, given.hours * 3600, given.interval)
        n = need(load, found)
        print(f"{live:>12,} {load.ends:>8,.0f} {n.poll:>11.2f} {n.transfer:>9.2f} {n.redis:>12.2f}"
              f" {n.cells:>16} {n.memory / 2**30:>6.1f} GiB {n.queries:>12,.0f}")  # fmt: skip
    return checked


def _checked(scale: Mapping[str, float], throughput: Mapping[str, float], at: list[int]) -> int:
    """What the smaller sizes foretell of the largest; exit code 1 if it is too far off."""
    missed = 0
    for small in at[:-1]:
        was, now = costs(scale, small, throughput), costs(scale, at[-1], throughput)
        for what in ("workers_still", "workers_moved", "redis_still", "redis_moved", "bytes"):
            ratio = getattr(now, what) / getattr(was, what)
            well = 1 / OFF <= ratio <= OFF
            missed += not well
            print(f"{what:14} at {at[-1]:,} over what {small:,} foretell: {ratio:.2f}"
                  f" (bound {OFF:g}: {'OK' if well else 'MISSED'})")  # fmt: skip
    return 1 if missed else 0


def _read(path: Path) -> dict[str, float]:
    """The single figures; distributions and profiles stand beside them."""
    found = json.loads(path.read_text())
    return {name: float(one["value"]) for name, one in found.items() if "value" in one}
