"""The Redis master dies under load; the sentinels make a replica the master."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.failover import failover, planned

JOBS = 1000


@pytest.mark.timeout(900)
def test_a_fail_over_loses_no_job_and_does_nothing_twice(tmp_path: Path) -> None:
    """Once killed as it is, once with the loss of what its replicas had not read: a new epoch each
    time, every job's end as the simulated system has it, nothing fetched or merged again."""
    outcome = failover(planned(JOBS, 4, 3, tmp_path))
    assert not outcome.faults, "\n".join(outcome.faults)
    killed, losing = outcome.figures["failovers"]
    assert losing["bytes_lost"] > 0
    assert killed["live"] > 0
    assert losing["live"] > 0
