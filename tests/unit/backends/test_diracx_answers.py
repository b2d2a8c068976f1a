"""DiracX's rows and times, and any json in their place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangamon.backends.dirac import states as table
from gangamon.backends.diracx import answers
from gangamon.domain.observation import Absent, Seen, Unreachable
from gangamon.domain.status import FINAL, JobStatus
from gangamon.grid.diracx import seconds

ROW = {
    "JobID": 7,
    "Status": "Done",
    "MinorStatus": "Execution Complete",
    "ApplicationStatus": "Unknown",
    "Site": "LCG.CERN.ch",
    "Owner": "tester",
    "VO": "gm",
    "StartExecTime": "2026-11-23T13:15:12.822491Z",
    "EndExecTime": "2026-11-23T13:15:13",
    "RescheduleCounter": 0,
}


def one(*rows: Any) -> Any:
    return answers.states(rows, [7], "tester", "gm")[7]


def test_a_row() -> None:
    seen = one(ROW, {**ROW, "JobID": 8, "Status": "Failed"})
    assert (seen.status, seen.site, seen.restarts) == (JobStatus.COMPLETED, "LCG.CERN.ch", 0)
    assert seen.ended_at - seen.started_at == pytest.approx(0.177509, abs=1e-5)
    assert one(ROW, ROW).status is JobStatus.COMPLETED


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([{**ROW, "Owner": "other"}], id="another's"),
        pytest.param([{**ROW, "VO": "lhcb"}], id="another VO's"),
        pytest.param([ROW, {**ROW, "Status": "Failed"}], id="twice in two ways"),
        pytest.param([{**ROW, "Status": None}], id="no status"),
        pytest.param([{**ROW, "JobID": "7"}], id="no number"),
        pytest.param([{}], id="nothing"),
    ],
)
def test_what_teaches_nothing(rows: list[Any]) -> None:
    assert isinstance(one(*rows), Unreachable)


def test_a_good_answer_without_it() -> None:
    assert isinstance(one({**ROW, "JobID": 8}), Absent)
    assert isinstance(one(), Absent)
    unmapped = one({**ROW, "Status": "Dreaming"})
    assert (unmapped.status, unmapped.native_status) == (None, "Dreaming")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:10Z", 10.0),
        ("1970-01-01T00:00:10.5Z", 10.5),
        ("1970-01-01 01:00:10.500001+01:00", 10.500001),
        ("1970-01-01T00:00:10", 10.0),
        ("1970-01-01T00:00:00Z", None),
        ("2026-13-01T00:00:00Z", None),
        ("today", None),
        (None, None),
        (10, None),
    ],
)
def test_times(text: object, expected: float | None) -> None:
    assert seconds(text) == expected


@given(st.text(max_size=40) | st.from_regex(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?"))
def test_any_time(text: str) -> None:
    found = seconds(text)
    assert found is None or 0 < found < 1e11


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.lists(st.integers())
ROWS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={name: VALUES | st.just(value) for name, value in ROW.items()},
    ),
    max_size=4,
)


@given(ROWS)
def test_any_rows(rows: list[dict[str, Any]]) -> None:
    """No crash; an end only where a row of that job tells it."""
    found = one(*rows)
    if isinstance(found, Seen) and found.status in FINAL:
        told = [row for row in rows if row.get("JobID") == 7]
        assert any(table.meaning(str(row.get("Status")), "") in FINAL for row in told)
    if isinstance(found, Absent):
        assert not any(row.get("JobID") == 7 and row["JobID"] is not True for row in rows)
