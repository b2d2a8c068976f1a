"""kill -9 at every step of a merge in segments, while jobs run and at the end."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from gangamon.domain.command import MergerSpec
from gangamon.domain.status import JobStatus
from gangamon.postprocess import for_kind, manifest, segments
from gangamon.protocols import Growing, MergeOrder
from tests.faults.test_kill_growth import KILLS, killed, steps

SUBS = 7


def order(root: Path, subs: int, attempt: int = 1) -> MergeOrder:
    """Of the first so many; ``attempt``: of the third."""
    spec = MergerSpec("CsvMerger", ("a.csv", "b.csv"))
    inputs = [(f"42.{n}", JobStatus.COMPLETED, str(root / str(n) / "output")) for n in range(SUBS)]
    whole = MergeOrder("42", 1, spec, str(root / "output"), inputs)
    fences = [f"{attempt if n == 2 else 1}.0" for n in range(subs)]
    return replace(whole, inputs=inputs[:subs], fences=fences)


def work(root: Path) -> None:
    """Three slices, the third after a resubmission, and the end."""
    merger = for_kind("CsvMerger")
    assert isinstance(merger, Growing)
    merger.grow(order(root, 3), 0.0)
    merger.grow(order(root, 5), 1e9)
    merger.grow(order(root, 6, attempt=2), 1e9)
    merger.run(order(root, SUBS, attempt=2))


def made(root: Path) -> Path:
    for sub in range(SUBS):
        for name in ("a.csv", "b.csv"):
            path = root / str(sub) / "output" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"x,y\n{sub},{sub}\n")
    return root


def test_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is seen is whole, whenever it dies; the next process ends the merge, once, and nothing
    is left."""
    monkeypatch.setattr(segments, "SPAN", 2)
    work(made(tmp_path / "before"))  # with what is imported at first use
    first = made(tmp_path / "whole")
    total = steps(lambda: work(first), -1)
    wanted = "x,y\n" + "".join(f"{n},{n}\n" for n in range(SUBS))
    deaths = 0
    for at in range(0, total, max(1, total // KILLS)):
        root = made(tmp_path / str(at))
        deaths += killed(lambda root=root: work(root), at)  # type: ignore[misc]
        for name in ("a.csv", "b.csv"):
            path = root / "output" / name
            assert not path.exists() or path.read_text() == wanted
        work(root)
        assert manifest.verify(str(root / "output")) == []
        assert sorted(os.listdir(root / "output")) == [
            ".gangamon-merge.json", "a.csv", "a.csv.merge_summary", "b.csv", "b.csv.merge_summary"
        ]  # fmt: skip
        assert (root / "output" / "a.csv").read_text() == wanted
    assert deaths > KILLS // 2
