"""kill -9 of a Ganga session while its subjobs change."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.killed.run import killed


@pytest.mark.skipif(find_spec("ganga") is None, reason="Ganga is not installed")
@pytest.mark.timeout(900)
def test_every_subjob_is_there_and_becomes_right(tmp_path: Path) -> None:
    """After each of five kills stock Ganga opens the repository and finds every subjob, with a
    status that was told, none older than before, and what the user had flushed; after the last
    session, all statuses are right. (``python -m benchmarks killed``: 20 kills, 2,000 subjobs.)"""
    assert killed(kills=5, subjobs=300, seed=3, folder=tmp_path) == []
