"""The master's status from its subjobs', by Ganga's order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gangamon.domain.rollup import ORDER, ended, rollup
from gangamon.domain.status import FINAL, JobStatus

counts = st.dictionaries(st.sampled_from(list(JobStatus)), st.integers(0, 3))

#: ``Job.updateMasterJobStatus`` of Ganga 8.7.12, as far as its statuses are ours.
GANGA = ["submitting", "submitted", "running", "completing", "failed", "killed", "completed"]


def test_the_order_is_gangas() -> None:
    """Every status stands in it once, in Ganga's order."""
    assert [status.value for status in ORDER] == GANGA
    assert set(ORDER) == set(JobStatus)


@given(counts)
def test_the_first_present_wins(present: dict[JobStatus, int]) -> None:
    """As Ganga decides from the set of the subjobs' statuses."""
    there = {status.value for status, count in present.items() if count}
    expected = next((status for status in GANGA if status in there), None)
    assert rollup(present) == expected


@given(counts, st.integers(0, 12))
def test_ended_is_all_and_final(present: dict[JobStatus, int], total: int) -> None:
    """Ended means that every subjob the master has, enqueued or not, has a final status."""
    final = sum(count for status, count in present.items() if status in FINAL)
    assert ended(present, total) == (total > 0 and final >= total)


def test_one_failed_among_many() -> None:
    """One failed subjob fails the master, but not before the others have ended."""
    assert rollup({JobStatus.COMPLETED: 9, JobStatus.FAILED: 1}) is JobStatus.FAILED
    assert rollup({JobStatus.RUNNING: 1, JobStatus.FAILED: 9}) is JobStatus.RUNNING
    assert rollup({JobStatus.COMPLETED: 0}) is None
