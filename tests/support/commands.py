"""Commands and masters as tests need them."""

from __future__ import annotations

from gangamon.domain.command import CheckerSpec, Enqueue, JobSpec, MergerSpec, Register, Withdraw
from gangamon.domain.lane import Lane
from gangamon.domain.status import JobStatus
from gangamon.protocols import JobStore, Master

OWNER = "alice"
REPOSITORY = "0" * 31 + "1"
LANE = Lane("Local", "node1")


def register(*roots: str) -> Register:
    return Register("r1", REPOSITORY, roots or ("/data",))


def spec(sub: int, attempt: int = 1, native_id: str = "", **extra: str | int) -> JobSpec:
    return JobSpec(sub, attempt, JobStatus.SUBMITTED, native_id or f"n{sub}", extra)


def enqueue(
    jobs: int | list[JobSpec],
    command_id: str = "e1",
    master: int = 7,
    total: int | None = None,
    mergers: tuple[MergerSpec, ...] = (),
    workspace: str = "/data/7",
    lane: Lane = LANE,
    checkers: tuple[CheckerSpec, ...] = (),
) -> Enqueue:
    specs = [spec(sub) for sub in range(jobs)] if isinstance(jobs, int) else jobs
    return Enqueue(
        command_id,
        REPOSITORY,
        master,
        len(specs) if total is None else total,
        "test",
        lane,
        workspace,
        mergers,
        tuple(specs),
        checkers,
    )


def withdraw(master: int = 7, subs: tuple[int, ...] = (), command_id: str = "w1") -> Withdraw:
    return Withdraw(command_id, REPOSITORY, master, subs, JobStatus.KILLED, "killed in Ganga")


def the_master(store: JobStore, master: int = 7) -> Master:
    found = store.master(OWNER, REPOSITORY, master)
    assert found is not None
    return found
