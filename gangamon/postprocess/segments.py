"""Merging in segments, while jobs still run: for formats whose merge is associative.

SPAN neighbouring subjobs that have ended give one segment for each output. In the target, hidden::

    .gangamon-grow-KEY.sFIRST-DIGEST/    a segment: the merged file, and what was written beside it

KEY is a digest of the merger's spec (``growth``), FIRST the place of the first subjob, DIGEST one
of the output's name and of the inputs: paths, sizes, times, and the attempts of the subjobs. The
name is given by rename when all of it is on the disk. So the directory is its own manifest: what
died while it was made has no such name, and after a resubmission, or a change by hand, another
name is asked for: that segment is made anew, the others stay. The merge at the end takes those
that are there, and the inputs themselves for the rest.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from gangamon.errors import DiskFull, LeftToSession, MergeFailed
from gangamon.postprocess import growth, manifest, outputs
from gangamon.postprocess.plan import Facts, fingerprint, mounted, plan
from gangamon.protocols import Manifest, MergeOrder

#: Subjobs of a segment. A merge at the end of 1,000 is one of some 30 files.
SPAN = 32


class Maker(Protocol):
    kind: str

    def make(self, order: MergeOrder) -> outputs.Make:
        """What makes one file of others, for this order. Raises as PostProcessor.run."""
        ...


class Segmented:
    """A merger with ``make``, which can begin while jobs run. See Growing."""

    def run(self: Maker, order: MergeOrder) -> Manifest:
        """See PostProcessor."""
        try:
            made = outputs.merge(order, self.make(order), Segments(order).instead)
        except (MergeFailed, DiskFull, LeftToSession):
            _discard(order)
            raise
        _discard(order)
        return made

    def grow(self: Maker, order: MergeOrder, seconds: float) -> bool:
        """See Growing."""
        mounted(order)
        try:
            make = self.make(order)
            with manifest.disk(order.target):
                os.makedirs(order.target, exist_ok=True)
                return _grow(order, make, time.monotonic() + seconds)
        except (MergeFailed, LeftToSession):
            return False  # the merge at the end will say so, if it is still so then
        except DiskFull:
            _discard(order)
            raise


class Segments:
    """What of an order's inputs lies in segments."""

    def __init__(self, order: MergeOrder) -> None:
        self._order = order
        self._known: dict[str, list[tuple[list[str], str]]] | None = None

    def instead(self, name: str, paths: Sequence[str]) -> Sequence[str]:
        """The files to be merged into this output: segments, and inputs that are in none."""
        if self._known is None:
            self._known = self._look()
        known = self._known.get(name, [])
        if [path for part, _ in known for path in part] != list(paths):
            return paths  # they changed between two looks
        return [path for part, made in known for path in ([made] if made else part)]

    def _look(self) -> dict[str, list[tuple[list[str], str]]]:
        found: dict[str, list[tuple[list[str], str]]] = {}
        with manifest.disk(self._order.target):
            there = _there(self._order)
            for first, part in _parts(self._order):
                for name, (paths, segment) in _wanted(self._order, first, part).items():
                    file = os.path.join(self._order.target, segment, os.path.basename(name))
                    found.setdefault(name, []).append((paths, file if segment in there else ""))
        return found


def logs(paths: Sequence[str], ending: str) -> list[str]:
    """Of those among these that are segments: the files beside them that end so."""
    beside = [f"{path}{ending}" for path in paths if f"/{growth.PREFIX}" in path]
    return [path for path in beside if os.path.exists(path)]


def _grow(order: MergeOrder, make: outputs.Make, until: float) -> bool:
    """Whether there was no time for all."""
    there = _there(order)
    made = 0
    for first, part in _parts(order):
        if len(part.inputs) < SPAN:
            break  # more will come to it
        wanted = _wanted(order, first, part)
        names = {segment for _, segment in wanted.values()}
        for stale in there - names:
            if stale.startswith(f"{_base(order)}{first}-"):
                manifest.discard(os.path.join(order.target, stale))
        for name, (paths, segment) in wanted.items():
            if segment in there or len(paths) < 2:
                continue
            if made and time.monotonic() > until:
                return True
            _make(order.target, make, paths, os.path.basename(name), segment)
            made += 1
    return False


def _make(target: str, make: outputs.Make, paths: Sequence[str], name: str, segment: str) -> None:
    manifest.sweep(target)
    folder = manifest.hidden(target)
    os.mkdir(folder)
    try:
        make(paths, os.path.join(folder, name))
        outputs.settle(folder)
        os.rename(folder, os.path.join(target, segment))
    finally:
        manifest.discard(folder)


def _parts(order: MergeOrder) -> Iterator[tuple[int, MergeOrder]]:
    """(place of the first, these subjobs alone) of each SPAN, the last may be shorter."""
    for first in range(0, len(order.inputs), SPAN):
        span = slice(first, first + SPAN)
        yield first, replace(order, inputs=order.inputs[span], fences=order.fences[span])


def _wanted(order: MergeOrder, first: int, part: MergeOrder) -> dict[str, tuple[list[str], str]]:
    """(inputs, name of their segment) by output."""
    looked: dict[str, Facts] = {}
    found = {}
    for name, paths in plan(part, looked).items():
        now = f"{fingerprint({name: paths}, looked)} {' '.join(part.fences)}"
        digest = hashlib.blake2b(now.encode(), digest_size=16).hexdigest()
        found[name] = (paths, f"{_base(order)}{first}-{digest}")
    return found


def _there(order: MergeOrder) -> set[str]:
    """The segments that are whole."""
    start = _base(order)
    if not os.path.isdir(order.target):
        return set()
    return {name for name in os.listdir(order.target) if name.startswith(start)}


def _base(order: MergeOrder) -> str:
    return f"{os.path.basename(growth.base(order.target, order.spec))}.s"


def _discard(order: MergeOrder) -> None:
    with manifest.disk(order.target):
        growth.discard(order.target, order.spec)
