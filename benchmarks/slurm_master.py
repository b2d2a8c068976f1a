"""``python -m benchmarks slurm-master``: one Ganga master of 2,000 real Slurm jobs, to its merge.

A real Slurm, a whole ``gangamon up`` with the Slurm backend's own limits, and a Ganga session with
the adapter, which submits through Ganga's own Slurm class, waits, and has all outputs merged. Then
what the update stream said of each job is held against Slurm's file of completed jobs, and the
merged file against what Ganga's own merger makes of the same outputs.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import figures
from benchmarks.demo.audit import audit, same_but_time
from benchmarks.outages.judge import Run, Said, unsaid, untruths
from benchmarks.outages.slurm import on_record
from benchmarks.support import Verdict, parser
from gangamon.client import Client
from gangamon.domain.status import FINAL, JobStatus
from gangamon.protocols import Lag
from tests.integration.backends import slurm
from tests.integration.ganga.service import Service
from tests.integration.ganga.session import Session

#: Jobs at the same time on each of the two nodes.
SLOTS = 20

#: An end is noticed within so many intervals, in 99 of 100 cases (docs/lanes.md).
PROMISE = 1.2

#: Seconds for which the session waits for the end, and so many more for each job.
LIMIT, EACH = 300.0, 0.4

SCRIPT = """
j = Job(application=Executable(exe="/bin/sh"), backend=Slurm(), name="many")
command = "echo out $0; sleep %d"
j.splitter = ArgSplitter(args=[["-c", command % (i % 10), str(i)] for i in range({jobs})])
j.postprocessors.append(TextMerger(files=["stdout"]))
runMonitoring()
begun = time.time()
j.submit()
facts["submitted"] = time.time() - begun
until(lambda: j.status in ("completed", "failed", "killed"), {limit}, "the job is over")
facts["over"] = time.time() - begun
facts.update(job=j.id, status=j.status, states=states(j), merged=j.outputdir + "stdout")
facts["ids"] = [s.backend.id for s in j.subjobs]
facts["brought"] = sum(
    os.path.exists(s.outputdir + ".gangamon-manifest.json") for s in j.subjobs
)
if j.status == "completed":
    TextMerger(files=["stdout"]).merge(j.subjobs, outputdir=os.getcwd())
    facts["reference"] = os.path.join(os.getcwd(), "stdout")
"""


def main(argv: list[str]) -> int:
    options = parser("slurm-master")
    options.add_argument("--jobs", type=int, help="default 2000; --quick 100")
    given = options.parse_args(argv)
    jobs = given.jobs or (100 if given.quick else 2000)
    if absent := slurm.missing(slurm.NEEDED):
        print(f"not run: not installed: {', '.join(absent)}")
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends what was started
    verdict = Verdict()
    cluster = slurm.Slurm("master", slots=SLOTS, looks=60, most=2 * jobs + 1000)
    with slurm.running(cluster), _service(cluster) as service:
        print(f"{cluster.run('squeue', '--version')}, {jobs} jobs, {2 * SLOTS} at the same time")
        with tempfile.TemporaryDirectory(prefix="gm-bench-") as place:
            session = Session(Path(place), service.environ)
            with session.gangarc.open("a") as file:
                # The wrapper looks that often for the end of the application.
                file.write("[Slurm]\nheartbeat_frequency = 0.5\n")
            limit = LIMIT + EACH * jobs
            script = SCRIPT.format(jobs=jobs, limit=limit)
            facts = session.run(script, within=limit + 300).facts
            _merged(facts, jobs, verdict)
            client = service.client()
            broken = audit(client, session.repository, facts["job"])
            for line in broken[:10]:
                print(f"FAULT {line}")
            verdict.bound("broken promises (stream and store)", len(broken), 0, "")
            said = _said(client, session.repository, facts)
        _truth(said, on_record(cluster, facts["ids"]), verdict)
        _pace(client.detections(f"Slurm|{cluster.name}|-"), verdict)
    return verdict.end(given.json)


@contextmanager
def _service(cluster: slurm.Slurm) -> Iterator[Service]:
    """On a host with that cluster's commands."""
    service = Service()
    service.environ.update({k: cluster.environ[k] for k in ("PATH", "SLURM_CONF")})
    try:
        service.up()
        yield service
    finally:
        service.close()


def _said(client: Client, repository: str, facts: Mapping[str, Any]) -> Mapping[str, list[Said]]:
    """The whole update stream of the master, by Slurm's ids."""
    stories: dict[str, list[Said]] = defaultdict(list)
    follower = client.follow(repository, "0")
    while updates := follower.read(count=1000):
        for update in updates:
            if update.master == facts["job"]:
                for job in update.jobs:
                    stories[facts["ids"][job.sub]].append(Said(update.at, job.status))
    assert not follower.missed
    return stories


def _merged(facts: Mapping[str, Any], jobs: int, verdict: Verdict) -> None:
    print(f"master {facts['status']}; subjobs: {dict(Counter(facts['states']))}")
    verdict.note("submitted by Ganga within", facts["submitted"], "s")
    verdict.note("from the begin to the merged output", facts["over"], "s")
    verdict.at_least("completed in Ganga", facts["states"].count("completed"), jobs, "jobs")
    verdict.at_least("outputs taken in", facts["brought"], jobs, "jobs")
    verdict.at_least("Slurm's ids, each once", len(set(facts["ids"])), jobs, "jobs")
    merged = Path(facts["merged"])
    lines = [line for line in merged.read_text().splitlines() if line.startswith("out ")]
    in_order = lines == [f"out {n}" for n in range(jobs)]
    verdict.at_least("all outputs in the merged file, in order, once", in_order, 1, "")
    same = "reference" in facts and same_but_time(merged, Path(facts["reference"]))
    verdict.at_least("the merged file is what Ganga's merger makes", same, 1, "")


def _truth(
    said: Mapping[str, list[Said]], record: Mapping[str, list[Run]], verdict: Verdict
) -> None:
    for fault in untruths(said, record)[:10] + unsaid(said, record)[:10]:
        print(f"FAULT {fault}")
    verdict.bound("false ends at any moment", len(untruths(said, record)), 0, "statuses")
    verdict.bound("without their end, or another", len(unsaid(said, record)), 0, "jobs")
    noticed, fetched = [], []
    for job, runs in record.items():
        if not runs or job not in said:
            verdict.bound(f"job {job} on record and in the stream", float("nan"), 0, "")
            continue
        after = [one for one in said[job] if one.at >= runs[-1].ended - 1]
        ends = [one.at for one in after if one.status in (*FINAL, JobStatus.COMPLETING)]
        noticed += [min(ends) - runs[-1].ended] if ends else []
        final = [one.at for one in after if one.status in FINAL]
        fetched += [min(final) - runs[-1].ended] if final else []
    # Slurm's record has whole seconds, rounded down.
    print(figures.line("end on record to the update stream", noticed, "s"))
    print(figures.line("the same, to completed (fetched)", fetched, "s"))
    for name, values in (("noticed", noticed), ("fetched", fetched)):
        for part in (0.5, 0.99, 1.0):
            at = f"end on record to {name}, p{100 * part:.0f}"
            verdict.note(at, figures.quantile(values, part), "s")


def _pace(detections: list[Lag], verdict: Verdict) -> None:
    """Of those that were asked about before they ended."""
    ratios = [lag.seconds / lag.interval for lag in detections if lag.interval]
    verdict.note("ended before the first query about them", len(detections) - len(ratios), "jobs")
    verdict.bound("end to commit, p99", figures.quantile(ratios, 0.99), PROMISE, "intervals")
