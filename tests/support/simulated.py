"""Servers of simulated systems, and what is asked of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from gangamon.domain.observation import Observation, Seen
from gangamon.domain.status import JobStatus
from gangamon.protocols import PollItem
from gangamon.testing.factories import poll_item
from gangamon.testing.simulator.backend import SimulatedBackend
from gangamon.testing.simulator.process import Simulator
from tests.support.waiting import until

#: Everything ends within a tenth of a second.
FAST = "time_scale = 100.0\n[jobs]\ncount = 20\n[list]\nchunk = 10\n"


@contextmanager
def serving(folder: Path, text: str) -> Iterator[Simulator]:
    """A server on a scenario of this text, its time running."""
    path = folder / "scenario.toml"
    path.write_text(text)
    with Simulator(path, folder) as simulator:
        simulator.call("start")
        yield simulator


@contextmanager
def all_ended(folder: Path) -> Iterator[Simulator]:
    """Twenty jobs, all of which have ended."""
    with serving(folder, FAST) as simulator:
        until(lambda: simulator.call("describe")["t"] > 10, 120, "all jobs have ended")
        yield simulator


def items(*numbers: int) -> list[PollItem]:
    return [poll_item(f"1.{n}", "/none", native_id=str(n)) for n in numbers]


def backend(**limits: float) -> SimulatedBackend:
    """One that is patient, if nothing else is said: the machine may be slow."""
    found = SimulatedBackend()
    found.limits = replace(found.limits, **{"timeout": 60.0, **limits})  # type: ignore[arg-type]
    return found


def statuses(answers: Mapping[str, Observation]) -> list[JobStatus | None]:
    return [a.status if isinstance(a, Seen) else None for a in answers.values()]
