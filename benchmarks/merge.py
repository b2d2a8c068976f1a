"""The mergers beside the plain tools, on the same files, in turns: text beside one ``cat``, ROOT
beside ``hadd``, or plain uproot where there is none.

The files are in the page cache for both. What a merger does more, it must do within the bound: it
chooses the files as Ganga does, checksums what it writes, and has it on the disk before it has its
name. ``cat`` with a sync of its output is printed too.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.support import Verdict, parser
from gangamon import postprocess
from gangamon.domain.command import MergerSpec
from gangamon.domain.status import JobStatus
from gangamon.protocols import MergeOrder

TEXT_BYTES = 10_000
ROOT_ENTRIES = 500

Inputs = list[tuple[str, JobStatus, str]]


def main(argv: list[str]) -> int:
    options = parser("merge")
    options.add_argument("--texts", type=int, default=10_000, help="text files of 10 kB")
    options.add_argument("--roots", type=int, default=1_000, help="ROOT files")
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args(argv)
    if given.quick:
        given.texts, given.roots, given.rounds = 2_000, 50, 3
    verdict = Verdict()
    with tempfile.TemporaryDirectory(prefix="gm-bench-") as folder:
        if given.texts:
            _text(verdict, Path(folder, "text"), given.texts, given.rounds)
        if given.roots:
            _root(verdict, Path(folder, "root"), given.roots, given.rounds)
    return verdict.end(given.json)


def _text(verdict: Verdict, place: Path, number: int, rounds: int) -> None:
    line = b"0123456789abcdef" * 4 + b"\n"
    body = (line * (TEXT_BYTES // len(line) + 1))[:TEXT_BYTES]
    inputs = _inputs(place, "out.txt", number, lambda path: path.write_bytes(body) and None)
    paths = [f"{output}/out.txt" for _, _, output in inputs]

    def cat(sync: bool) -> None:
        with open(place / "cat", "wb") as out:
            subprocess.run(["cat", *paths], stdout=out, check=True)
            if sync:
                os.fsync(out.fileno())

    merge = _merge(place, "TextMerger", "out.txt", inputs)
    took = _turns(rounds, [lambda: cat(False), lambda: cat(True), merge])
    size = number * TEXT_BYTES / 1e6
    assert (place / "output" / "out.txt").stat().st_size > number * TEXT_BYTES
    verdict.note(f"cat of {number} files, {size:.0f} MB", took[0], "s")
    verdict.note("cat, and its output synced", took[1], "s")
    verdict.note("TextMerger", took[2], "s")
    verdict.bound("TextMerger / cat", took[2] / took[0], 1.3, "")
    verdict.note("TextMerger / cat and sync", took[2] / took[1], "")


def _root(verdict: Verdict, place: Path, number: int, rounds: int) -> None:
    inputs = _inputs(place, "out.root", number, _root_file)
    paths = [f"{output}/out.root" for _, _, output in inputs]
    hadd = shutil.which("hadd")

    def plain() -> None:
        if hadd:
            subprocess.run(
                [hadd, "-f", str(place / "plain.root"), *paths], check=True, capture_output=True
            )
        else:
            _plain_uproot(paths, place / "plain.root")

    took = _turns(rounds, [plain, _merge(place, "RootMerger", "out.root", inputs)])
    tool = "hadd" if hadd else "plain uproot"
    verdict.note(f"{tool} of {number} files", took[0], "s")
    verdict.note("RootMerger", took[1], "s")
    verdict.bound(f"RootMerger / {tool}", took[1] / took[0], 1.0, "")


def _root_file(path: Path) -> None:
    import numpy
    import uproot

    draw = numpy.random.default_rng(len(str(path)))
    with uproot.recreate(path) as file:
        names = [f"x{n}" for n in range(8)]
        tree = file.mktree("events", dict.fromkeys(names, "f4"))
        tree.extend({name: draw.random(ROOT_ENTRIES).astype("f4") for name in names})
        for n in range(3):
            file[f"h{n}"] = numpy.histogram(draw.random(100), 50, (0, 1))


def _plain_uproot(paths: Sequence[str], output: Path) -> None:
    """As one writes it: file by file, trees appended, histograms summed."""
    import uproot

    sums: dict[str, list[object]] = {}
    with uproot.recreate(output) as out:
        tree = None
        for path in paths:
            with uproot.open(path) as file:
                arrays = file["events"].arrays(library="np")
                if tree is None:
                    tree = out.mktree("events", {k: v.dtype for k, v in arrays.items()})
                tree.extend(arrays)
                for n in range(3):
                    values, edges = file[f"h{n}"].to_numpy()
                    held = sums.setdefault(f"h{n}", [0.0, edges])
                    held[0] = held[0] + values  # type: ignore[operator]
        for name, (values, edges) in sums.items():
            out[name] = (values, edges)


def _inputs(place: Path, name: str, number: int, write: Callable[[Path], None]) -> Inputs:
    """Subjobs' outputs: the first is written, the others are copies of it."""
    found: Inputs = []
    for sub in range(number):
        output = place / str(sub) / "output"
        output.mkdir(parents=True)
        if sub == 0:
            write(output / name)
        else:
            shutil.copyfile(place / "0" / "output" / name, output / name)
        found.append((f"42.{sub}", JobStatus.COMPLETED, str(output)))
    return found


def _merge(place: Path, kind: str, name: str, inputs: Inputs) -> Callable[[], None]:
    """A merge as the worker does it, each time as if it were the first."""
    target = place / "output"

    def run() -> None:
        spec = MergerSpec(kind, (name,))
        postprocess.for_kind(kind).run(MergeOrder("42", 1, spec, str(target), inputs))

    def fresh() -> None:
        shutil.rmtree(target, ignore_errors=True)

    run.before = fresh  # type: ignore[attr-defined]
    return run


def _turns(rounds: int, works: Sequence[Callable[[], None]]) -> list[float]:
    """Median seconds of each, in turns, after one round that is not counted."""
    took: list[list[float]] = [[] for _ in works]
    for turn in range(rounds + 1):
        for n, work in enumerate(works):
            getattr(work, "before", lambda: None)()
            begun = time.perf_counter()
            work()
            if turn:
                took[n].append(time.perf_counter() - begun)
    return [statistics.median(times) for times in took]
