"""The merger suite, run by every merger."""

from __future__ import annotations

from pathlib import Path

import pytest

from gangamon import postprocess
from gangamon.domain.status import JobStatus
from gangamon.testing.conformance import GrowingConformance, PostProcessorCase
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
