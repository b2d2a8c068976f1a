"""Jobs as the store writes them: what is left out comes back."""

from __future__ import annotations

import pytest

from gangamon.domain.job import Evidence
from gangamon.domain.status import JobStatus
from gangamon.store import codec
from gangamon.testing import factories


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
    assert codec.load_job(job.fqid, job.state, *codec.loads([codec.dump_facts(job)])) == job
