"""``gangamon simulate``: with a service that runs, without one, and with bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gangamon.domain.lane import Lane
from gangamon.testing.factories import poll_item
from gangamon.testing.simulator.backend import SimulatedBackend
from tests.integration.ganga.service import Service

#: So long a time-out that no answer is given up: each that the server gave was also taken in.
SETTINGS = "[backends.Simulated]\nfloor = 1\ncap = 1\ntimeout = 60\ngrace = 1\n"

#: 150 jobs: two batches. Every kind of end, restarts, and answers of which some are bad.
SCENARIO = """
seed = 3
[jobs]
count = 150
arrival_rate = 50.0
start_after = 0.5
ends = "duration"
duration_mean = 3.0
failed = 0.1
killed = 0.1
[list]
memory = 5.0
[download]
missing = 0.02
[[faults]]
kind = "error"
probability = 0.2
[[faults]]
kind = "stale"
probability = 0.3
seconds = 2.0
[[faults]]
kind = "truncated"
probability = 0.3
[[faults]]
kind = "preempt"
probability = 0.3
seconds = 1.0
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a simulation has its own things; it must leave none."""
    found = tmp_path / "tmp"
    found.mkdir()
    return found


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    found = Service()
    settings = tmp_path / "gangamon.toml"
    settings.write_text(SETTINGS)
    found.environ["GANGAMON_CONFIG"] = str(settings)
    try:
        found.up()
        yield found
    finally:
        found.close()


def simulate(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gangamon", "simulate", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )


def test_from_the_scenario_to_the_report(service: Service, tmp_path: Path, folder: Path) -> None:
    """All jobs end as they did, whatever the answers were like; then the service knows nothing of
    them, and nothing is left on disk."""
    path = tmp_path / "small.toml"
    path.write_text(SCENARIO)
    environ = {**service.environ, "TMPDIR": str(folder)}
    done = simulate(environ, str(path), "--seconds", "300", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert (report["jobs"], report["ended"], report["status"]) == (150, 150, "failed")
    assert report["untruths"] == []
    ((lane, lags),) = report["lags"].items()
    assert Lane.parse(lane).backend == "Simulated"
    assert 0 < lags["p50"] <= lags["p95"] <= lags["p99"]
    # How many running phases are seen is luck: faults are drawn by a query's number, with this seed
    # the third, fourth and fifth fail in a row, and the backoff (2, 4 and 8 s, half to one and a
    # half of that) is longer than any phase. What is no luck: every answer had its effect. That the
    # lane rests no longer than promised is in unit/services/test_pace_faults.py.
    assert report["untold"] == []
    assert report["transitions"] >= 2 * 150 - 30
    assert 0 < report["concurrent_max"] <= 4
    assert report["downloads"] >= 100 and report["faults"]
    assert service.client().masters(service.client().repositories()[0]) == []
    assert list(folder.iterdir()) == []


def test_without_a_service(folder: Path) -> None:
    """It serves, and says where; Ctrl-C ends it and leaves nothing."""
    environ = {**os.environ, "GANGAMON_STATE_DIR": str(folder / "state"), "TMPDIR": str(folder)}
    with subprocess.Popen(
        [sys.executable, "-m", "gangamon", "simulate", "dirac", "--json"],
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        lane = Lane.parse(told["lane"])
        assert lane.endpoint == told["endpoint"]
        assert SimulatedBackend().poll(lane, [poll_item("1.1", "/none")])
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(120) == 0
    assert list(folder.iterdir()) == []


def test_bad_input(tmp_path: Path) -> None:
    """A scenario that is not there or is wrong: one line for each fault, exit code 2."""
    environ = dict(os.environ)
    done = simulate(environ, "no-such")
    assert done.returncode == 2
    assert done.stderr.startswith("gangamon: scenario: got 'no-such'")
    path = tmp_path / "bad.toml"
    path.write_text("seed = -1\n[jobs]\nrate = 0\n")
    done = simulate(environ, str(path))
    assert done.returncode == 2
    keys = [line.split(":")[1].strip() for line in done.stderr.splitlines()]
    assert sorted(keys) == ["jobs.rate", "seed"]
    path.write_text('[jobs]\ncount = "asked"\n')
    assert "accepted: a number from 1" in simulate(environ, str(path)).stderr
