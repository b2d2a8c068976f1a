"""A worker of each kind and a beat are restarted while jobs run and end."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.rolling import planned, rolling

JOBS = 800

#: One of each kind; the other one works on.
RESTARTED = ("tick", "poll", "transfer", "merge", "beat-1")


@pytest.mark.timeout(900)
def test_a_rolling_restart_loses_and_doubles_no_transition(tmp_path: Path) -> None:
    """Each told once, each job's end the right one; what was restarted was by our hand only."""
    outcome = rolling(planned(JOBS, 4, 30.0, 3, tmp_path), RESTARTED)
    assert not outcome.faults, "\n".join(outcome.faults)
    assert outcome.figures["doubled"] == 0
    assert outcome.figures["live"] > 0
    assert outcome.figures["ended_meanwhile"] > 0
