"""What is tortured: the jobs, their masters, when they come and what must come of them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from gangamon.domain.command import BATCH_SIZE, Enqueue, JobSpec, MergerSpec, Register
from gangamon.domain.lane import Lane
from gangamon.domain.status import JobStatus
from gangamon.testing.simulator.codes import MEANING
from gangamon.testing.simulator.scenario import Scenario, parse
from gangamon.testing.simulator.timeline import Phase
from gangamon.testing.simulator.world import World

#: What the mergers of each master job merge.
MERGED = ("out.txt", "stdout")

#: Jobs of the last master: they are submitted when the chaos is over.
AFTER = 100


@dataclass(frozen=True)
class Plan:
    """``jobs`` in ``masters``, which arrive over ``arrive`` seconds and last some ``mean`` seconds,
    and one more master ``after`` so many seconds (0: none). With a ``span`` (the store is emptied
    meanwhile) they last ``lead`` seconds and then, each by its luck, up to ``span`` more.
    ``killed``: the share that ends so, and has no outputs. ``failovers``: how often another Redis
    becomes the master. ``endpoint``, ``t0``: of the simulated system."""

    jobs: int
    masters: int
    arrive: float
    after: float = 0.0
    mean: float = 20.0
    lead: float = 0.0
    span: float = 0.0
    killed: float = 0.02
    failovers: int = 0
    seed: int = 1
    folder: str = ""
    endpoint: str = ""
    t0: float = 0.0

    @property
    def repository(self) -> str:
        return uuid.UUID(int=self.seed).hex

    @property
    def workspace(self) -> Path:
        return Path(self.folder) / "jobs"

    @cached_property
    def ranges(self) -> dict[int, range]:
        """Native ids (numbers) by master; a job's sub id counts from the first of its master."""
        edges = [self.jobs * n // self.masters for n in range(self.masters + 1)]
        found = {n + 1: range(edges[n], edges[n + 1]) for n in range(self.masters)}
        if self.after:
            found[self.masters + 1] = range(self.jobs, self.jobs + AFTER)
        return found

    @property
    def count(self) -> int:
        return self.jobs + (AFTER if self.after else 0)

    def output(self, master: int, sub: int) -> Path:
        return self.workspace / str(master) / str(sub) / "output"

    def merged(self, master: int) -> Path:
        return self.workspace / str(master) / "output"

    # --- the simulated system -----------------------------------------------------------------

    def scenario(self) -> str:
        mean, spread = self.mean, 0.8 * self.mean
        if self.span:
            mean, spread = self.lead + self.span / 2, self.span / 2
        rate = f"arrival_rate = {self.jobs / self.arrive}" if self.arrive else ""
        return f"""\
seed = {self.seed}
[jobs]
count = {self.jobs}
{rate}
start_after = 1.0
ends = "duration"
duration = "uniform"
duration_mean = {mean}
duration_spread = {spread}
failed = 0.05
killed = {self.killed}
[list]
fixed = 0.05
per_job = 0.00002
chunk = 1000
[accounting]
fixed = 0.05
[download]
latency = 0.01
bytes = 500
[[faults]]
kind = "requeue"
probability = 0.03
seconds = 2.0
[[faults]]
kind = "preempt"
probability = 0.02
seconds = 1.0
"""

    @cached_property
    def parsed(self) -> Scenario:
        return parse(self.scenario())

    # --- commands -----------------------------------------------------------------------------

    def register(self) -> Register:
        return Register(self._id("register"), self.repository, (self.folder,))

    def commands(self) -> Iterator[tuple[float, Enqueue]]:
        """Each batch, and when it is submitted, in seconds after the start. The same ids whenever
        it is asked, as of a session that reads its own record of what it has submitted."""
        for master, numbers in self.ranges.items():
            for first in range(numbers.start, numbers.stop, BATCH_SIZE):
                part = range(first, min(first + BATCH_SIZE, numbers.stop))
                at = part[-1] * self.arrive / self.jobs
                if numbers.start >= self.jobs:
                    at = self.after
                yield at, self._enqueue(master, numbers, part)

    def _enqueue(self, master: int, numbers: range, part: range) -> Enqueue:
        extra = {"endpoint": self.endpoint}
        specs = (
            JobSpec(n - numbers.start, 1, JobStatus.SUBMITTED, str(n), extra) for n in part
        )  # fmt: skip
        return Enqueue(
            self._id(f"{master}:{part.start}"),
            self.repository,
            master,
            len(numbers),
            f"torture {master}",
            Lane("Simulated", self.endpoint),
            str(self.workspace / str(master)),
            (MergerSpec("TextMerger", MERGED, ignorefailed=True),),
            tuple(specs),
        )

    def _id(self, what: str) -> str:
        return uuid.uuid5(uuid.UUID(int=self.seed), what).hex

    # --- the right end ------------------------------------------------------------------------

    def expected(self, truth: dict[str, Phase]) -> dict[tuple[int, int], JobStatus]:
        """Final status of each (master, sub), from what the simulated system says at the end."""
        return {
            (master, n - numbers.start): MEANING[truth[str(n)].code]
            for master, numbers in self.ranges.items()
            for n in numbers
        }

    def content(self, truth: dict[str, Phase], master: int, sub: int) -> dict[str, bytes]:
        """The files that a job's outputs are, by name."""
        name = str(self.ranges[master][sub])
        return {"out.txt": f"job {name}\n".encode(), "stdout": self._stdout(truth[name])}

    def _stdout(self, phase: Phase) -> bytes:
        output = _Ended(self.parsed, phase).output(phase.native_id)
        assert output is not None
        return output

    # --- as a file ----------------------------------------------------------------------------

    def begun(self, endpoint: str, t0: float) -> Plan:
        return replace(self, endpoint=endpoint, t0=t0)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))


def read(path: Path) -> Plan:
    return Plan(**json.loads(path.read_text()))


class _Ended(World):
    """The simulated system as it is to somebody who asks for one job that has ended."""

    def __init__(self, scenario: Scenario, phase: Phase) -> None:
        super().__init__(scenario)
        self._phase = phase

    def truth(self, native_id: str, t: float | None = None) -> Phase | None:
        return self._phase
