"""``python -m benchmarks merge-root``: RootMerger beside hadd, or plain uproot where there is none.

The same files, in the page cache, in turns. What the merger does more (choosing the files as Ganga
does, looking at the result, its checksum, the disk) is in its time.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.support import Verdict, parser
from gangamon.domain.command import MergerSpec
from gangamon.domain.status import JobStatus
from gangamon.postprocess.root import RootMerger
from gangamon.protocols import MergeOrder

FILES, QUICK, ROUNDS = 1000, 50, 3
ENTRIES, BRANCHES = 500, 8
NAME = "out.root"


def main(argv: list[str]) -> int:
    options = parser("merge-root")
    options.add_argument("--files", type=int, default=FILES)
    given = options.parse_args(argv)
    verdict = Verdict()
    with tempfile.TemporaryDirectory(prefix="gm-bench-") as folder:
        root(Path(folder), QUICK if given.quick else given.files, verdict)
    return verdict.end(given.json)


def root(folder: Path, files: int, verdict: Verdict) -> None:
    """A part of a benchmark: its folder, how many files, where the figures go."""
    inputs = []
    for sub in range(files):
        output = folder / str(sub) / "output"
        output.mkdir(parents=True)
        if sub == 0:
            _root_file(output / NAME)
        else:
            shutil.copyfile(folder / "0" / "output" / NAME, output / NAME)
        inputs.append((f"42.{sub}", JobStatus.COMPLETED, str(output)))
    paths = [f"{output}/{NAME}" for _, _, output in inputs]
    hadd, plain, target = shutil.which("hadd"), folder / "plain.root", folder / "output"
    order = MergeOrder("42", 1, MergerSpec("RootMerger", (NAME,)), str(target), inputs)
    theirs, ours = [], []
    for turn in range(ROUNDS + 1):  # the first is not counted
        begun = time.perf_counter()
        if hadd:
            subprocess.run([hadd, "-f", str(plain), *paths], check=True, capture_output=True)
        else:
            _plain_uproot(paths, plain)
        between = time.perf_counter()
        shutil.rmtree(target, ignore_errors=True)
        start = time.perf_counter()
        RootMerger().run(order)
        if turn:
            theirs.append(between - begun)
            ours.append(time.perf_counter() - start)
    tool = "hadd" if hadd else "plain uproot"
    verdict.note(f"{tool} of {files} files", median(theirs), "s")
    verdict.note("RootMerger", median(ours), "s")
    verdict.bound(f"RootMerger / {tool}", median(ours) / median(theirs), 1.0, "")


def _root_file(path: Path) -> None:
    import numpy
    import uproot

    draw = numpy.random.default_rng(len(str(path)))
    with uproot.recreate(path) as file:
        names = [f"x{n}" for n in range(BRANCHES)]
        tree = file.mktree("events", dict.fromkeys(names, "f4"))
        tree.extend({name: draw.random(ENTRIES).astype("f4") for name in names})
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
