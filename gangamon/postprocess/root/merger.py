"""RootMerger: by ROOT's ``hadd`` if the worker has it, else by uproot.

Meaning as in Ganga 8.7.12 (Lib/Mergers/Merger.py:184), which runs hadd and keeps what it prints in
``OUTPUT.hadd_output``; that file is written here too, for RootFileChecker looks for it. Where there
is no hadd, and the files hold what uproot cannot read, or cannot merge to the same content, the
merge is left to the session, whose Ganga may be configured with a ROOT.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from typing import Any

from gangamon.errors import LeftToSession, MergeFailed
from gangamon.postprocess import outputs, process, segments
from gangamon.postprocess.root.files import DIRECTORIES, Broken, library, objects, opened
from gangamon.postprocess.root.histograms import CLASSES, Sum
from gangamon.postprocess.root.trees import Chain
from gangamon.protocols import CodeLimits, MergeOrder

#: Bytes of a command line; more file names are given to hadd in a file.
_MOST_WORDS = 1_000_000

_LOG, _HEAD = ".hadd_output", "# -- Hadd output -- #\n"

#: Bytes of hadd's output that come back to the user where it fails: the last.
_MOST_TOLD = 16_000


class RootMerger(segments.Segmented):
    """Ganga's RootMerger. ``options``: args, for hadd."""

    kind = "RootMerger"
    limits = CodeLimits()

    def make(self, order: MergeOrder) -> outputs.Make:
        """See Segmented."""
        args = str(order.spec.options.get("args") or "")
        hadd = shutil.which("hadd")
        if hadd is None and args:
            raise LeftToSession(f"args {args!r} are for hadd, which is not on the worker's PATH")
        if hadd is None:
            library()
            return by_uproot
        return lambda paths, out: self._hadd(hadd, args, paths, out)

    def _hadd(self, hadd: str, args: str, paths: Sequence[str], output: str) -> None:
        """As Ganga calls it, but without a shell."""
        words = [hadd, *shlex.split(args), *([] if "-f" in args else ["-f"]), output]
        listed = ""
        if sum(map(len, paths)) > _MOST_WORDS:
            listed = f"{output}.inputs"
            with open(listed, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.writelines(f"{path}\n" for path in paths)
        log = f"{output}{_LOG}"
        _log(output, "", paths)
        request = {"words": [*words, *([f"@{listed}"] if listed else paths)], "log": log}
        ended = process.run(request, self.limits)
        if listed:
            os.unlink(listed)
        if ended.code != 0:
            raise MergeFailed(
                "The ROOT merge failed to complete. The command used was "
                f"{shlex.join(words)} ({len(paths)} files): {ended.how(self.limits)}.\n"
                f"{_end(log)}{ended.output}"
            )


def by_uproot(paths: Sequence[str], output: str) -> None:
    """One pass over the files, some megabytes of each tree in memory, and all histograms."""
    said = [f"uproot {library().__version__}: Target file: {output}"]
    try:
        with opened(paths[0]) as first:
            compression = first.file.compression
        with library().recreate(output, compression=compression) as out:
            merged = _Merged(out)
            for number, path in enumerate(paths, 1):
                said.append(f"Source file {number}: {path}")
                with opened(path) as file:
                    merged.add(file)
            merged.finish()
        with opened(output) as file:
            merged.verify(file)
    except Broken as error:
        raise LeftToSession(f"uproot cannot merge it: {error}") from error
    _log(output, "".join(f"{line}\n" for line in said), paths)


class _Merged:
    """What of all files goes into one."""

    def __init__(self, out: Any) -> None:
        self._out = out
        self._trees: dict[str, Chain] = {}
        self._sums: dict[str, Sum] = {}
        self._directories: list[str] = []

    def add(self, file: Any) -> None:
        for path, kind in objects(file).items():
            if kind in DIRECTORIES:
                if path not in self._directories:
                    self._directories.append(path)
            elif kind == "TTree":
                tree = file[path]
                if path not in self._trees:
                    self._trees[path] = Chain(self._out, path, tree)
                self._trees[path].add(tree)
            elif CLASSES.fullmatch(kind):
                if path in self._sums:
                    self._sums[path].add(file[path])
                else:
                    self._sums[path] = Sum(path, file[path])
            else:
                raise LeftToSession(f"{path}: a {kind} needs ROOT's hadd")

    def finish(self) -> None:
        for chain in self._trees.values():
            chain.flush()
        for path, histogram in self._sums.items():
            self._out[path] = histogram.model()
        made = objects(self._out)
        for path in self._directories:
            if path not in made:
                self._out.mkdir(path)

    def verify(self, file: Any) -> None:
        """LeftToSession if anything is not in the output as it is to be."""
        wanted: dict[str, Any] = {
            path: (chain.entries, list(chain.branches)) for path, chain in self._trees.items()
        }
        wanted |= {path: sum_.entries for path, sum_ in self._sums.items()}
        wanted |= dict.fromkeys(self._directories)
        found: dict[str, Any] = {}
        for path, kind in objects(file).items():
            if kind in DIRECTORIES:
                found[path] = None
            elif kind == "TTree":
                tree = file[path]
                found[path] = (tree.num_entries, [branch.name for branch in tree.branches])
            else:
                found[path] = float(file[path].member("fEntries"))
        if found != wanted:
            wrong = sorted(p for p in found.keys() | wanted.keys() if found.get(p) != wanted.get(p))
            raise LeftToSession(f"uproot wrote {', '.join(wrong)} not as it was read")


def _log(output: str, said: str, paths: Sequence[str]) -> None:
    """What was said, after what was said of the segments among the inputs."""
    with open(f"{output}{_LOG}", "w", encoding="utf-8", errors="surrogateescape") as log:
        log.write(_HEAD)
        for path in segments.logs(paths, _LOG):
            with open(path, encoding="utf-8", errors="surrogateescape") as part:
                log.write(part.read().removeprefix(_HEAD))
        log.write(said)


def _end(log: str) -> str:
    """What hadd said last."""
    with open(log, "rb") as file:
        file.seek(max(0, os.path.getsize(log) - _MOST_TOLD))
        return file.read().decode("utf-8", "replace")
