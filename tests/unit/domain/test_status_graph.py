"""The transition table against Ganga's own status graph."""

from __future__ import annotations

import json
from pathlib import Path

from gangamon.domain.job import encode_state
from gangamon.domain.status import FINAL, LEGAL, POLLED, RANK, JobStatus

FIXTURE = Path(__file__).parents[2] / "data" / "ganga_status_graph.json"
GRAPH: dict[str, list[str]] = json.loads(FIXTURE.read_text())["graph"]


def test_every_legal_pair_is_gangas() -> None:
    """Nothing moves along a pair that Ganga would refuse."""
    pairs = {(old.value, new.value) for old, targets in LEGAL.items() for new in targets}
    assert pairs <= {(old, new) for old, targets in GRAPH.items() for new in targets}


def test_every_status_is_gangas() -> None:
    """All statuses are Ganga's strings, and each has its row and its rank."""
    assert {status.value for status in JobStatus} <= set(GRAPH)
    assert set(LEGAL) == set(RANK) == set(JobStatus)


def test_ends_are_ends() -> None:
    """A final status leads nowhere; every other one leads to an end."""
    assert {status for status, targets in LEGAL.items() if not targets} == FINAL
    for status in set(JobStatus) - FINAL:
        reached, seen = set(LEGAL[status]), {status}
        while more := reached - seen:
            seen |= more
            reached |= {new for old in more for new in LEGAL[old]}
        assert reached & FINAL
    assert not POLLED & FINAL


def test_forward_grows() -> None:
    """Within one life every legal pair but the restart's grows in rank."""
    for old, targets in LEGAL.items():
        for new in targets - {JobStatus.SUBMITTED}:
            assert RANK[new] > RANK[old]


def test_states_sort_as_versions() -> None:
    """The strings that the store compares are ordered as (attempt, restart, rank)."""
    versions = [(a, r, s) for a in (1, 9, 10, 99999) for r in (0, 9, 10) for s in RANK]
    for one in versions:
        for two in versions:
            grows = (one[0], one[1], RANK[one[2]]) < (two[0], two[1], RANK[two[2]])
            assert (encode_state(*one)[:12] < encode_state(*two)[:12]) == grows
