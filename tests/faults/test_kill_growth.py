"""kill -9 at every step of a merge that grows, and of the end that takes it over."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from gangamon.postprocess import growth, manifest
from gangamon.postprocess.text import TextMerger
from gangamon.protocols import MergeOrder
from gangamon.testing.conformance import snapshot
from tests.support.merge_stories import unpacked
from tests.unit.merging import Master, frame

#: Steps at which it is killed, of the lines that are run: spread over all of them.
KILLS = 60

MERGER = str(Path(growth.__file__).parent)


def order(master: Master, subs: int, anew: int = -1, **flags: bool) -> MergeOrder:
    """Of the first so many; ``anew``: one that has run a second time."""
    given = master.order("a.txt", "b.txt", **flags)
    fences = [f"{1 + (sub == anew)}.0" for sub in range(subs)]
    return MergeOrder("42", 1, given.spec, given.target, list(given.inputs)[:subs], fences)


def work(master: Master, compress: bool) -> None:
    """Three slices, the second after a resubmission, and the end."""
    merger = TextMerger()
    merger.grow(order(master, 3, compress=compress), 1e9)
    merger.grow(order(master, 4, anew=1, compress=compress), 1e9)
    growth._remembered.clear()
    merger.grow(order(master, 5, anew=1, compress=compress), 1e9)
    merger.run(order(master, 6, anew=1, compress=compress))


def steps(does: Callable[[], None], last: int) -> int:
    """Lines of the merger's modules that ``does`` runs. Killed before the one numbered ``last``."""
    count = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.startswith(MERGER):
            return None
        if event == "line":
            if count == last:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
        return trace

    sys.settrace(trace)
    try:
        does()
    finally:
        sys.settrace(None)
    return count


def killed(does: Callable[[], None], at: int) -> bool:
    """In a process of its own; whether it was killed."""
    child = os.fork()
    if not child:
        try:
            steps(does, at)
        except BaseException:  # noqa: BLE001 - a child must never come back
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return os.WIFSIGNALED(status)


def made(root: Path) -> Master:
    master = Master(root / "42")
    for sub in range(6):
        for name in ("a.txt", "b.txt"):
            master.put(sub, name, b"%d %s\r\n" % (sub, name.encode()))
    return master


@pytest.mark.parametrize("compress", [False, True])
def test_at_every_step(tmp_path: Path, compress: bool) -> None:
    """What is seen is whole, whenever it dies; the next process ends the merge, and nothing of it
    is left."""
    growth._remembered.clear()
    first = made(tmp_path / "whole")
    total = steps(lambda: work(first, compress), -1)
    deaths = 0
    for at in range(0, total, max(1, total // KILLS)):
        growth._remembered.clear()
        master = made(tmp_path / str(at))
        deaths += killed(lambda master=master: work(master, compress), at)  # type: ignore[misc]
        check(master, compress, whole=False)
        work(master, compress)
        check(master, compress, whole=True)
    assert deaths >= KILLS


def check(master: Master, compress: bool, *, whole: bool) -> None:
    """Each output is not there, or right."""
    seen = {n for n in snapshot(str(master.target)) if not n.startswith(".")}
    end = ".gz" if compress else ""
    for name in ("a.txt", "b.txt"):
        if name + end in seen:
            paths = [master.root / str(sub) / "output" / name for sub in range(6)]
            inputs = [(p, b"%d %s\n" % (n, name.encode())) for n, p in enumerate(paths)]
            content = unpacked(master.target / (name + end))
            assert content.partition(b"\n")[2] == frame(*inputs)
    if whole:
        assert {f"a.txt{end}", f"b.txt{end}"} <= seen
        assert manifest.verify(str(master.target)) == []
        assert not any(n.startswith(growth.PREFIX) for n in snapshot(str(master.target)))
