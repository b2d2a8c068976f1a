"""What the program in DIRAC's environment may answer, as observations."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangamon.backends.dirac import answers, states
from gangamon.domain.observation import Absent, Seen, Unreachable
from gangamon.domain.status import FINAL, JobStatus
from gangamon.errors import BackendUnreachable

JOB = {
    "status": "Done",
    "minor": "Execution Complete",
    "application": "step 2",
    "site": "LCG.CERN.ch",
    "owner": "me",
    "restarts": 2,
    "started": 1000.0,
    "ended": 2000.0,
    "cpu": "77",
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def one(user: str = "me", **changed: Any) -> object:
    return answers.states({"jobs": {"7": {**JOB, **changed}}, "user": user}, [7])[7]


def test_a_job_that_ended() -> None:
    assert one() == Seen(
        "Done",
        JobStatus.COMPLETED,
        "JobMonitoring",
        site="LCG.CERN.ch",
        started_at=1000.0,
        ended_at=2000.0,
        restarts=2,
        attributes={
            "status": "Done",
            "statusInfo": "Execution Complete",
            "extraInfo": "step 2",
            "actualCE": "LCG.CERN.ch",
            "normCPUTime": "77",
        },
    )


def test_not_named_is_absent() -> None:
    assert answers.states({"jobs": {}, "user": "me"}, [7]) == {7: Absent("JobMonitoring")}


@pytest.mark.parametrize("answer", [{}, {"jobs": None}, {"jobs": []}, {"stories": 1}])
def test_what_is_no_answer(answer: dict[str, Any]) -> None:
    with pytest.raises(BackendUnreachable):
        answers.states(answer, [7])
    with pytest.raises(BackendUnreachable):
        answers.stories(answer, [7])


@pytest.mark.parametrize("job", [1, "Done", [], {}, {"status": ""}, {"status": 3}])
def test_an_unreadable_job_is_not_absent(job: object) -> None:
    found = answers.states({"jobs": {"7": job}, "user": "me"}, [7])[7]
    assert isinstance(found, Unreachable)


def test_of_another_user() -> None:
    assert isinstance(one(owner="other"), Unreachable)
    assert isinstance(one(user=""), Seen)
    assert isinstance(one(owner=""), Seen)


def test_a_start_after_the_end_is_of_another_run() -> None:
    found = one(started=3000.0)
    assert isinstance(found, Seen)
    assert (found.started_at, found.ended_at) == (None, 2000.0)


def test_the_end_of_an_earlier_run_is_not_told() -> None:
    found = one(status="Running")
    assert isinstance(found, Seen)
    assert (found.ended_at, found.exit_code) == (None, None)


def test_a_story_is_its_last_record() -> None:
    records = [
        ["Received", "", "Unknown", 100.0],
        ["Running", "Application", "Unknown", 200.0],
        ["Failed", "Application Finished", "'x' Exited With Status 5", 300.0],
    ]
    told = {"stories": {"7": records, "8": []}, "untold": {"10": "no connection"}}
    found = answers.stories(told, [7, 8, 9, 10])
    seen = found[7]
    assert isinstance(seen, Seen)
    assert (seen.status, seen.exit_code) == (JobStatus.FAILED, 5)
    assert (seen.started_at, seen.ended_at) == (200.0, 300.0)
    assert "actualCE" not in seen.attributes
    assert found[8] == Absent("JobLoggingDB", second=True)
    assert isinstance(found[9], Unreachable)  # it was not told: that is no absence
    assert found[10] == Unreachable("DIRAC: job 10: no connection")


@given(st.dictionaries(st.sampled_from(["jobs", "stories", "untold", "user"]), json_values))
def test_any_answer_is_read_or_refused(answer: dict[str, Any]) -> None:
    for read in (answers.states, answers.stories):
        try:
            found = read(answer, [7, 8])
        except BackendUnreachable:
            continue
        assert set(found) == {7, 8}


@given(json_values | st.fixed_dictionaries({}, optional=dict.fromkeys(JOB, json_values)))
def test_an_end_is_only_what_the_answer_says(job: Any) -> None:
    found = answers.states({"jobs": {"7": job}, "user": "me"}, [7])[7]
    if isinstance(found, Absent):
        assert job is None
    if isinstance(found, Seen) and found.status in FINAL:
        assert states.STATES[job["status"]] is found.status


@given(json_values)
def test_a_story_ends_only_as_it_says(records: Any) -> None:
    found = answers.stories({"stories": {"7": records}}, [7])[7]
    if isinstance(found, Absent):
        assert records == []
    if isinstance(found, Seen) and found.status in FINAL:
        assert states.STATES[records[-1][0]] is found.status
