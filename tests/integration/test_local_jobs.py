"""Real Ganga Local jobs, with Ganga's own wrappers, as LocalBackend and LocalFetcher see them."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gangamon.backends.local import LocalBackend
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Seen
from gangamon.domain.status import JobStatus
from gangamon.fetchers.local import LocalFetcher
from gangamon.protocols import PollItem
from gangamon.testing.factories import fetch_order, poll_item
from tests.ganga import needs_ganga, run_ganga
from tests.support.waiting import until

LANE = Lane("Local", socket.gethostname())
GOOD, BAD, KILLED, LATER = range(4)

#: Three at a time: the fourth waits until one of the others has ended.
SCRIPT = """
from GangaCore.GPIDev.Base.Proxy import stripProxy
j = Job(application=Executable(exe='sh'), backend=Local(batchsize=3))
j.splitter = ArgSplitter(args=[['-c', line] for line in given])
j.submit()
single = Job(application=Executable(exe='no-such-program'), backend=Local())
single.submit()
result = [
    [s.fqid, s.outputdir, s.backend.workdir, stripProxy(j).backend.wrapper_pid[-1]]
    for s in j.subjobs
]
last = stripProxy(single).backend.wrapper_pid[-1]
result.append([single.fqid, single.outputdir, single.backend.workdir, last])
"""


@dataclass
class Jobs:
    place: Path
    found: list[list[Any]]

    @property
    def items(self) -> list[PollItem]:
        return [
            poll_item(fqid, output, {"wrapper_pid": pid, "workdir": workdir})
            for fqid, output, workdir, pid in self.found
        ]

    def poll(self) -> list[Observation]:
        answers = LocalBackend().poll(LANE, self.items)
        return [answers[item.fqid] for item in self.items]

    def natives(self) -> list[str]:
        return [a.native_status if isinstance(a, Seen) else "-" for a in self.poll()]

    def wait(self, met: Callable[[list[str]], bool]) -> list[str]:
        """The native statuses once the condition is met."""
        return until(lambda: met(n := self.natives()) and n, 120, "other statuses", self.natives)

    def release(self, number: int) -> None:
        (self.place / f"go{number}").touch()


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    def line(number: int, end: str) -> str:
        go = tmp_path / f"go{number}"
        return f"echo job {number}; until test -e {go}; do sleep 0.05; done; {end}"

    ends = ["exit 0", "exit 3", "exit 0", "exit 0"]
    made = Jobs(tmp_path, run_ganga(tmp_path, SCRIPT, [line(n, e) for n, e in enumerate(ends)]))
    yield made
    for number in range(len(ends)):
        made.release(number)
    for pid in {pid for *_, pid in made.found}:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@needs_ganga
def test_from_the_batch_wrapper_to_the_manifest(jobs: Jobs) -> None:
    """Every state that a Local job goes through is named rightly: waiting, running, the exit
    codes, a killed wrapper, an application that does not exist."""
    jobs.wait(lambda n: n[:3] == ["running"] * 3 and n[4] == "not started")
    assert jobs.natives()[LATER] == "waiting"

    running = jobs.poll()[KILLED]
    assert isinstance(running, Seen)
    os.kill(int(str(running.attributes["wrapper_pid"])), signal.SIGKILL)
    jobs.wait(lambda n: n[KILLED] == "gone")
    jobs.release(KILLED)

    jobs.release(BAD)
    jobs.wait(lambda n: n[BAD] == "exited")
    jobs.release(GOOD)
    jobs.release(LATER)
    jobs.wait(lambda n: n == ["done", "exited", "gone", "done", "not started"])

    good, bad, killed, _, single = (a for a in jobs.poll() if isinstance(a, Seen))
    completed, failed = JobStatus.COMPLETED, JobStatus.FAILED
    assert [s.status for s in (good, bad, killed, single)] == [completed, failed, failed, failed]
    assert [s.exit_code for s in (good, bad, killed, single)] == [0, 3, None, -9999]
    assert "no-such-program" in single.reason
    assert good.started_at is not None and good.ended_at is not None
    assert 0 <= good.ended_at - good.started_at < 600
    assert abs(time.time() - good.ended_at) < 600

    for number in (GOOD, BAD, KILLED):
        item = jobs.items[number]
        order = fetch_order(item.output, [str(jobs.place)], fqid=item.fqid, extra=item.extra)
        names = {name for name, _, _ in LocalFetcher().fetch(order).files}
        assert {"stdout", "stderr", "__jobstatus__"} <= names
        assert (Path(item.output) / "stdout").read_text() == f"job {number}\n"
        assert not Path(str(item.extra["workdir"])).exists()


@needs_ganga
def test_a_killed_batch_wrapper_is_no_end(jobs: Jobs) -> None:
    """A subjob that had not begun is absent then, one that runs goes on running."""
    jobs.wait(lambda n: n[:4] == ["running"] * 3 + ["waiting"])
    batch = int(jobs.found[LATER][3])
    # As Ganga's own kill: with its pool, which would start the next job.
    os.killpg(os.getpgid(batch), signal.SIGKILL)
    jobs.wait(lambda n: n[LATER] == "-")
    assert jobs.poll()[LATER] == Absent("local")
    assert jobs.natives()[:3] == ["running"] * 3
    for number in range(3):
        jobs.release(number)
    jobs.wait(lambda n: n[:4] == ["done", "exited", "done", "-"])
