"""``python -m benchmarks throughput``: how many jobs a second are noticed, fetched and committed.

The DIRAC-like scenario, with a backend that ends more jobs a second than the two cores of a small
machine may bear, at several numbers of transfer threads. Real Celery workers, beat and Redis; no
Ganga: this is the service's own pace. Where py-spy is installed, a sampled profile of both workers
says where their time goes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from benchmarks import figures
from benchmarks.support import OWNER, Service, Verdict
from gangamon import settings
from gangamon.client import Client
from gangamon.domain.status import FINAL
from gangamon.testing.simulator.drive import Drive
from gangamon.testing.simulator.process import Simulator
from gangamon.testing.simulator.scenario import load

SCENARIO = files("gangamon.testing.simulator") / "scenarios" / "dirac.toml"
INTERVAL, THREADS = 10, 8
TOML = f"[backends.Simulated]\nfloor = {INTERVAL}\ncap = {INTERVAL}\n"

#: Of the jobs in the order of their end, those between which the pace is taken: start and drain
#: are not it.
STEADY = (0.2, 0.8)

PY_SPY = Path(sys.executable).with_name("py-spy")
#: Seconds of the profile, and the samples a second.
PROFILE, HERTZ = 8, 100


@dataclass
class Run:
    """``ended``, ``committed``: jobs a second, in the steady part. ``lags``: seconds from the end
    at the backend to the commit of the fetched output. ``profiles``: worker -> where the time of
    its busy threads goes. ``processes``, ``threads``: transfer workers, and of each."""

    processes: int
    threads: int
    ended: float = 0.0
    committed: float = 0.0
    lags: list[float] = field(default_factory=list)
    cpu: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    profiles: dict[str, list[tuple[str, float]]] = field(default_factory=dict)


def main(argv: list[str]) -> int:
    options = argparse.ArgumentParser(prog="python -m benchmarks throughput")
    options.add_argument("--jobs", type=int, default=20_000)
    options.add_argument("--rate", type=float, default=500.0, help="jobs a second that end")
    options.add_argument(
        "--threads",
        type=_transfers,
        default="8,16,32,2x16",
        help="transfer threads, one run each; 2x16: of each of two workers",
    )
    options.add_argument("--quick", action="store_true", help="5,000 jobs, 32 threads")
    options.add_argument("--json", type=Path, help="write the figures to this file")
    given = options.parse_args(argv)
    jobs, transfers = (5000, [(1, 32)]) if given.quick else (given.jobs, given.threads)
    verdict = Verdict()
    for processes, threads in transfers:
        _report(_run(jobs, given.rate, processes, threads), jobs, verdict)
    return verdict.end(given.json)


def _transfers(text: str) -> list[tuple[int, int]]:
    """Processes and threads of each: ``8,2x16`` is (1, 8), (2, 16)."""
    pairs = [part.rpartition("x") for part in text.split(",")]
    return [(int(processes or 1), int(threads)) for processes, _, threads in pairs]


def _run(jobs: int, rate: float, processes: int, threads: int) -> Run:
    run = Run(processes, threads)
    with tempfile.TemporaryDirectory(prefix="gm-bench-") as name:
        folder = Path(name)
        scenario = folder / "scenario.toml"
        text = SCENARIO.read_text(encoding="utf-8")
        text = text.replace("count = 1000\n", f"count = {jobs}\n")
        scenario.write_text(text.replace("rate = 50.0\n", f"rate = {rate}\n"))
        variables = {
            "GANGAMON_ROOTS": str(folder),
            "GANGAMON_WORKERS_TRANSFER_THREADS": str(threads),
        }
        with Service(TOML, None, variables) as service, Simulator(scenario, folder) as simulator:
            workers = {"tick": ("tick", 2), "poll": ("poll.Simulated", THREADS)}
            for number in range(processes):
                workers[f"transfer{number or ''}"] = (f"transfer.{OWNER}", threads)
            service.workers({**workers, "merge": (f"merge.{OWNER}", 1)})
            environment = {
                "GANGAMON_REDIS_URL": service.url,
                "GANGAMON_OWNER": OWNER,
                "GANGAMON_STATE_DIR": str(folder / "state"),
            }
            client = Client(settings.load(environment), folder / "spool")
            # Half-way through: when the pace is steady.
            middle = 5 + 0.5 * jobs / rate
            timer = threading.Timer(middle, _profiles, (service, run))
            before = service.cpu()
            timer.start()
            report = Drive(client, load(str(scenario)), simulator, folder).run(600.0)
            timer.join()
            after = service.cpu()
            run.seconds = report.seconds
            run.cpu = {name: after[name] - before[name] for name in after}
            _pace(client, run)
            assert report.ended == jobs and not report.untruths, report.untruths[:5]
    return run


def _pace(client: Client, run: Run) -> None:
    """From the update stream: when each job was ended, and when that was committed."""
    pairs = []
    for repository in client.repositories():
        follower = client.follow(repository, "0")
        while updates := follower.read(count=1000):
            pairs += [
                (job.ended_at, update.at)
                for update in updates
                for job in update.jobs
                if job.status in FINAL and job.ended_at
            ]
    run.lags = [at - ended for ended, at in pairs]
    run.ended = _steady([ended for ended, _ in pairs])
    run.committed = _steady([at for _, at in pairs])


def _steady(times: list[float]) -> float:
    """Events a second between two quantiles of their times."""
    ordered = sorted(times)
    first, last = (int(share * (len(ordered) - 1)) for share in STEADY)
    return (last - first) / (ordered[last] - ordered[first])


def _profiles(service: Service, run: Run) -> None:
    if not PY_SPY.exists():
        return
    found = {name: _sampler(service.pid(name)) for name in ("poll", "transfer")}
    for name, process in found.items():
        run.profiles[name] = _where(process.communicate()[0])


def _sampler(pid: int) -> subprocess.Popen[str]:
    command = [str(PY_SPY), "record", "--pid", str(pid), "--duration", str(PROFILE)]
    command += ["--rate", str(HERTZ), "--gil", "--format", "raw", "--output", "/dev/stdout"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _where(stacks: str) -> list[tuple[str, float]]:
    """Share of all samples (of a thread that holds the GIL) by the innermost function of ours,
    else of the library it is in."""
    held: Counter[str] = Counter()
    for line in stacks.splitlines():
        frames, _, count = line.rpartition(" ")
        if not count.isdecimal():
            continue
        ours = [frame for frame in frames.split(";") if "gangamon/" in frame or "workers/" in frame]
        name = ours[-1].rpartition(":")[0] if ours else "celery, kombu and below"
        held[name] += int(count)
    total = PROFILE * HERTZ
    return [(name, count / total) for name, count in held.most_common(8)]


def _report(run: Run, jobs: int, verdict: Verdict) -> None:
    name = f"{run.processes} x {run.threads} transfer threads"
    print(f"\n{name}: {jobs:,} jobs in {run.seconds:.1f} s")
    print(figures.line("end at the backend to fetched, committed", run.lags, "s"))
    verdict.note(f"{name}: ended at the backend", run.ended, "jobs/s")
    verdict.note(f"{name}: fetched and committed", run.committed, "jobs/s")
    verdict.note(f"{name}: pace against the backend", run.committed / run.ended, "times")
    for process, cpu in run.cpu.items():
        verdict.note(f"{name}: CPU of {process}", 100 * cpu / run.seconds, "% of a core")
        verdict.figures[f"{name}: CPU of {process} a job"] = {
            "value": 1e6 * cpu / jobs, "unit": "µs",
        }  # fmt: skip
    verdict.note(f"{name}: CPU a job, all processes", 1e6 * sum(run.cpu.values()) / jobs, "µs")
    for worker, shares in run.profiles.items():
        print(f"{worker}: share of the time in which a thread of it holds the GIL")
        for where, share in shares:
            print(f"  {100 * share:5.1f} %  {where}")
    verdict.figures[f"{name}: profiles"] = json.loads(json.dumps(run.profiles))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
