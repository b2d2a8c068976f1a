"""ARC's answers, ids and ends, from what A-REX 6.17 really sent; and on any json."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangamon.backends.arc import answers
from gangamon.backends.arc.answers import Info, Status
from gangamon.backends.arc.backend import ArcBackend, _observation
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Seen, Unreachable
from gangamon.domain.status import FINAL, JobStatus
from gangamon.errors import BackendUnreachable, CredentialMissing, TransientError
from gangamon.fetchers.arc import _names
from gangamon.grid.arc import JobId
from gangamon.testing.factories import poll_item

HERE = JobId("abc", "https://ce.example.org:443/arex")


def activity(state: str, **fields: str) -> Any:
    """As the information provider writes it."""
    document = {
        "State": ["nordugrid:x", f"arcrest:{state}"],
        "SubmissionTime": "2026-11-23T09:40:30Z",
        "StartTime": "2026-11-23T09:40:32Z",
        "ComputingManagerEndTime": "2026-11-23T09:40:47Z",
        **fields,
    }
    job = {"status-code": "200", "id": "abc", "info_document": {"ComputingActivity": document}}
    return {"job": job}


def judge(state: str, document: Any = None, cause: str | None = None) -> Any:
    info = answers.infos(document, ["abc"])["abc"] if document else Info()
    return _observation(Status("200", "OK", state), info, cause, HERE)


@pytest.mark.parametrize(
    ("text", "service"),
    [
        ("https://ce.example.org:443/arex/rest/1.0/jobs/abc", "https://ce.example.org:443/arex"),
        ("https://CE.example.org:8443/arex/abc", "https://ce.example.org:8443/arex"),
        ("gsiftp://ce.example.org:2811/jobs/abc", "https://ce.example.org:443/arex"),
        ("abc", "https://lane.example.org:443/arex"),
    ],
)
def test_an_id_tells_its_service(text: str, service: str) -> None:
    assert JobId.parse(text, "lane.example.org") == JobId("abc", service)


@pytest.mark.parametrize("text", ["", "http://ce/arex/abc", "https:///abc", "https://ce:x/abc"])
def test_what_is_no_id(text: str) -> None:
    assert JobId.parse(text, "lane.example.org") is None


def test_one_job_is_an_object_and_none_is_nothing() -> None:
    one = {"job": {"status-code": "200", "reason": "OK", "id": "a", "state": "RUNNING"}}
    assert answers.statuses(one, ["a", "b"]) == {"a": Status("200", "OK", "RUNNING")}
    assert answers.statuses(None, []) == {}
    with pytest.raises(BackendUnreachable):
        answers.statuses(None, ["a"])


def test_ends() -> None:
    well = judge("FINISHED", activity("FINISHED", ExitCode="0"))
    assert (well.status, well.exit_code, well.reason) == (JobStatus.COMPLETED, 0, "")
    assert well.ended_at - well.started_at == 15
    error = "LRMS error: (3) Job finished with wrong exit code - 3 != 0"
    bad = judge("FAILED", activity("FAILED", ExitCode="3", Error=error))
    assert (bad.status, bad.exit_code) == (JobStatus.FAILED, 3)
    assert error in bad.reason
    odd = judge("FINISHED", activity("FINISHED", ExitCode="2"))
    assert (odd.status, odd.exit_code) == (JobStatus.FAILED, 2)


def test_a_cancelled_job_that_is_first_called_failed() -> None:
    """A-REX says FAILED of it until its information provider has been round."""
    assert judge("FAILED", None, "Job is canceled by external request").status is JobStatus.KILLED
    assert judge("FAILED", None, "LRMS error: (-1)").status is JobStatus.FAILED
    assert judge("FAILED").status is JobStatus.RUNNING  # not asked yet


def test_no_end_without_a_word() -> None:
    assert isinstance(_observation(None, Info(), None, HERE), Unreachable)
    assert isinstance(_observation(Status("500", "x", ""), Info(), None, HERE), Unreachable)
    for status in (Status("404", "Job not found", "None"), Status("200", "OK", "WIPED")):
        assert isinstance(_observation(status, Info(), None, HERE), Absent)
    assert judge("None").status is None


def test_without_a_credential_nothing_is_asked() -> None:
    item = poll_item("42.0", "/none", native_id="https://ce.example.org/arex/abc")
    with pytest.raises(CredentialMissing):
        ArcBackend().poll(Lane("ARC", HERE.service), [item])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["abc", "200"]),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["job", "id", "state", "info_document"]), inner)
    ),
)


@given(JSON)
def test_any_json(value: Any) -> None:
    """No crash, and no end that the answer does not tell."""
    try:
        found = answers.statuses(value, ["abc"])
        answers.infos(value, ["abc"])
    except BackendUnreachable:
        return
    for status in found.values():
        seen = _observation(status, Info(), None, HERE)
        assert not (isinstance(seen, Seen) and seen.status in FINAL) or status.code == "200"


@given(st.fixed_dictionaries({}, optional={"file": JSON | st.just(".."), "dir": JSON}) | JSON)
def test_any_listing_of_outputs(value: Any) -> None:
    """Names of that directory, or an error."""
    for kind in ("file", "dir"):
        try:
            names = _names(value, kind)
        except TransientError:
            continue
        assert not any("/" in name or name in ("", ".", "..") for name in names)
