"""Jobs as Ganga's Local backend leaves them on disk: one small process plays all their wrappers.

As a program, ``python -m tests.support.local_jobs PLAN``: works the plan (json) to its end.
"""

from __future__ import annotations

import heapq
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from gangamon.client import Client
from gangamon.domain.command import BATCH_SIZE, Enqueue, JobSpec, MergerSpec, Register
from gangamon.domain.lane import Lane
from gangamon.domain.status import JobStatus

ROOT = Path(__file__).parents[2]

#: What each job writes, and the merger merges.
DATA = "data.txt"


@dataclass
class LocalMaster:
    """A master job with ``jobs`` subjobs below ``folder``. ``failing``: those that exit with 3.
    ``size``: bytes that each job writes besides its line."""

    folder: Path
    id: int
    jobs: int
    failing: frozenset[int] = frozenset()
    size: int = 0
    ignorefailed: bool = True
    driver: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    #: Jobs that have begun, or will do so by themselves.
    released: int = 0
    _portion: int = 0

    @property
    def workspace(self) -> Path:
        return self.folder / "LocalXML" / str(self.id)

    def output(self, sub: int) -> Path:
        return self.workspace / str(sub) / "output"

    def make(self) -> None:
        """The directories, as they are when Ganga has submitted."""
        for sub in range(self.jobs):
            self.output(sub).mkdir(parents=True)
            (self.workspace / str(sub) / "input").mkdir()

    def run(self, spread: float, length: float, portions: int = 1) -> None:
        """Start the wrappers' process: the jobs begin over ``spread`` seconds, each lasts
        ``length``. In so many equal portions, of which all but the first begin when they are
        released: then the rest is still to come, however slow the machine is."""
        self.make()
        plan = self.workspace / "plan.json"
        content = {
            "outputs": [str(self.output(sub)) for sub in range(self.jobs)],
            "failing": sorted(self.failing),
            "spread": spread,
            "length": length,
            "size": self.size,
            "gates": [str(self._gate(number)) for number in range(portions)],
        }
        plan.write_text(json.dumps(content))
        self._portion = self.jobs // portions
        self.release()
        self.driver = subprocess.Popen(
            [sys.executable, "-m", "tests.support.local_jobs", str(plan)], cwd=ROOT
        )

    def release(self) -> None:
        """The next portion begins."""
        self._gate(self.released // self._portion).touch()
        self.released += self._portion

    def _gate(self, number: int) -> Path:
        return self.workspace / f"go{number}"

    def commands(self, repository: str, attempt: int = 1) -> list[Enqueue]:
        """Enqueue all jobs, in batches, with a TextMerger."""
        found = []
        for first in range(0, self.jobs, BATCH_SIZE):
            subs = range(first, min(first + BATCH_SIZE, self.jobs))
            specs = tuple(
                JobSpec(n, attempt, JobStatus.SUBMITTED, f"{self.id}-{n}", {}) for n in subs
            )
            found.append(
                Enqueue(
                    Client.new_id(),
                    repository,
                    self.id,
                    self.jobs,
                    f"test {self.id}",
                    Lane("Local", socket.gethostname()),
                    str(self.workspace),
                    (MergerSpec("TextMerger", (DATA,), self.ignorefailed),),
                    specs,
                )
            )
        return found

    def submit(self, client: Client, repository: str) -> None:
        client.submit(Register(Client.new_id(), repository, (str(self.folder),)))
        for command in self.commands(repository):
            client.submit(command)

    def merged(self) -> str:
        return (self.workspace / "output" / DATA).read_text()

    def check_merged(self) -> None:
        """Every completed job's line once, in order, and nothing half done beside it."""
        lines = [line for line in self.merged().splitlines() if line.startswith("job ")]
        good = [n for n in range(self.jobs) if n not in self.failing]
        assert lines == [f"job {n} of {self.workspace}" for n in good]
        left = os.listdir(self.workspace / "output")
        assert sorted(left) == [".gangamon-merge.json", DATA, f"{DATA}.merge_summary"]

    def close(self) -> None:
        if self.driver is not None and self.driver.poll() is None:
            psutil.Process(self.driver.pid).kill()
        if self.driver is not None:
            self.driver.wait(60)


def play(plan: Path) -> None:
    """Write every job's files at their times, as the wrapper does."""
    work = json.loads(plan.read_text())
    size = len(work["outputs"]) // len(work["gates"])
    for number, gate in enumerate(work["gates"]):
        while not os.path.exists(gate):
            time.sleep(0.02)
        _play(work, range(number * size, (number + 1) * size))


def _play(work: dict[str, Any], numbers: range) -> None:
    outputs: list[str] = work["outputs"]
    begun = time.monotonic()
    steps = [
        (work["spread"] * (n - numbers.start) / len(outputs) + delay, n, step)
        for n in numbers
        for step, delay in enumerate((0.0, 0.1, 0.1 + work["length"]))
    ]
    heapq.heapify(steps)
    while steps:
        at, n, step = heapq.heappop(steps)
        time.sleep(max(0.0, begun + at - time.monotonic()))
        _step(Path(outputs[n]), n, step, 3 if n in work["failing"] else 0, work["size"])


def _step(output: Path, n: int, step: int, code: int, size: int) -> None:
    now = time.strftime("%a %b %d %H:%M:%S %Y", time.gmtime())
    if step == 0:
        _append(output, [f"START: {now}\n"])
    elif step == 1:
        _append(output, [f"WRAPPER: {os.getpid()}\n", f"PID: {os.getpid()}\n"])
    else:
        text = f"job {n} of {output.parents[1]}\n" + "x" * size
        (output / DATA).write_text(text)
        (output / "stdout").write_text("done\n")
        _append(output, [f"EXITCODE: {code}\n", f"STOP: {now}\n"])


def _append(output: Path, lines: Sequence[str]) -> None:
    with (output / "__jobstatus__").open("a") as file:
        for line in lines:
            file.write(line)
            file.flush()


def close_all(masters: Iterable[LocalMaster]) -> None:
    for master in masters:
        master.close()


if __name__ == "__main__":
    play(Path(sys.argv[1]))
