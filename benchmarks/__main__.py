"""``python -m benchmarks NAME [options]``: run one, or list them."""

from __future__ import annotations

import importlib
import sys

#: name -> (module, what it shows)
NAMES = {
    "demo": (
        "benchmarks.demo.run",
        "the main job end to end, on real Ganga (--chaos, --subjobs N)",
    ),
    "scale": (
        "benchmarks.scale",
        "what a sweep over 10,000 and 100,000 live jobs costs (--jobs N,N, --quick, --json FILE)",
    ),
    "capacity": (
        "benchmarks.capacity",
        "what so many live jobs take, by the costs that scale and throughput measured (FILES)",
    ),
    "backends": (
        "benchmarks.backends.run",
        "one poll of a real batch system beside the bare command (--only NAME, --jobs N,N)",
    ),
    "outages": (
        "benchmarks.outages.run",
        "500 jobs of real batch systems that are taken away (--only NAME, --jobs N)",
    ),
    "slurm-master": (
        "benchmarks.slurm_master",
        "2,000 real Slurm jobs of one Ganga master, to the merged output (--jobs N, --quick)",
    ),
    "merge-root": (
        "benchmarks.merge_root",
        "1,000 ROOT files merged, beside hadd or plain uproot (--files N, --quick, --json FILE)",
    ),
    "politeness": (
        "benchmarks.politeness",
        "queries a minute with 1 to 16 threads and 3 worker processes (--quick, --json FILE)",
    ),
    "throughput": (
        "benchmarks.throughput",
        "jobs a second noticed, fetched and committed, and what limits it (--rate, --threads)",
    ),
    "fairness": (
        "benchmarks.fairness",
        "20 small owners beside one with 5,000 batches (--quick, --json FILE)",
    ),
    "page": (
        "benchmarks.page",
        "the job page over 100,000 subjobs with 20 viewers, in Chromium (--quick, --json FILE)",
    ),
    "hanging": (
        "benchmarks.hanging",
        "a lane's lag beside more silent lanes than poll threads (--quick, --json FILE)",
    ),
    "session": (
        "benchmarks.session.run",
        "a user types while 10,000 subjobs change (--subjobs N, --stock-subjobs N, --quick)",
    ),
    "upstream": (
        "benchmarks.upstream.run",
        "Ganga's own tests, from its repository, with and without the adapter (TREE)",
    ),
    "torture": (
        "benchmarks.torture.run",
        "50,000 jobs under kill -9 of all there is (--minutes N, --jobs N, --seed N, --emptied)",
    ),
    "failover": (
        "benchmarks.failover",
        "the Redis master killed under load, with Sentinel (--jobs N, --seed N, --json FILE)",
    ),
    "rolling": (
        "benchmarks.rolling",
        "all workers restarted one after the other during live jobs (--jobs N, --json FILE)",
    ),
    "killed": (
        "benchmarks.killed.run",
        "kill -9 of a session while its subjobs change (--kills N, --subjobs N, --seed N)",
    ),
    "truth": (
        "benchmarks.truth",
        "jobs of a backend that lies in every way: nothing untrue is said (--jobs N)",
    ),
    "stages": (
        "benchmarks.stages.run",
        "kill -9 in fetch, check, merge and notify over 1,000 jobs (--quick, --json FILE)",
    ),
    "merge": (
        "benchmarks.merge",
        "10,000 text files against cat, and merging while jobs run (--only, --quick, --json FILE)",
    ),
    "fetch": (
        "benchmarks.fetch.run",
        "outputs from here and 50 ms away, beside cp, curl, xrdcp (--only, --quick, --json FILE)",
    ),
    "vs-ganga": (
        "benchmarks.vs_ganga.run",
        "the same jobs watched by stock Ganga and by gangamon (--subjobs N,N, --quick)",
    ),
}


def main(argv: list[str]) -> int:
    if not argv or argv[0] not in NAMES:
        for name, (_, what) in NAMES.items():
            print(f"{name:12} {what}")
        return 0 if not argv or argv[0] in ("-h", "--help") else 2
    module = importlib.import_module(NAMES[argv[0]][0])
    result: int = module.main(argv[1:])
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
