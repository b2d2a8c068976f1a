"""Everything at once: kill -9 of all there is, half-open connections, a frozen Redis."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.torture.run import planned, torture

SECONDS = 60.0
JOBS = 3000


@pytest.mark.timeout(900)
def test_nothing_is_lost_doubled_or_untrue_whatever_dies(tmp_path: Path) -> None:
    """Seeded chaos among 3,000 jobs: each job and each master ends once, right, merged once."""
    outcome = torture(planned(JOBS, 6, SECONDS, 7, tmp_path), SECONDS)
    assert not outcome.faults, "\n".join(outcome.faults)
    assert outcome.figures["doubled"] == 0
    assert outcome.figures["chaos"]["blows"] >= SECONDS / 6
    assert outcome.figures["chaos"]["kill -9 of Redis"] >= 1
