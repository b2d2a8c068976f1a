"""Jobs as the store writes them: what is left out comes back."""

from __future__ import annotations

import json

import pytest

from gangamon.domain.command import CheckerSpec, MergerSpec
from gangamon.domain.job import Entry, Evidence, Job
from gangamon.domain.observation import Check, Put
from gangamon.domain.status import JobStatus
from gangamon.store import codec
from gangamon.testing import factories


def restored(job: Job) -> Job:
    facts = codec.dump_facts(job, codec.dumps(dict(job.attributes)))
    return codec.load_job(job.fqid, job.state, *codec.loads([facts]))


@pytest.mark.parametrize(
    "evidence",
    [
        None,
        Evidence("list", "Done"),
        Evidence("list", "Done", exit_code=0),
        Evidence("ganga", "", reason="killed in Ganga"),
        Evidence("accounting", "Other", 137, "killed", 0.0, 1.5, 3),
    ],
)
@pytest.mark.parametrize("native_status", ["", "Done"])
def test_evidence_comes_back(evidence: Evidence | None, native_status: str) -> None:
    """An exit code of 0 is not none, and a native status may be the job's own or another."""
    job = factories.job(JobStatus.KILLED, native_status=native_status, evidence=evidence)
    assert restored(job) == job


def test_every_field_comes_back() -> None:
    """With text that json must quote."""
    job = Job(
        fqid="7.3",
        attempt=2,
        status=JobStatus.COMPLETING,
        restart=1,
        native_status='a "quoted" \\ \n\u20ac',
        unmapped=True,
        site="here",
        verdict=JobStatus.FAILED,
        absences=2,
        absent_at=1.5,
        absent_for=0.25,
        stale=True,
        evidence=Evidence("list", "Done", 3, "why"),
        attributes={"exitcode": 0, "actualCE": 'n"1', "x": None, "y": 0.5, "z": True},
        history=(
            Entry(2, 0, JobStatus.RUNNING, 1.25, "list"),
            Entry(2, 1, JobStatus.COMPLETING, 2.5, 'a"b'),
        ),
        checks=(Check("A", "ab", False, 'a "reason"'), Check("B", "cd", True, "", "no\n")),
        left_out=("'../x': leads out", "'y': a link"),
        puts=(Put(0, (("a", "/eos/a"), ("b", "/eos/b"))), Put(2, (), 'no "room"')),
        told_at=3.5,
    )
    plain = vars(Job("", 1, JobStatus.SUBMITTING))
    assert not [name for name, value in vars(job).items() if value == plain[name]], "not tried"
    assert restored(job) == job


@pytest.mark.parametrize("evidence", [None, Evidence("list", "Done", 0, "", 1.5, 2.5)])
def test_an_update_is_json(evidence: Evidence | None) -> None:
    job = factories.job(JobStatus.RUNNING, evidence=evidence).but(attributes={"queue": 'a"b'})
    text = codec.dump_update(3, job, codec.dumps(dict(job.attributes)))
    times = [2.5, 1.5] if evidence else [None, None]
    assert json.loads(text) == [3, job.attempt, job.restart, "running", {"queue": 'a"b'}, *times]


def test_postprocessors_come_back() -> None:
    """With what their kinds take, and the parts of a merger."""
    part = MergerSpec("RootMerger", ("b.root",), overwrite=True, options={"args": "-O"})
    mergers = (
        part,
        MergerSpec("SmartMerger", ("b.root",), options={"refusal": "x"}, parts=(part,)),
    )
    checkers = (CheckerSpec("CustomChecker", (), (), False, options={"module": "/m.py"}),)
    assert tuple(map(codec._merger, json.loads(codec.dump_parts(mergers)))) == mergers
    assert tuple(map(codec._checker, json.loads(codec.dump_parts(checkers)))) == checkers
