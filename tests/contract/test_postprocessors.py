"""The merger suite, run by every merger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import uproot

from gangamon import postprocess
from gangamon.domain.command import MergerSpec
from gangamon.domain.status import JobStatus
from gangamon.postprocess import segments
from gangamon.protocols import MergeOrder
from gangamon.testing.conformance import (
    GrowingConformance,
    PostProcessorCase,
    PostProcessorConformance,
)
from gangamon.testing.factories import merge_order


@pytest.mark.parametrize("compress", [False, True])
class TestText(GrowingConformance):
    """Ganga's TextMerger, plain and compressed."""

    @pytest.fixture
    def case(self, tmp_path: Path, compress: bool) -> PostProcessorCase:
        inputs = []
        for sub in range(3):
            output = tmp_path / "42" / str(sub) / "output"
            output.mkdir(parents=True)
            (output / "a.txt").write_text(f"a {sub}\n")
            (output / "b.txt").write_text(f"b {sub}\n")
            inputs.append((f"42.{sub}", JobStatus.COMPLETED, str(output)))
        order = merge_order(
            str(tmp_path / "42" / "output"), inputs, "a.txt", "b*", compress=compress
        )
        return PostProcessorCase(postprocess.for_kind("TextMerger"), order)


PART = MergerSpec("TextMerger", ("a.txt",))
MODULE = """
def mergefiles(file_list, output_file):
    with open(output_file, "wb") as out:
        for path in file_list:
            with open(path, "rb") as file:
                out.write(file.read())
    return True
"""


@pytest.mark.parametrize("kind", ["SmartMerger", "CustomMerger"])
class TestOthers(PostProcessorConformance):
    """Those made of others, and of the user's code."""

    @pytest.fixture
    def case(self, tmp_path: Path, kind: str) -> PostProcessorCase:
        inputs = []
        for sub in range(3):
            output = tmp_path / "42" / str(sub) / "output"
            output.mkdir(parents=True)
            (output / "a.txt").write_text(f"a {sub}\n")
            inputs.append((f"42.{sub}", JobStatus.COMPLETED, str(output)))
        module = tmp_path / "mine.py"
        module.write_text(MODULE)
        given: dict[str, Any] = {"options": {"module": str(module)}}
        if kind == "SmartMerger":
            given = {"parts": (PART,)}
        spec = MergerSpec(kind, ("a.txt",), **given)
        order = MergeOrder("42", 1, spec, str(tmp_path / "42" / "output"), inputs)
        return PostProcessorCase(postprocess.for_kind(kind), order)


class TestRoot(GrowingConformance):
    """ROOT files, by whatever the machine has."""

    @pytest.fixture
    def case(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PostProcessorCase:
        monkeypatch.setattr(segments, "SPAN", 2)
        inputs = []
        for sub in range(3):
            output = tmp_path / "42" / str(sub) / "output"
            output.mkdir(parents=True)
            with uproot.recreate(output / "a.root") as file:
                file.mktree("t", {"x": "i4"}).extend({"x": numpy.arange(sub, dtype="i4")})
            inputs.append((f"42.{sub}", JobStatus.COMPLETED, str(output)))
        spec = MergerSpec("RootMerger", ("a.root",))
        order = MergeOrder("42", 1, spec, str(tmp_path / "42" / "output"), inputs)
        return PostProcessorCase(postprocess.for_kind("RootMerger"), order)


class TestCsv(GrowingConformance):
    """Rows, by the same means as all data formats."""

    @pytest.fixture
    def case(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PostProcessorCase:
        monkeypatch.setattr(segments, "SPAN", 2)
        inputs = []
        for sub in range(3):
            output = tmp_path / "42" / str(sub) / "output"
            output.mkdir(parents=True)
            (output / "a.csv").write_text(f"x,y\n{sub},2\n")
            inputs.append((f"42.{sub}", JobStatus.COMPLETED, str(output)))
        spec = MergerSpec("CsvMerger", ("a.csv",))
        order = MergeOrder("42", 1, spec, str(tmp_path / "42" / "output"), inputs)
        return PostProcessorCase(postprocess.for_kind("CsvMerger"), order)
