"""A backend that lies in every way: no job gets an end that no answer supports."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.truth import planned, truth

JOBS = 2000


@pytest.mark.timeout(900)
def test_nothing_untrue_is_said_of_a_lying_backend(tmp_path: Path) -> None:
    """All faults mixed: all jobs end, as was said of this very restart, and none as lost."""
    outcome = truth(planned(JOBS, 4, 13, tmp_path))
    assert not outcome.faults, "\n".join(outcome.faults)
    assert sum(outcome.figures["statuses"].values()) == JOBS
    assert outcome.figures["restarts"] > JOBS / 20
    wanted = {"timeout", "error", "auth", "slow", "empty", "truncated", "stale", "duplicated"}
    assert wanted <= set(outcome.figures["faulty_answers"]), "faults that did not befall"
