"""``python -m benchmarks fetch``: outputs brought home, beside the best plain tool.

10,000 files of 2 kB (of 1,000 subjobs) and 100 of 100 MB, from the same file system (beside ``cp``)
and from storage that is 50 ms away: over HTTP (beside ``curl --parallel``), by S3 (beside ``curl
--parallel``, which signs nothing) and XRootD (beside ``xrdcp``), with as many transfers at once as
a transfer worker has threads; and from a host that is 50 ms away by ssh (beside ``rsync -a``), as
outputs of Ganga's Remote jobs, in claims as the service makes them, over one connection that is
there, with the same cipher. Ours checksums each file, and writes the manifest of each job. Each
in turns; the median counts. Neither is forced to the disk: what that takes is noted beside it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

import psutil

from benchmarks.fetch import far, servers
from benchmarks.support import Verdict, parser
from gangamon.fetchers import storage, stored
from gangamon.protocols import Manifest, Source
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

#: Brings all, and says how many files.
Bring = Callable[[far.Seen], int]

#: Brings all to a new directory: ``seconds``, ``files``, ``grown``, ``peak``.
Ours = Callable[[Path], dict[str, float]]


def main(argv: list[str]) -> int:
    if argv[:1] == ["--child"]:
        return _child(*json.loads(argv[1]))
    options = parser("fetch")
    options.add_argument("--only", choices=sorted(PARTS), help="one part")
    options.add_argument("--size", choices=("small", "large"), help="files of one size")
    given = options.parse_args(argv)
    verdict = Verdict()
    for name in [given.only] if given.only else PARTS:
        for kind, size in (("small", SMALL), ("large", LARGE)):
            if given.size in (None, kind):
                files = QUICK[size] if given.quick else size[0]
                with tempfile.TemporaryDirectory(prefix="gm-bench-") as folder:
                    shape = (files, *size[1:])
                    PARTS[name](f"{name}, {files:,} {kind}", Path(folder), shape, verdict)
    return verdict.end(given.json)


def sources(folder: Path, shape: tuple[int, int, int], below: str = "") -> None:
    """``folder/JOB/below/NAME``."""
    files, size, each = shape
    block = os.urandom(1 << 20)
    for number in range(files):
        place = folder / str(number // each) / below
        place.mkdir(parents=True, exist_ok=True)
        with (place / f"out{number % each}").open("wb") as file:
            for at in range(0, size, len(block)):
                file.write(block[: min(len(block), size - at)])


# --- ours -------------------------------------------------------------------------------------


def ours(source: Path, url: str, credential: str, warm: str, root: Path) -> dict[str, float]:
    """``url``: what ``source`` is called."""

    def write(job: Path, output: Path) -> None:
        output.mkdir(parents=True)
        lines = [f"massstorage {p.name} {url}/{job.name}/{p.name}" for p in job.iterdir()]
        (output / stored.LOCATIONS).write_text("\n".join(lines))

    jobs = list(source.iterdir())
    for job in jobs:
        write(job, root / job.name / "output")
    if not storage.endpoint(url) and len(list(jobs[0].iterdir())) >= stored.FEW:
        for job in jobs[:THREADS]:
            write(job, Path(f"{root}.first") / job.name / "output")
    found = _process(["stored", str(root), url, credential, warm])
    return {**found, "files": found["files"] - len(jobs)}  # the locations


def _process(given: list[str], environ: Mapping[str, str] | None = None) -> dict[str, float]:
    """One of its own, as a transfer worker's is."""
    words = [sys.executable, "-m", "benchmarks", "fetch", "--child", json.dumps(given)]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True, env=environ)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _child(kind: str, root: str, *given: str) -> int:
    jobs = sorted(Path(root).iterdir())
    process = psutil.Process()
    sizes: list[int] = []

    looks, every = count(), max(1, len(jobs) // 100)

    def seen() -> None:
        # A look takes as long as five small files.
        if next(looks) % every == 0:
            sizes.append(process.memory_info().rss)

    bring = (_stored if kind == "stored" else _by_ssh)(root, jobs, *given)
    began = time.perf_counter()
    files = bring(seen)
    seconds = time.perf_counter() - began
    grown = (max(sizes) - max(sizes[: max(THREADS, len(sizes) // 10)])) / 1e6
    # The peak that getrusage(2) tells may be that of the process that started this one.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    peaked = int(peak[1]) / 1e3 if peak else 0.0
    print(json.dumps({"seconds": seconds, "files": files, "grown": grown, "peak": peaked}))
    sys.stdout.flush()
    os._exit(0)  # whatever threads a client library has


def _stored(root: str, jobs: list[Path], url: str, credential: str, warm: str) -> Bring:
    storage.for_url(url)  # a worker has it loaded, and its client made, as it lives for long
    if warm:
        storage.bring(Source(warm, credential), f"{root}.warm")
    extra = {"storage_files": '["out*"]', "storage_credential": credential}

    def one(job: Path) -> int:
        roots = [str(job.parent)]
        order = fetch_order(str(job / "output"), roots, fqid=f"7.{job.name}", extra=extra)
        return len(stored.complete(order, Manifest(()), lambda _: nullcontext()).files)

    def bring(seen: far.Seen) -> int:
        def then(job: Path) -> int:
            found = one(job)
            seen()
            return found

        with ThreadPoolExecutor(THREADS) as pool:
            return sum(pool.map(then, jobs))

    first = Path(f"{root}.first")
    for _ in range(2 if first.exists() else 0):  # its helper processes run, likewise
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(one, first.iterdir()))
    return bring


def _by_ssh(root: str, jobs: list[Path], endpoint: str, workspace: str) -> Bring:
    far.warm(endpoint)
    return lambda seen: far.bring(endpoint, workspace, jobs, THREADS, seen)


def compare(
    name: str,
    folder: Path,
    source: Path,
    urls: tuple[str, str],
    plain: Plain,
    verdict: Verdict,
    credential: str = "",
    warm: str = "",
    own: Ours | None = None,
    environ: Mapping[str, str] | None = None,
) -> None:
    """``urls``: of the source, for ours and for the plain tool. ``warm``: of another file there,
    which ours fetches before the time is taken. ``own``: brings it, if not ``ours``. ``environ``:
    of the plain tool."""
    brings = own or partial(ours, source, urls[0], credential, warm)
    times: dict[str, list[float]] = {"plain": [], "ours": [], "plain, disk": [], "ours, disk": []}
    grown = peak = 0.0
    many = sum(len(files) for _, _, files in os.walk(source)) > 500
    for turn in range(ROUNDS):
        target, root = folder / f"plain{turn}", folder / f"ours{turn}"
        target.mkdir()
        words = plain(source, target, urls[1])
        os.sync()
        began = time.perf_counter()
        quiet = subprocess.DEVNULL
        subprocess.run(words, check=True, stdout=quiet, stderr=quiet, env=environ)
        times["plain"].append(time.perf_counter() - began)
        times["plain, disk"].append(times["plain"][-1] + _synced(target))
        brought = sum(len(files) for _, _, files in os.walk(target))
        # ext4 gives no inode anew for a minute, and looks at each of them whenever it makes a file
        # (recently_deleted, fs/ext4/ialloc.c): who comes next would pay. Large files need the room.
        if not many:
            shutil.rmtree(target)
        found = brings(root)
        times["ours"].append(found["seconds"])
        times["ours, disk"].append(found["seconds"] + _synced(root))
        grown, peak = max(grown, found["grown"]), max(peak, found["peak"])
        if found["files"] != brought:
            raise AssertionError(f"{name}: {found['files']} of ours, {brought} of {words[0]}")
        if not many:
            shutil.rmtree(root)
    middle = {key: median(taken) for key, taken in times.items()}
    verdict.note(f"{name}: {words[0]}", middle["plain"], "s")
    verdict.note(f"{name}: gangamon", middle["ours"], "s")
    verdict.bound(f"{name}: against {words[0]}", middle["ours"] / middle["plain"], RATIO, "times")
    disk = middle["ours, disk"] / middle["plain, disk"]
    verdict.note(f"{name}: both with sync -f behind them", disk, "times")
    verdict.bound(f"{name}: memory from a tenth to the end", grown, GROWTH, "MB")
    verdict.note(f"{name}: memory, its peak", peak, "MB")


def _synced(folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run(["sync", "-f", str(folder)], check=True)
    return time.perf_counter() - began


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
    with servers.running("web", str(folder)) as port:
        url = f"http://127.0.0.1:{port}"
        urls = f"{url}/source", f"{url}/source"
        compare(name, folder, source, urls, _curl, verdict, warm=_warm(folder, url))


def _curl(source: Path, target: Path, url: str) -> list[str]:
    lines = [
        f'url = "{url}/{job.name}/{p.name}"\noutput = "{target}/{job.name}/{p.name}"'
        for job in source.iterdir()
        for p in job.iterdir()
    ]
    config = target.with_suffix(".cfg")
    config.write_text("\n".join(lines))
    parallel = ["--parallel", "--parallel-max", str(THREADS)]
    return ["curl", "-s", "--create-dirs", *parallel, "--config", str(config)]


def s3(name: str, folder: Path, shape: tuple[int, int, int], verdict: Verdict) -> None:
    """The store asks nobody who he is; that each request is signed is in our time."""
    source, keys = folder / "source", folder / "keys"
    sources(source, shape)
    keys.write_text("[default]\naws_access_key_id = us\naws_secret_access_key = them\n")
    with servers.running("web", str(folder)) as port:
        url = f"http://127.0.0.1:{port}"
        urls = f"s3+{url}/source", f"{url}/source"
        warm = _warm(folder, f"s3+{url}")
        compare(name, folder, source, urls, _curl, verdict, str(keys), warm)


def _warm(folder: Path, url: str) -> str:
    (folder / "warm").mkdir()
    (folder / "warm" / "file").write_bytes(b"x")
    return f"{url}/warm/file"


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


def ssh(name: str, folder: Path, shape: tuple[int, int, int], verdict: Verdict) -> None:
    source = folder / "source"
    sources(source, shape, "output")
    with far.running() as host:

        def own(root: Path) -> dict[str, float]:
            for job in source.iterdir():
                (root / job.name / "output").mkdir(parents=True)
            return _process(["ssh", str(root), host.endpoint, str(source)], host.environ)

        def plain(source: Path, target: Path, url: str) -> list[str]:
            return ["rsync", "-a", "-e", shlex.join(host.ssh), f"127.0.0.1:{source}/", f"{target}/"]

        compare(name, folder, source, ("", ""), plain, verdict, own=own, environ=host.environ)


#: What there is to measure, in order.
PARTS: dict[str, Callable[[str, Path, tuple[int, int, int], Verdict], None]] = {
    "same": same,
    "web": web,
    "s3": s3,
    "root": root,
    "ssh": ssh,
}
