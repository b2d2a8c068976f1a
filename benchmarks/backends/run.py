"""``python -m benchmarks backends``: what gangamon adds to the command of a batch system.

For each batch system that can be had here, with 100, 1,000 and 10,000 jobs queued: one poll, which
is the query and the reading of its answer, beside the bare command, the very words that the poll
runs, in turns in one process; then what the service adds to that, with a real Redis: reading what
is known of the jobs, judging, and the commit; then how often the server is asked in a minute by
real workers with the limits that the backend comes with.
"""

from __future__ import annotations

import getpass
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks import figures
from benchmarks.backends.counting import Counted
from benchmarks.backends.servers import SERVERS, Server
from benchmarks.support import REPOSITORY, Service, Verdict, parser, until
from gangamon import backends
from gangamon.backends.command import Commands
from gangamon.domain.command import BATCH_SIZE, Enqueue, JobSpec, Register
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Observation, Seen
from gangamon.domain.status import JobStatus
from gangamon.protocols import Backend, Claim, PollItem
from gangamon.services.clock import SystemClock
from gangamon.services.due import Capacity, Dispatcher, members_of
from gangamon.services.leases import LeaseKeeper
from gangamon.services.poll import Poll

OWNER = getpass.getuser()
SIZES = (100, 1_000, 10_000)

#: A poll may take this many times the bare command, so much more, ms, and so much a job, ms.
TIMES, MORE_MS, JOB_MS = 1.2, 30.0, 0.01

ROUNDS, QUICK_ROUNDS = 60, 15

#: Seconds over which calls are counted.
WINDOW = 60.0


def main(argv: list[str]) -> int:
    options = parser("backends")
    options.add_argument("--only", default="", help=f"of {', '.join(SERVERS)}; default: all")
    options.add_argument("--jobs", default="", help="sizes; default 100,1000,10000")
    given = options.parse_args(argv)
    wanted = given.only.split(",") if given.only else list(SERVERS)
    if strange := [name for name in wanted if name not in SERVERS]:
        options.error(f"--only: got {strange[0]!r}; accepted: {', '.join(SERVERS)}")
    words = given.jobs.split(",") if given.jobs else []
    if strange := [word for word in words if not word.isdecimal() or not int(word)]:
        options.error(f"--jobs: got {strange[0]!r}; accepted: numbers from 1 on, as 100,1000")
    sizes = [int(word) for word in words] or list(SIZES)
    if given.quick and not given.jobs:
        sizes = sizes[:2]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends what was started
    verdict = Verdict()
    for name in wanted:
        try:
            with SERVERS[name]() as server:
                _measure(name, server, sizes, QUICK_ROUNDS if given.quick else ROUNDS, verdict)
        except LookupError as missing:
            print(f"{name}: not run: not installed: {missing}")
            verdict.missed += bool(given.only)
    return verdict.end(given.json)


def _measure(name: str, server: Server, sizes: list[int], rounds: int, verdict: Verdict) -> None:
    ids: list[str] = []
    with _environ(server.environ):
        version = subprocess.run(server.version, capture_output=True, text=True, check=False)
        print(f"\n{name}: {' '.join(version.stdout.split()[:6])}")
        for size in sorted(sizes):
            begun = time.monotonic()
            ids += server.fill(size - len(ids))
            print(f"{size:,} jobs queued within {time.monotonic() - begun:.0f} s", flush=True)
            _query(name, server, ids, rounds, verdict)
            _commit(name, server, ids, verdict)
    _calls(name, server, ids, verdict)


def _query(name: str, server: Server, ids: Sequence[str], rounds: int, verdict: Verdict) -> None:
    backend, lane = backends.load(name), Lane(name, server.endpoint)
    items = [
        PollItem(f"1.{n}", id_, JobStatus.SUBMITTED, "/none", home=f"{OWNER}:{REPOSITORY}")
        for n, id_ in enumerate(ids)
    ]
    backend.poll(lane, items)  # what is asked once an hour is not looked at here
    ran: list[tuple[Any, tuple[str, ...]]] = []
    run = Commands.run

    def noted(self: Commands, *words: str) -> str:
        ran.append((self._dialect, words))
        return run(self, *words)

    with mock.patch.object(Commands, "run", noted):
        answers = backend.poll(lane, items)
    assert all(isinstance(answer, Seen) for answer in answers.values()), "a job was not seen"
    polls: list[float] = []
    bare: list[float] = []
    for _ in range(rounds):
        begun = time.perf_counter()
        for dialect, words in ran:
            subprocess.run(words, env=dialect.environ(), stdout=subprocess.PIPE, check=True)
        between = time.perf_counter()
        backend.poll(lane, items)
        polls.append(1000 * (time.perf_counter() - between))
        bare.append(1000 * (between - begun))
    at = f"{name}, {len(ids):,} jobs"
    print(figures.line(f"{at}: {ran[0][1][0]}, bare", bare, "ms"))
    print(figures.line(f"{at}: one poll", polls, "ms"))
    middle, best = figures.quantile(polls, 0.5), figures.quantile(bare, 0.5)
    verdict.note(f"{at}: bare command, median", best, "ms")
    verdict.note(f"{at}: one poll / bare command, median", middle / best, "times")
    most = TIMES * best + MORE_MS + JOB_MS * len(ids)
    verdict.bound(f"{at}: one poll, median", middle, most, "ms")


class _Timed:
    """A backend, and how long its polls took (seconds)."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.name, self.limits, self.took = backend.name, backend.limits, 0.0

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        begun = time.perf_counter()
        try:
            return self._backend.poll(lane, items)
        finally:
            self.took += time.perf_counter() - begun

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        return self._backend.second_source(lane, items)


class _Claims:
    """A queue from which the benchmark takes the claims itself."""

    def __init__(self) -> None:
        self.sent: list[Claim] = []

    def send(self, claim: Claim) -> None:
        self.sent.append(claim)


def _commit(name: str, server: Server, ids: Sequence[str], verdict: Verdict) -> None:
    """What the service adds to the poll, in this process."""
    timed, claims = _Timed(backends.load(name)), _Claims()
    lane = Lane(name, server.endpoint)
    with Service() as service:
        store = service.store
        masters = _enqueue(service, lane, ids)
        dispatcher = Dispatcher(store, claims, lambda _: timed, Capacity(1, 1, 60.0))
        poll = Poll(store, LeaseKeeper(store, 60.0), dispatcher, lambda _: timed, SystemClock())
        for what in ("first seen", "nothing changes"):
            if what != "first seen":
                for master in masters:
                    store.refresh(OWNER, REPOSITORY, master)
            timed.took = 0.0
            begun = time.perf_counter()
            dispatcher.push([f"poll.{lane}"])
            while claims.sent:
                poll.run(claims.sent.pop(0).token, "bench")
            rest = time.perf_counter() - begun - timed.took
            verdict.note(
                f"{name}, {len(ids):,} jobs: claim, judge, commit: {what}", 1000 * rest, "ms"
            )


def _enqueue(service: Service, lane: Lane, ids: Sequence[str]) -> range:
    """As masters of 1,000; their numbers."""
    store = service.store
    store.register(OWNER, Register("r", REPOSITORY, ("/data",)))
    for first in range(0, len(ids), BATCH_SIZE):
        master, sub = divmod(first, 1000)
        specs = (
            JobSpec(sub + n, 1, JobStatus.SUBMITTED, id_, {})
            for n, id_ in enumerate(ids[first : first + BATCH_SIZE])
        )
        faults = store.enqueue(
            OWNER,
            "",
            Enqueue(
                *(f"e{first}", REPOSITORY, master, min(1000, len(ids) - master * 1000), "bench"),
                *(lane, f"/data/gangadir/workspace/bench/LocalXML/{master}", (), tuple(specs)),
            ),
        )
        assert not faults, faults
    return range(-(-len(ids) // 1000))


def _calls(name: str, server: Server, ids: Sequence[str], verdict: Verdict) -> None:
    """Real workers, the backend's own limits."""
    limits, lane = backends.load(name).limits, Lane(name, server.endpoint)
    with tempfile.TemporaryDirectory(prefix="gm-bench-") as folder:
        counted = Counted(Path(folder), server)
        with Service(variables=counted.environ) as service:
            _enqueue(service, lane, ids)
            service.workers({"tick": ("tick", 2), "poll": (f"poll.{name}", 4)})
            until(lambda: service.store.lane(str(lane)).asked_at, 60, "the lane was asked")
            before = counted.calls()
            time.sleep(WINDOW)
            calls = counted.calls() - before
            error = service.store.lane(str(lane)).error
    assert not error, error
    queries = -(-len(ids) // (members_of(limits) * BATCH_SIZE))
    per_minute = 60 / WINDOW
    told = ", ".join(f"{program} {count}" for program, count in sorted(calls.items()))
    print(f"{name}, {len(ids):,} jobs: calls in {WINDOW:.0f} s: {told or 'none'}")
    # The window may begin just before a query.
    most = (WINDOW / limits.cadence.floor + 1) * queries * per_minute
    at = f"{name}, {len(ids):,} jobs: server calls"
    verdict.bound(at, sum(calls.values()) * per_minute, most, "a minute")
    verdict.note(f"{at}, the lane's budget", 60 * limits.rate, "a minute")


@contextmanager
def _environ(environ: Mapping[str, str]) -> Iterator[None]:
    with mock.patch.dict("os.environ", environ, clear=True):
        yield
