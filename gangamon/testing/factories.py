"""Objects for tests: whole and legal, with only what matters named by the caller."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gangamon.domain.command import UNSPLIT, Enqueue, JobSpec, MergerSpec
from gangamon.domain.job import Job
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Scalar
from gangamon.domain.status import JobStatus
from gangamon.protocols import FetchOrder, MergeOrder, PollItem

REPOSITORY = "0123456789abcdef0123456789abcdef"
LANE = Lane("Local", "host.example.org")


def job_spec(sub: int = 0, **fields: Any) -> JobSpec:
    spec = JobSpec(sub, 1, JobStatus.SUBMITTED, native_id=str(1000 + sub), extra={})
    return replace(spec, **fields)


def enqueue(subs: int = 3, **fields: Any) -> Enqueue:
    """A command for the first ``subs`` subjobs of master job 42; 0: a job that was not split."""
    command = Enqueue(
        id=uuid.uuid4().hex,
        repository=REPOSITORY,
        master=42,
        total=max(subs, 1),
        name="test",
        lane=LANE,
        workspace="/home/user/gangadir/workspace/user/LocalXML/42",
        mergers=(),
        jobs=tuple(job_spec(sub) for sub in range(subs)) or (job_spec(UNSPLIT),),
    )
    return replace(command, **fields)


def job(status: JobStatus = JobStatus.SUBMITTED, **fields: Any) -> Job:
    return replace(Job(fqid="42.0", attempt=1, status=status), **fields)


def poll_item(
    fqid: str, output: str, extra: Mapping[str, Scalar] | None = None, **fields: Any
) -> PollItem:
    item = PollItem(fqid, native_id="1", status=JobStatus.SUBMITTED, output=output)
    return replace(item, extra=extra or {}, **fields)


def fetch_order(target: str, roots: Sequence[str], **fields: Any) -> FetchOrder:
    order = FetchOrder(
        "42.0", 1, target, native_id="1", extra={}, roots=tuple(roots), lane=Lane("Local", "node1")
    )
    return replace(order, **fields)


def merge_order(
    target: str, inputs: Sequence[tuple[str, JobStatus, str]], *files: str, **flags: Any
) -> MergeOrder:
    """``inputs``: (fqid, status, output directory); ``flags``: other fields of MergerSpec."""
    spec = MergerSpec("TextMerger", files, **flags)
    return MergeOrder("42", 1, spec, target, inputs)
