"""What the outage benchmark takes for untrue, unsaid, and late."""

from __future__ import annotations

import math

import pytest

from benchmarks.outages.judge import (
    Outage,
    Run,
    Said,
    early,
    going,
    hidden,
    lost,
    settled,
    unsaid,
    untruths,
)
from gangamon.domain.status import JobStatus

RUNNING, COMPLETING = JobStatus.RUNNING, JobStatus.COMPLETING
COMPLETED, FAILED, KILLED = JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.KILLED

ENDED = Run(100.0, 200.0, COMPLETED)


@pytest.mark.parametrize(
    ("status", "at", "true"),
    [
        (COMPLETED, 200.0, True),
        (COMPLETED, 199.5, True),  # servers count seconds
        (COMPLETED, 190.0, False),
        (COMPLETING, 190.0, False),
        (FAILED, 210.0, False),
        (KILLED, 210.0, False),
        (RUNNING, 100.0, True),
        (RUNNING, 90.0, True),  # see early
        (JobStatus.SUBMITTED, 50.0, True),
    ],
)
def test_untrue(status: JobStatus, at: float, true: bool) -> None:
    """Another end, an end before the end; a run of a job that never began; a job without a
    record."""
    said = {"1": [Said(at, status)]}
    assert (not untruths(said, {"1": [ENDED]})) is true
    assert untruths({"1": [Said(at, FAILED)]}, {"1": []})
    assert untruths({"1": [Said(at, RUNNING)]}, {"1": [Run(None, 200.0, KILLED)]})


def test_early() -> None:
    said = {"1": [Said(97.0, RUNNING)], "2": [Said(101.0, RUNNING)]}
    assert early(said, {"1": [ENDED], "2": [ENDED]}) == 3.0
    assert early({}, {"1": [ENDED]}) == 0.0


def test_a_job_that_was_begun_anew() -> None:
    """Its first run is no end, whoever said so."""
    record = {"1": [Run(10.0, 20.0, None), ENDED]}
    assert not untruths({"1": [Said(11.0, RUNNING), Said(201.0, COMPLETED)]}, record)
    assert untruths({"1": [Said(21.0, FAILED)]}, record)


def test_a_job_that_goes_on() -> None:
    """By its server's record: it may be said to run, and no end of it may be told."""
    record = {"1": [Run(100.0, math.inf, None)], "2": [ENDED], "3": []}
    assert going(record) == 2
    said = {"1": [Said(101.0, RUNNING)]}
    assert not untruths(said, record) and not unsaid(said, {"1": record["1"]})
    assert hidden(Outage("x", 90.0, 250.0, 10.0), {"1": record["1"]}) == 0
    assert settled(Outage("x", 90.0, 120.0, 10.0), said, {"1": record["1"]}) == -19.0
    for end in (COMPLETING, COMPLETED, FAILED, KILLED):
        assert untruths({"1": [Said(300.0, end)]}, record)


def test_a_job_that_the_server_has_lost_is_not_waited_for() -> None:
    gone = Run(100.0, math.inf, None, lost=True)
    record = {"a": [gone], "b": [Run(100.0, math.inf, None)], "c": [], "d": [ENDED]}
    assert lost(record) == 1
    assert not unsaid({"a": [Said(100.0, RUNNING)]}, {"a": [gone]})


def test_unsaid() -> None:
    record = {"1": [ENDED], "2": [Run(10.0, 20.0, None)]}
    assert not unsaid({"1": [Said(201.0, COMPLETED)]}, record)
    for story in ([], [Said(100.0, RUNNING)], [Said(201.0, FAILED)]):
        assert len(unsaid({"1": story}, record)) == 1


def test_settled() -> None:
    """By the last job that had begun, or ended, before the server was back."""
    outage = Outage("x", 150.0, 250.0, 10.0)
    record = {"1": [ENDED], "2": [Run(240.0, 400.0, FAILED)], "3": [Run(260.0, 300.0, FAILED)]}
    assert hidden(outage, record) == 1
    said = {"1": [Said(120.0, RUNNING), Said(255.0, COMPLETED)], "2": [Said(258.0, RUNNING)]}
    assert settled(outage, said, record) == 8.0
    assert settled(outage, {**said, "2": []}, record) == float("inf")
    assert settled(outage, {**said, "1": [Said(255.0, FAILED)]}, record) == float("inf")
    said["2"] = [Said(500.0, FAILED)]  # it was never seen to run
    assert settled(outage, said, record) == 250.0


@pytest.mark.parametrize(("given_up", "late"), [(255.0, 5.0), (270.0, 5.0), (271.0, 150.0)])
def test_a_run_that_the_server_gave_up_must_be_seen_if_it_lasted(
    given_up: float, late: float
) -> None:
    """Started while the server was away, and given up soon after: its job waits again."""
    outage = Outage("x", 150.0, 250.0, 10.0)
    record = {"1": [ENDED], "2": [Run(240.0, given_up, None), Run(390.0, 410.0, COMPLETED)]}
    said = {"1": [Said(255.0, COMPLETED)], "2": [Said(400.0, RUNNING), Said(415.0, COMPLETED)]}
    assert settled(outage, said, record) == late
