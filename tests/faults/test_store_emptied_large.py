"""Redis loses all it had among very many live jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.torture.emptied import WITHIN, emptied, planned_emptied

JOBS = 20_000


@pytest.mark.timeout(900)
def test_twenty_thousand_live_jobs_are_tracked_again_within_a_minute(tmp_path: Path) -> None:
    """A new epoch; each ends right in it; nothing is fetched or merged twice otherwise."""
    outcome = emptied(planned_emptied(JOBS, 8, 5, tmp_path))
    assert not outcome.faults, "\n".join(outcome.faults)
    assert outcome.figures["tracked_again_s"] <= WITHIN
    assert outcome.figures["live"] > 0.9 * JOBS
