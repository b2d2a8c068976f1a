"""kill -9 in fetch, check, merge and notify: a small run of ``python -m benchmarks stages``."""

from __future__ import annotations

from pathlib import Path

from benchmarks.stages.run import stages
from benchmarks.support import Verdict


def test_a_death_in_each_stage(tmp_path: Path) -> None:
    """All jobs end right, once; each merge is whole, once; each end is told; nothing is left."""
    verdict = Verdict()
    stages(tmp_path, 60, 2, 1, verdict)
    assert not verdict.missed
