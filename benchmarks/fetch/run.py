"""``python -m benchmarks fetch``: outputs brought home, beside the best plain tool.

10,000 files of 2 kB (of 1,000 subjobs) and 100 of 100 MB, from the same file system (beside ``cp``)
and from storage that is 50 ms away: over HTTP (beside ``curl --parallel``) and XRootD (beside
``xrdcp``), both with as many transfers at once as a transfer worker has threads. Ours checksums
each file, and writes the manifest of each job. Each in turns; the median counts.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from statistics import median

import psutil

from benchmarks.fetch import servers
from benchmarks.support import Verdict, parser
from gangamon.fetchers import storage, stored
from gangamon.protocols import Manifest
from gangamon.testing.factories import fetch_order
from tests.support.storages import Xrootd

#: (files, bytes of each, files of a subjob), and how many in --quick.
SMALL, LARGE = (10_000, 2000, 10), (100, 100_000_000, 1)
QUICK = {SMALL: 1000, LARGE: 5}
ROUNDS = 3

#: Threads of a transfer worker (``workers.transfer_threads``).
THREADS = 16

#: Against the plain tool; megabytes from a tenth of the files to the last.
RATIO, GROWTH = 1.3, 32.0

Plain = Callable[[Path, Path, str], list[str]]


def main(argv: list[str]) -> int:
    if argv[:1] == ["--child"]:
        return _child(*json.loads(argv[1]))
    options = parser("fetch")
    options.add_argument("--only", choices=sorted(PARTS), help="one part")
    given = options.parse_args(argv)
    verdict = Verdict()
    for name, part in PARTS.items():
        if given.only in (None, name):
            for kind, size in (("small", SMALL), ("large", LARGE)):
                files = QUICK[size] if given.quick else size[0]
                with tempfile.TemporaryDirectory(prefix="gm-bench-") as folder:
                    part(f"{name}, {files:,} {kind}", Path(folder), (files, *size[1:]), verdict)
    return verdict.end(given.json)


def sources(folder: Path, shape: tuple[int, int, int]) -> None:
    """``folder/JOB/NAME``."""
    files, size, each = shape
    block = os.urandom(1 << 20)
    for number in range(files):
        place = folder / str(number // each)
        place.mkdir(parents=True, exist_ok=True)
        with (place / f"out{number % each}").open("wb") as file:
            for at in range(0, size, len(block)):
                file.write(block[: min(len(block), size - at)])


# --- ours -------------------------------------------------------------------------------------


def ours(root: Path, source: Path, url: str) -> dict[str, float]:
    """In a process of its own, as a transfer worker's is. ``url``: what ``source`` is called."""
    shutil.rmtree(root, ignore_errors=True)
    for job in source.iterdir():
        output = root / job.name / "output"
        output.mkdir(parents=True)
        lines = [f"massstorage {p.name} {url}/{job.name}/{p.name}" for p in job.iterdir()]
        (output / stored.LOCATIONS).write_text("\n".join(lines))
    words = [sys.executable, "-m", "benchmarks", "fetch", "--child", json.dumps([str(root), url])]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _child(root: str, url: str) -> int:
    jobs = sorted(Path(root).iterdir())
    process = psutil.Process()
    sizes: list[int] = []
    storage.for_url(url)  # a worker has it loaded, as it lives for long
    began = time.perf_counter()

    def one(job: Path) -> int:
        order = fetch_order(
            str(job / "output"), [root], fqid=f"7.{job.name}", extra={"storage_files": '["out*"]'}
        )
        done = stored.complete(order, Manifest(()), lambda _: nullcontext())
        sizes.append(process.memory_info().rss)
        return len(done.files)

    with ThreadPoolExecutor(THREADS) as pool:
        count = sum(pool.map(one, jobs))
    seconds = time.perf_counter() - began
    early = max(sizes[: max(THREADS, len(sizes) // 10)])
    print(json.dumps({"seconds": seconds, "files": count, "grown": (max(sizes) - early) / 1e6}))
    os._exit(0)  # whatever threads a client library has


def compare(
    name: str, folder: Path, source: Path, urls: tuple[str, str], plain: Plain, verdict: Verdict
) -> None:
    """``urls``: of the source, for ours and for the plain tool."""
    times: dict[str, list[float]] = {"plain": [], "ours": []}
    grown = 0.0
    for _ in range(ROUNDS):
        shutil.rmtree(folder / "plain", ignore_errors=True)
        (folder / "plain").mkdir()
        words = plain(source, folder / "plain", urls[1])
        os.sync()
        began = time.perf_counter()
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times["plain"].append(time.perf_counter() - began)
        count = sum(len(files) for _, _, files in os.walk(folder / "plain"))
        shutil.rmtree(folder / "plain")
        os.sync()
        found = ours(folder / "ours", source, urls[0])
        times["ours"].append(found["seconds"])
        grown = max(grown, found["grown"])
        jobs = len(list(source.iterdir()))
        if found["files"] != count + jobs:  # each has its locations, too
            raise AssertionError(f"{name}: {found['files']} of ours, {count} of {words[0]}")
        shutil.rmtree(folder / "ours")
    verdict.note(f"{name}: {words[0]}", median(times["plain"]), "s")
    verdict.note(f"{name}: gangamon", median(times["ours"]), "s")
    ratio = median(times["ours"]) / median(times["plain"])
    verdict.bound(f"{name}: against {words[0]}", ratio, RATIO, "times")
    verdict.bound(f"{name}: memory from a tenth to the end", grown, GROWTH, "MB")


# --- the plain tools --------------------------------------------------------------------------


def same(name: str, folder: Path, shape: tuple[int, int, int], verdict: Verdict) -> None:
    source = folder / "source"
    sources(source, shape)
    compare(name, folder, source, (str(source), ""), _cp, verdict)


def _cp(source: Path, target: Path, url: str) -> list[str]:
    return ["cp", "-r", str(source), str(target)]


def web(name: str, folder: Path, shape: tuple[int, int, int], verdict: Verdict) -> None:
    source = folder / "source"
    sources(source, shape)
    with servers.running("web", str(source)) as port:
        url = f"http://127.0.0.1:{port}"
        compare(name, folder, source, (url, url), _curl, verdict)


def _curl(source: Path, target: Path, url: str) -> list[str]:
    lines = [
        f'url = "{url}/{job.name}/{p.name}"\noutput = "{target}/{job.name}/{p.name}"'
        for job in source.iterdir()
        for p in job.iterdir()
    ]
    config = target.with_name("curl.cfg")
    config.write_text("\n".join(lines))
    parallel = ["--parallel", "--parallel-max", str(THREADS)]
    return ["curl", "-s", "--create-dirs", *parallel, "--config", str(config)]


def root(name: str, folder: Path, shape: tuple[int, int, int], verdict: Verdict) -> None:
    server = Xrootd()
    try:
        server.start()
        sources(server.data, shape)
        with servers.running("wire", str(server.port)) as port:
            url = f"root://127.0.0.1:{port}//data"
            compare(name, folder, server.data, (url, url), _xrdcp, verdict)
    finally:
        server.close()


def _xrdcp(source: Path, target: Path, url: str) -> list[str]:
    return ["xrdcp", "-s", "-r", "--parallel", str(THREADS), f"{url}/", f"{target}/"]


#: What there is to measure, in order.
PARTS: dict[str, Callable[[str, Path, tuple[int, int, int], Verdict], None]] = {
    "same": same,
    "web": web,
    "root": root,
}
