"""``python -m benchmarks fairness``: 20 small owners beside one with 5,000 batches, in one lane.

The real store and dispatcher; the backend answers at once; the lane's budget bears fewer claims
than the hog alone would take. The same once more with all batches in one owner's name: the ring
has nobody to be fair to, and what is left is a plain first-come order.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from benchmarks import figures
from benchmarks.support import OWNER, REPOSITORY, Service, Verdict, parser
from gangamon.domain.cadence import Cadence
from gangamon.domain.command import Enqueue, JobSpec, Register
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Observation, Seen
from gangamon.domain.status import JobStatus
from gangamon.protocols import Backend, Claim, Limits, PollItem
from gangamon.services.clock import SystemClock
from gangamon.services.due import Capacity, Dispatcher
from gangamon.services.leases import LeaseKeeper
from gangamon.services.poll import Poll
from gangamon.store.redis import RedisStore

SMALL, HOG = 20, 5000
INTERVAL = 2.0

#: Claims of ten batches a second: 60 an interval, where the hog alone has 500.
RATE = 30.0
LANE = Lane("Scripted", "here")

#: Intervals in which each small owner must be served.
BOUND = 2.0


@dataclass
class Waits:
    """Of one kind of batch: from due to asked. ``gaps``: intervals between two answers."""

    claims: list[float] = field(default_factory=list)
    intervals: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)


class Scripted:
    """Answers at once, and notes who was asked about, when, and in which claim."""

    name = "Scripted"

    def __init__(self) -> None:
        cadence = Cadence(floor=INTERVAL, cap=INTERVAL)
        self.limits = Limits(slots=1, rate=RATE, burst=2, cadence=cadence)
        self.claims: list[float] = []  # the time of each
        #: (owner, master, sub) -> time of each answer.
        self.asked: dict[tuple[str, int, int], list[float]] = defaultdict(list)

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        now = time.time()
        self.claims.append(now)
        for item in items:
            master, sub = map(int, item.fqid.split("."))
            self.asked[item.home.partition(":")[0], master, sub].append(now)
        seen = Seen("Running", JobStatus.RUNNING, "script")
        return {item.key: seen for item in items}

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        return {}


class Queue:
    """A TaskQueue that hands the claims to the loop below."""

    def __init__(self) -> None:
        self.claims: list[Claim] = []

    def send(self, claim: Claim) -> None:
        self.claims.append(claim)


def main(argv: list[str]) -> int:
    given = parser("fairness").parse_args(argv)
    hog = HOG // 5 if given.quick else HOG
    # Long enough for the hog to be asked about once, and half as long again.
    seconds = 1.5 * hog / 10 / RATE
    verdict = Verdict()
    demand = (hog + SMALL) / 10 / (RATE * INTERVAL)
    print(f"{hog} batches and {SMALL} of one each: {demand:.1f} times what the budget bears")
    fair = _run([f"small{n}" for n in range(SMALL)], "hog", hog, seconds)
    plain = _run([OWNER] * SMALL, OWNER, hog, seconds)
    print(f"\n{'small owner':12} {'fair: claims':>14} {'intervals':>10} {'gap':>6}   "
          f"{'first come: claims':>18} {'intervals':>10} {'gap':>6}   (longest)")  # fmt: skip
    for n in range(SMALL):
        a, b = fair[n], plain[n]
        print(f"{n:<12} {max(a.claims):14.0f} {max(a.intervals):10.2f} {max(a.gaps):6.2f}   "
              f"{max(b.claims):18.0f} {max(b.intervals):10.2f} {max(b.gaps):6.2f}")  # fmt: skip
    print()
    for name, all_of_them in (("fair", fair), ("first come", plain)):
        for who, waits in (("small", all_of_them[:SMALL]), ("hog", all_of_them[SMALL:])):
            for what, unit in (("claims", "claims"), ("intervals", "intervals")):
                values = [value for one in waits for value in getattr(one, what)]
                print(figures.line(f"{name}: {who} waits, {what}", values, unit))
    print()
    gap = max(max(one.gaps) for one in fair[:SMALL])
    wait = max(max(one.intervals) for one in fair[:SMALL])
    verdict.bound("fair: a small owner waits, at most", wait, BOUND, "intervals")
    verdict.bound("fair: between two answers, at most", gap, BOUND, "intervals")
    worst = max(max(one.gaps) for one in plain[:SMALL])
    verdict.note("first come: between two answers, at most", worst, "intervals")
    return verdict.end(given.json)


def _run(small: Sequence[str], big: str, hog: int, seconds: float) -> list[Waits]:
    """Waits of each small owner, then of the hog."""
    with Service() as service:
        # The hog has come first; its masters have other numbers than the small ones.
        for first in range(0, hog, 1000):
            for sub in range(min(1000, hog - first)):
                _enqueue(service.store, big, 100 + first // 1000, sub, 1000)
        for number, owner in enumerate(small):
            _enqueue(service.store, owner, number, 0, 1)
        backend = Scripted()
        begun = time.time()
        _work(service.store, backend, seconds)
        ended = time.time()
    claims = backend.claims
    found = [_waits([backend.asked[o, n, 0]], begun, ended, claims) for n, o in enumerate(small)]
    others = [backend.asked[big, 100 + number // 1000, number % 1000] for number in range(hog)]
    return [*found, _waits(others, begun, ended, claims)]


def _work(store: RedisStore, backend: Scripted, seconds: float) -> None:
    queue = Queue()

    def load(_: str) -> Backend:
        return backend

    dispatcher = Dispatcher(store, queue, load, Capacity(1, 1, 30.0))
    poll = Poll(store, LeaseKeeper(store, 30.0), dispatcher, load, SystemClock())
    over = time.monotonic() + seconds
    while time.monotonic() < over:
        dispatcher.push(store.queues())
        if not queue.claims:
            time.sleep(0.005)
        while queue.claims:
            poll.run(queue.claims.pop(0).token, "bench")


def _enqueue(store: RedisStore, owner: str, master: int, sub: int, total: int) -> None:
    """One batch, of one job."""
    if sub == 0:
        store.register(owner, Register("r", REPOSITORY, ("/data",)))
    spec = JobSpec(sub, 1, JobStatus.SUBMITTED, f"{master}.{sub}", {})
    command = Enqueue(
        f"e{master}.{sub}", REPOSITORY, master, total, "bench", LANE, f"/data/{master}", (), (spec,)
    )
    faults = store.enqueue(owner, "", command)
    assert not faults, faults


def _waits(
    batches: Sequence[Sequence[float]], begun: float, ended: float, claims: Sequence[float]
) -> Waits:
    """``batches``: the times of each one's answers. One that waits at the end has waited until
    then. At first each was due at ``begun``, later on the grid of the interval."""
    waits = Waits()
    for answers in batches:
        due = begun
        for at in [*answers, ended]:
            if at < due:
                continue  # it is not due again before the end
            waits.claims.append(bisect_right(claims, at) - bisect_left(claims, due))
            waits.intervals.append((at - due) / INTERVAL)
            due = (at // INTERVAL + 1) * INTERVAL
        times = [begun, *answers, ended]
        waits.gaps += [(b - a) / INTERVAL for a, b in pairwise(times)]
    return waits
