"""Push with real workers: what a wrapper writes is seen at once, whatever the interval."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gangamon.domain.status import JobStatus
from tests.support.commands import REPOSITORY
from tests.support.invariants import Watch, check_end
from tests.support.local_jobs import LocalMaster
from tests.support.worker import OWNER, WORKERS, Service

#: Seconds: longer than the test may take.
INTERVAL = 3000.0


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Polls at an interval that never passes."""
    config = tmp_path / "gangamon.toml"
    config.write_text(f"[backends.Local]\nfloor = {INTERVAL}\ncap = {INTERVAL}\n")
    found = Service(tmp_path / "service", more={"GANGAMON_CONFIG": str(config)})
    try:
        found.redis.start()
        found.start(*WORKERS, "beat")
        yield found
    finally:
        found.close()


def test_nobody_waits_for_the_interval(service: Service) -> None:
    """Jobs of two batches begin, and end, long after they were polled for the first time."""
    watch = Watch(service.client(), REPOSITORY)
    master = LocalMaster(service.data, 1, 150, failing=frozenset({3}))
    master.make()
    try:
        master.submit(watch.client, REPOSITORY)
        lanes = watch.client
        watch.until(
            lambda: [r for r in lanes.lanes().values() if r.asked_at], 120, "the lane was asked"
        )
        assert watch.in_status(1, JobStatus.RUNNING) == 0
        master.make = lambda: None  # type: ignore[method-assign]
        master.run(spread=1.0, length=1.0)
        watch.until(lambda: watch.finals(1), 120, "the master ends")
    finally:
        master.close()
    check_end(watch, service.store(), OWNER, master)
    assert watch.in_status(1, JobStatus.FAILED) == 1
