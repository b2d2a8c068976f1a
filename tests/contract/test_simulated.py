"""The backend and the fetcher suites, run by the simulated backend and its fetcher."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gangamon.protocols import PollItem
from gangamon.testing.conformance import (
    BackendCase,
    BackendConformance,
    FetcherCase,
    FetcherConformance,
    NativeCodesConformance,
)
from gangamon.testing.factories import fetch_order, poll_item
from gangamon.testing.simulator.fetcher import SimulatedFetcher
from gangamon.testing.simulator.process import Simulator
from tests.support.simulated import backend
from tests.support.waiting import until

#: Job 0 waits for ever, jobs 1 to 3 have ended, 4 was killed, by what is done to them below.
SCENARIO = """
time_scale = 100.0
[jobs]
count = 5
start_after = 0.0
ends = "rate"
first_done = 1.0
rate = 1.0
failed = 0.4
[[faults]]
kind = "unknown"
probability = 1.0
from = 1e9
"""


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    path = tmp_path / "scenario.toml"
    path.write_text(SCENARIO)
    with Simulator(path, tmp_path) as found:
        found.call("start")
        until(lambda: found.call("describe")["t"] > 10, 60, "all jobs have ended")
        found.call("requeue", ids=["0"], seconds=1e9)
        found.call("requeue", ids=["4"], seconds=1e9)
        found.call("kill", ids=["4"])
        yield found


def item(number: int) -> PollItem:
    return poll_item(f"42.{number}", "/none", native_id=str(number))


class TestSimulated(BackendConformance, NativeCodesConformance):
    """A server process with waiting, completed, failed and killed jobs."""

    @pytest.fixture
    def case(self, simulator: Simulator) -> BackendCase:
        return BackendCase(
            backend=backend(),
            lane=simulator.lane,
            known=[item(number) for number in range(5)],
            missing=item(9),
            sever=simulator.close,
        )

    @pytest.fixture
    def unmapped(self, simulator: Simulator) -> PollItem:
        simulator.fault("unknown")
        return item(0)


class TestSimulatedFetcher(FetcherConformance):
    """Downloads of a job that has ended, and of one that never was."""

    @pytest.fixture
    def case(self, simulator: Simulator, tmp_path: Path) -> FetcherCase:
        output = tmp_path / "42" / "1" / "output"
        output.mkdir(parents=True)
        extra = {"endpoint": simulator.endpoint}
        roots = [str(tmp_path)]
        return FetcherCase(
            fetcher=SimulatedFetcher(timeout=60.0),
            order=fetch_order(str(output), roots, native_id="1", extra=extra),
            missing=fetch_order(
                str(tmp_path / "42" / "9" / "output"), roots, native_id="9", extra=extra
            ),
        )
