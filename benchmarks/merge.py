"""``python -m benchmarks merge``: merging 10,000 files, at the end and while jobs run.

``text``: TextMerger's wall time beside ``cat`` of the same files, in turns. ``running``: real
workers fetch the outputs of subjobs that end one after the other; seconds from the last fetch's
commit to the merged file, with merging while they run and without, and beside it the time that
Ganga's own merger takes for the same files. Each part is a function of (folder, files, verdict);
more kinds of merger are more parts.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks import instant
from benchmarks.support import OWNER, REPOSITORY, Service, Verdict, parser, until
from gangamon import settings
from gangamon.client import Client
from gangamon.domain.cadence import Cadence
from gangamon.domain.command import BATCH_SIZE, Enqueue, JobSpec, MergerSpec, Register
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Observation, Seen
from gangamon.domain.status import FINAL, JobStatus
from gangamon.fetchers.local import LocalFetcher
from gangamon.postprocess import growth
from gangamon.postprocess.text import TextMerger
from gangamon.protocols import Limits, MergeOrder, PollItem
from tests import ganga

FILES, QUICK, SIZE, ROUNDS = 10_000, 1000, 10_000, 5
NAME = "out.txt"
SPEC = MergerSpec("TextMerger", (NAME,))

#: Wall time against `cat`, and seconds after the last fetch.
RATIO, LATE = 1.3, 2.0

#: Subjobs a second that end, and the most that one ends after those of its neighbours, seconds.
RATE, SPREAD = 400.0, 4.0
MASTER = 7


def main(argv: list[str]) -> int:
    options = parser("merge")
    options.add_argument("--only", choices=sorted(PARTS), help="one part")
    given = options.parse_args(argv)
    verdict = Verdict()
    for name, part in PARTS.items():
        if given.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="gm-bench-") as folder:
                part(Path(folder), QUICK if given.quick else FILES, verdict)
    return verdict.end(given.json)


def outputs(root: Path, files: int) -> list[Path]:
    """Text files of SIZE bytes where the subjobs of a master in ``root`` have theirs."""
    made = []
    for sub in range(files):
        output = root / str(sub) / "output"
        output.mkdir(parents=True)
        line = f"event {sub:08d} of a job that has written what a job writes\n".encode()
        (output / NAME).write_bytes((line * (SIZE // len(line) + 1))[:SIZE])
        made.append(output / NAME)
    return made


# --- at the end -------------------------------------------------------------------------------


def text(folder: Path, files: int, verdict: Verdict) -> None:
    """In turns, so that both have the same machine; the files are in memory after the first."""
    paths = outputs(folder / "7", files)
    times: dict[str, list[float]] = {"cat": [], "cat, to the disk": [], "TextMerger": []}
    for _ in range(ROUNDS):
        times["cat"].append(_cat(paths, folder / "cat", sync=False))
        times["cat, to the disk"].append(_cat(paths, folder / "cat", sync=True))
        times["TextMerger"].append(_merge(folder / "7", paths))
    for name, taken in times.items():
        verdict.note(f"text, {files:,} files of 10 kB: {name}", median(taken), "s")
    merger = median(times["TextMerger"])
    verdict.bound("text: TextMerger against cat", merger / median(times["cat"]), RATIO, "times")
    synced = merger / median(times["cat, to the disk"])
    verdict.note("text: TextMerger against cat, to the disk", synced, "times")


def _cat(paths: Sequence[Path], target: Path, *, sync: bool) -> float:
    target.unlink(missing_ok=True)
    command = ["cat", *map(str, paths)]
    began = time.perf_counter()
    with target.open("wb") as file:
        subprocess.run(command, stdout=file, check=True)
        if sync:
            os.fsync(file.fileno())
    return time.perf_counter() - began


def _merge(root: Path, paths: Sequence[Path]) -> float:
    target = root / "output"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()  # Ganga makes it
    inputs = [
        (f"{MASTER}.{sub}", JobStatus.COMPLETED, str(path.parent)) for sub, path in enumerate(paths)
    ]
    order = MergeOrder(str(MASTER), 1, SPEC, str(target), inputs)
    began = time.perf_counter()
    TextMerger().run(order)
    return time.perf_counter() - began


# --- while jobs run ---------------------------------------------------------------------------


class EndingBackend:
    """Subjobs end RATE a second, each up to SPREAD seconds late, from the moment on that stands in
    the file which the lane's endpoint names."""

    name = "Ending"

    def __init__(self) -> None:
        self.limits = Limits(cadence=Cadence(floor=1.0, cap=1.0))

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        start, now = float(Path(lane.endpoint).read_text()), time.time()
        return {item.key: _seen(int(item.native_id), start, now) for item in items}

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        return {}


class EndingFetcher(LocalFetcher):
    """The outputs lie where they are to lie; they are listed and checksummed."""

    name = "Ending"


def _seen(number: int, start: float, now: float) -> Seen:
    end = start + number / RATE + random.Random(number).uniform(0, SPREAD)
    if now < end:
        return Seen("R", JobStatus.RUNNING, "clock")
    return Seen("CD", JobStatus.COMPLETED, "clock", ended_at=end, exit_code=0)


def running(folder: Path, files: int, verdict: Verdict) -> None:
    late, share = _late(folder / "on", files, "true")
    verdict.bound(f"running: the last of {files:,} fetched to the file", late, LATE, "s")
    verdict.at_least("running: merged before that, as seen from outside", share, 0.1, "of all")
    late, share = _late(folder / "off", files, "false")
    verdict.note("the same, merged at the end only", late, "s")
    verdict.bound("the same, merged before that", share, 0.0, "of all")
    try:
        verdict.note("the same, by Ganga's own merger in a session", _stock(folder, files), "s")
    except LookupError as missing:
        print(f"Ganga's own merger: not run: {missing}")


def _stock(folder: Path, files: int) -> float:
    """Only the merging: not how Ganga finds the files of each subjob, nor what it waits for."""
    if not ganga.VERSION:
        raise LookupError("Ganga is not installed")
    script = """
import time
from GangaCore.GPIDev.Base.Proxy import stripProxy
began = time.perf_counter()
stripProxy(TextMerger()).mergefiles(given["files"], given["target"])
result = time.perf_counter() - began
"""
    paths = [str(folder / "on" / str(MASTER) / str(n) / "output" / NAME) for n in range(files)]
    place, target = folder / "stock", folder / "stock.txt"
    place.mkdir()
    took: float = ganga.run_ganga(place, script, {"files": paths, "target": str(target)})
    if target.stat().st_size < files * SIZE:
        raise AssertionError(f"{target}: not whole")
    return took


def _late(folder: Path, files: int, on: str) -> tuple[float, float]:
    """Seconds from the last commit of a subjob to the merged file; the share of it that was there,
    hidden, at the last look before."""
    root = folder / str(MASTER)
    outputs(root, files)
    start = folder / "start"
    start.write_text(str(time.time() + 3600))
    variables = {"GANGAMON_ROOTS": str(folder), "GANGAMON_WORKERS_MERGE_WHILE_RUNNING": on}
    module = "benchmarks.merge"
    points = {"backends": f"{module}:EndingBackend", "fetchers": f"{module}:EndingFetcher"}
    plugins = instant.install(folder / "plugins", "Ending", points)
    sys.path.append(str(plugins))  # the client looks who knows the lane
    with Service("", plugins, variables) as service:
        queues = {
            "tick": ("tick", 2),
            "poll": ("poll.Ending", 2),
            "transfer": (f"transfer.{OWNER}", 16),
            "merge": (f"merge.{OWNER}", 1),
        }
        service.workers(queues)
        environment = {
            "GANGAMON_REDIS_URL": service.url,
            "GANGAMON_OWNER": OWNER,
            "GANGAMON_STATE_DIR": str(folder / "state"),
        }
        client = Client(settings.load(environment), folder / "spool")
        client.submit(Register("r", REPOSITORY, (str(folder),)))
        lane = Lane("Ending", str(start))
        for first in range(0, files, BATCH_SIZE):
            client.submit(_enqueue(first, files, root, lane))
        client.flush()
        until(lambda: _known(client) == files, 120, "all is taken in")
        start.write_text(str(time.time()))
        grown = 0

        def over() -> bool:
            nonlocal grown
            grown = max(grown, _hidden(root / "output"))
            return _fetched(client) == files

        until(over, 120 + 4 * files / RATE, "all is fetched")
        until(lambda: _ended(client), 120, "the master has ended")
        merged = (root / "output" / NAME).stat()
        print(f"merging while running: {on}; CPU seconds: {service.cpu()}")
        # It got its name at its st_ctime.
        return merged.st_ctime - _last_fetch(client), grown / merged.st_size


def _enqueue(first: int, files: int, root: Path, lane: Lane) -> Enqueue:
    subs = range(first, min(first + BATCH_SIZE, files))
    jobs = tuple(JobSpec(sub, 1, JobStatus.SUBMITTED, str(sub), {}) for sub in subs)
    return Enqueue(f"e{first}", REPOSITORY, MASTER, files, "merged", lane, str(root), (SPEC,), jobs)


def _hidden(target: Path) -> int:
    """Bytes of what grows in a master's output directory."""
    sizes = [0]
    for path in target.glob(f"{growth.PREFIX}*.*"):
        with contextlib.suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    return max(sizes)


def _fetched(client: Client) -> int:
    record = client.store.master(OWNER, REPOSITORY, MASTER)
    return sum(record.counts.get(status, 0) for status in FINAL) if record else 0


def _known(client: Client) -> int:
    record = client.store.master(OWNER, REPOSITORY, MASTER)
    return sum(record.counts.values()) if record else 0


def _ended(client: Client) -> bool:
    record = client.store.master(OWNER, REPOSITORY, MASTER)
    return record is not None and record.status is not None


def _last_fetch(client: Client) -> float:
    """When the store took the last subjob's final status, by its clock."""
    last = 0.0
    follower = client.follow(REPOSITORY, "0")
    while updates := follower.read(count=1000):
        ends = [u.at for u in updates if any(job.status in FINAL for job in u.jobs)]
        last = max([last, *ends])
    return last


#: What there is to measure, in order.
PARTS: dict[str, Callable[[Path, int, Verdict], None]] = {"text": text, "running": running}
