"""``python -m benchmarks scale``: what a sweep over all live jobs costs, and what they weigh.

The state is filled by the store's own verb, the work is done by real Celery workers and beat. The
backend (``benchmarks.instant``) answers at once within the worker; what it takes to make its
answers is timed apart and taken off. A sweep: every batch is due, each is asked about and
committed once.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import figures
from benchmarks.instant import InstantBackend, install
from benchmarks.support import OWNER, REPOSITORY, Service, Verdict, parser, until
from gangamon.domain.command import BATCH_SIZE, Enqueue, JobSpec, Register
from gangamon.domain.lane import Lane
from gangamon.domain.status import JobStatus
from gangamon.protocols import Polite, PollItem

#: Most jobs of one master.
MASTER = 10_000

#: The slots of a lane that are the default, and no budget: what is asked is how fast it can be.
TOML = """[backends.Instant]
rate = 1e6
burst = 1000000
"""
THREADS = 8
VARIABLES = {"GANGAMON_WORKERS_POLL_THREADS": "16", "GANGAMON_WORKERS_LEASE_SECONDS": "120"}

#: Bounds, CPU seconds per 100,000 jobs.
STILL, CHANGING = 5.0, 10.0
BYTES, CLAIM_MS, SCRIPT_MS = 600, 2.0, 20.0

#: From so many jobs on Redis's size is theirs: about 1 MB is connections', scripts' and queues'.
MANY = 100_000

#: The cost of a job at the largest size, over that at the smallest.
FLAT = 1.25

#: Sizes below MANY are run so often: a sweep over 10,000 is a second, and no two are alike.
REPEATS = 5


@dataclass
class Sweep:
    """``cpu``: seconds by process. ``client``: of it, the backend's own."""

    wall: float
    cpu: dict[str, float]
    client: float

    @property
    def net(self) -> float:
        return sum(self.cpu.values()) - self.client


@dataclass
class Run:
    """One size. ``scripts``: verb -> milliseconds that Redis took for it, as far as logged."""

    jobs: int
    claims: list[float] = field(default_factory=list)
    scripts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    sweeps: dict[str, Sweep] = field(default_factory=dict)
    bytes: dict[str, float] = field(default_factory=dict)


def main(argv: list[str]) -> int:
    options = parser("scale")
    options.add_argument("--jobs", default="", help="sizes; default 10000,100000")
    given = options.parse_args(argv)
    sizes = [int(size) for size in (given.jobs or "10000,100000").split(",")]
    if given.quick and not given.jobs:
        sizes = sizes[:1]
    verdict = Verdict()
    runs = [_runs(size, 1 if given.quick else REPEATS) for size in sizes]
    for run in runs:
        _report(run, verdict)
    if len(runs) > 1:
        print()
        for name in runs[0].sweeps:
            each = [run.sweeps[name].net / run.jobs for run in runs]
            verdict.bound(
                f"{name}: a job at {runs[-1].jobs:,} / at {runs[0].jobs:,}",
                each[-1] / each[0], FLAT, "times",
            )  # fmt: skip
    return verdict.end(given.json)


def _runs(jobs: int, repeats: int) -> Run:
    """Small sizes several times; of each sweep the one of median cost."""
    if jobs >= MANY or repeats == 1:
        return _run(jobs)
    runs = [_run(jobs) for _ in range(repeats)]
    merged = Run(jobs, bytes=runs[0].bytes)
    for run in runs:
        merged.claims += run.claims
        for verb, times in run.scripts.items():
            merged.scripts[verb] += times
    for name in runs[0].sweeps:
        alike = sorted((run.sweeps[name] for run in runs), key=lambda sweep: sweep.net)
        merged.sweeps[name] = alike[len(alike) // 2]
    return merged


def _run(jobs: int) -> Run:
    run = Run(jobs)
    with tempfile.TemporaryDirectory(prefix="gm-bench-") as name:
        folder = Path(name)
        code = folder / "status"
        code.write_text("Waiting")
        lane = Lane("Instant", str(code))
        with Service(TOML, install(folder / "plugins"), VARIABLES) as service:
            service.redis.config_set("slowlog-max-len", 20_000)
            empty = _memory(service)
            _fill(service, lane, jobs)
            _collect(service, run)
            run.bytes["taken in"] = (_memory(service) - empty) / jobs
            _claims(service, lane, run)
            service.workers({"tick": ("tick", 2), "poll": ("poll.Instant", THREADS)})
            # What was taken in is now seen for the first time: not counted, but looked at closely.
            _sweep(service, lane, run, "first", 0)
            _sweep(service, lane, run, "nothing changes", 1000)
            code.write_text("Running")
            _sweep(service, lane, run, "all change", 1000)
            code.write_text("Killed")
            _sweep(service, lane, run, "all end", 1000)
            key = service.store.keys.updates(OWNER, REPOSITORY)
            stream = int(service.redis.memory_usage(key, samples=0) or 0) / jobs
            run.bytes["the update stream after two transitions"] = stream
            run.bytes["ended"] = (_memory(service) - empty) / jobs - stream
            _check(service, jobs)
    return run


def _fill(service: Service, lane: Lane, jobs: int) -> None:
    begun = time.monotonic()
    service.store.register(OWNER, Register("r", REPOSITORY, ("/data",)))
    for first in range(0, jobs, BATCH_SIZE):
        master, sub = divmod(first, MASTER)
        subs = range(sub, min(sub + BATCH_SIZE, MASTER))
        command = Enqueue(
            f"e{first}", REPOSITORY, master, min(MASTER, jobs - master * MASTER), "bench", lane,
            f"/data/gangadir/workspace/bench/LocalXML/{master}", (),
            tuple(JobSpec(n, 1, JobStatus.SUBMITTED, str(first + n - sub), {}) for n in subs),
        )  # fmt: skip
        faults = service.store.enqueue(OWNER, "", command)
        assert not faults, faults
    print(f"\n{jobs:,} jobs taken in within {time.monotonic() - begun:.1f} s", flush=True)


def _claims(service: Service, lane: Lane, run: Run) -> None:
    """Claims of ten batches from all that is due, each given back at once."""
    store, queue = service.store, f"poll.{lane}"
    polite = Polite(8, 1e6, 1_000_000)
    for _ in range(500):
        begun = time.perf_counter()
        claim = store.claim(queue, 10, 60.0, 8, polite)
        run.claims.append((time.perf_counter() - begun) * 1000)
        assert claim is not None
        for member in claim.members:
            store.postpone(claim.token, queue, member, 0)
    service.redis.delete(store.keys.of("tries", queue))


def _sweep(service: Service, lane: Lane, run: Run, name: str, threshold: int) -> None:
    """``threshold``: microseconds from which Redis logs a command."""
    store, queue = service.store, f"poll.{lane}"
    due = store.keys.waiting(queue, f"{OWNER}:")
    batches = -(-run.jobs // BATCH_SIZE)
    store.pause(str(lane), "all is made ready", None)
    for master in range(-(-run.jobs // MASTER)):
        store.refresh(OWNER, REPOSITORY, master)
    until(lambda: service.redis.zcount(due, "-inf", time.time() * 1000) == batches, 10, "all due")
    service.redis.config_set("slowlog-log-slower-than", threshold)
    before, begun = service.cpu(), time.monotonic()
    store.resume(str(lane))

    def over() -> bool:
        waiting = service.redis.zcount(due, "-inf", time.time() * 1000)
        # A slot is free with the answer, a claim is over with its last commit.
        tokens = service.redis.zrange(store.keys.of("leases"), 0, -1)
        held = (service.redis.hget(store.keys.of("claim", str(token)), "q") for token in tokens)
        return waiting == 0 and queue not in held

    until(over, 60 + run.jobs / 500, f"{name} of {run.jobs}")
    wall, after = time.monotonic() - begun, service.cpu()
    service.redis.config_set("slowlog-log-slower-than", 1000)
    _collect(service, run)
    cpu = {process: after[process] - before[process] for process in after}
    run.sweeps[name] = Sweep(wall, cpu, _client(lane, run.jobs))
    print(f"{name}: {wall:.1f} s", flush=True)


def _client(lane: Lane, jobs: int) -> float:
    """CPU seconds in which the backend makes its answers about so many jobs."""
    backend, status = InstantBackend(), JobStatus.RUNNING
    items = [PollItem(f"1.{n}", str(n), status, "/d", home="bench:r") for n in range(1000)]
    begun = time.process_time()
    for _ in range(20):
        backend.poll(lane, items)
    return (time.process_time() - begun) / 20_000 * jobs


def _collect(service: Service, run: Run) -> None:
    """Empty Redis's log of slow commands."""
    verbs = {script.sha: verb for verb, script in service.store._scripts._scripts.items()}
    for entry in service.redis.slowlog_get(20_000):
        words = entry["command"].split(b" ", 2)
        if words[0].upper() == b"EVALSHA":
            run.scripts[verbs.get(words[1].decode(), "?")].append(entry["duration"] / 1000)
    service.redis.slowlog_reset()


def _memory(service: Service) -> int:
    """Bytes in use, those of connections and of the AOF's buffer aside."""
    found = service.redis.info("memory")
    aside = ("mem_clients_normal", "mem_aof_buffer")
    return int(found["used_memory"]) - sum(int(found[name]) for name in aside)


def _check(service: Service, jobs: int) -> None:
    """The figures count only if all was done."""
    killed = sum(
        master.counts.get(JobStatus.KILLED, 0)
        for number in range(-(-jobs // MASTER))
        if (master := service.store.master(OWNER, REPOSITORY, number))
    )
    assert killed == jobs, f"{killed} of {jobs} ended"


def _report(run: Run, verdict: Verdict) -> None:
    at = f"{run.jobs:,}"
    share = run.jobs / 100_000
    print(f"\n{at} jobs")
    for name, sweep in run.sweeps.items():
        parts = ", ".join(f"{process} {cpu:.2f}" for process, cpu in sweep.cpu.items())
        print(
            f"{name:16} {sweep.wall:7.2f} s wall  {run.jobs / sweep.wall:8.0f} jobs/s  CPU-s: "
            f"{parts}; of it the backend's client {sweep.client:.2f}; "
            f"{1e6 * sweep.net / run.jobs:.1f} µs a job"
        )
    for name, most in (("nothing changes", STILL), ("all change", CHANGING)):
        net = run.sweeps[name].net / share
        verdict.bound(f"{at}: CPU for 100,000 jobs, {name}", net, most, "s")
        verdict.note(f"{at}: wall, {name}", run.sweeps[name].wall, "s")
    for name, sweep in run.sweeps.items():
        rewriting = sweep.cpu.get("aof rewrite", 0.0)
        redis = sweep.cpu["redis"]
        rest = sweep.net - redis - rewriting
        for process, cpu in (("redis", redis), ("aof rewrite", rewriting), ("workers", rest)):
            verdict.figures[f"{at}: CPU of {process} a job, {name}"] = {
                "value": 1e6 * cpu / run.jobs, "unit": "µs",
            }  # fmt: skip
    for name, size in run.bytes.items():
        if name != "ended":
            verdict.note(f"{at}: Redis a job, {name}", size, "bytes")
    kept = f"{at}: Redis a job, ended, all of it kept"
    if run.jobs >= MANY:
        verdict.bound(kept, run.bytes["ended"], BYTES, "bytes")
    else:
        verdict.note(kept, run.bytes["ended"], "bytes")
    print(figures.line("claim, as its client sees it", run.claims, "ms"))
    for verb, times in sorted(run.scripts.items()):
        print(figures.line(f"{verb}, in Redis, as logged", times, "ms"))
    verdict.bound(f"{at}: claim p50", figures.quantile(run.claims, 0.5), CLAIM_MS, "ms")
    verdict.bound(f"{at}: claim p99", figures.quantile(run.claims, 0.99), CLAIM_MS, "ms")
    longest = max((max(times) for times in run.scripts.values() if times), default=0.0)
    verdict.bound(f"{at}: longest script", longest, SCRIPT_MS, "ms")
