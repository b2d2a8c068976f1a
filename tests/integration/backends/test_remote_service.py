"""Remote jobs through the whole service: workers, a real sshd, the merged file at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gangamon.client import Client
from gangamon.domain.command import Enqueue, JobSpec, MergerSpec, Register
from gangamon.domain.lane import Lane
from gangamon.domain.status import JobStatus
from tests.integration.backends.far import START, Far
from tests.integration.backends.sshd import Sshd
from tests.support import worker
from tests.support.waiting import until
from tests.support.worker import Service

REPOSITORY, MASTER, JOBS, FAILS = "e" * 32, 42, 25, 7
END = "WRAPPER: 7\nPID: 8\nEXITCODE: %d\nSTOP: Mon Nov 23 03:09:47 2026\n"


@pytest.fixture
def service(remote: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setitem(worker.KINDS, "poll", ("poll.Remote", "threads", 2))
    made = Service(tmp_path / "service", more={"TMPDIR": str(remote.temporary)})
    try:
        made.redis.start()
        yield made
    finally:
        made.close()


def lines(sub: int) -> str:
    return f"of {sub}\n" * 100


def submit(service: Service, remote: Sshd, far: Far) -> Client:
    """Their directories here as Ganga makes them, and what they are there."""
    workspace = service.data / "LocalXML" / str(MASTER)
    specs = []
    for sub in range(JOBS):
        (workspace / str(sub) / "output").mkdir(parents=True)
        item = far.job(100 + sub)
        (far.top / item.native_id / "output" / "out.txt").write_text(lines(sub))
        specs.append(JobSpec(sub, 1, JobStatus.SUBMITTED, item.native_id, dict(item.extra)))
    client = service.client()
    client.submit(Register(Client.new_id(), REPOSITORY, (str(service.data),)))
    client.submit(
        Enqueue(
            Client.new_id(),
            REPOSITORY,
            MASTER,
            JOBS,
            "remote",
            Lane("Remote", remote.endpoint),
            str(workspace),
            (MergerSpec("TextMerger", ("out.txt",), ignorefailed=True),),
            tuple(specs),
        )
    )
    client.flush()
    return client


def test_from_the_far_status_files_to_the_merged_file(
    service: Service, remote: Sshd, far: Far
) -> None:
    """A transfer worker is killed meanwhile; one of the jobs has failed there."""
    client = submit(service, remote, far)
    service.start("tick", "poll", "transfer", "merge", "beat")

    def end(subs: range) -> None:
        for sub in subs:
            status = far.top / str(100 + sub) / "output" / "__jobstatus__"
            status.write_text(START + END % (3 if sub == FAILS else 0))

    def statuses() -> list[str]:
        view = client.snapshot(REPOSITORY, MASTER)
        return [] if view is None else [view.jobs[n].status.value for n in sorted(view.jobs)]

    end(range(10))
    until(lambda: statuses().count("completed") >= 3, 120, "some are here", statuses)
    service.kill("transfer")
    end(range(10, JOBS))
    service.start("transfer")

    def final() -> object:
        view = client.snapshot(REPOSITORY, MASTER)
        return view is not None and view.final

    until(final, 120, "the master is over", statuses)
    expected = ["failed" if sub == FAILS else "completed" for sub in range(JOBS)]
    assert statuses() == expected
    workspace = service.data / "LocalXML" / str(MASTER)
    for sub in range(JOBS):
        assert (workspace / str(sub) / "output" / "out.txt").read_text() == lines(sub)
    merged = (workspace / "output" / "out.txt").read_text().splitlines(keepends=True)
    told = "".join(line for line in merged if line.startswith("of "))
    assert told == "".join(lines(sub) for sub in range(JOBS) if sub != FAILS)
