"""kill -9 of Redis in the middle, and its restart on the same append-only file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gangamon.domain.status import FINAL
from gangamon.errors import StoreUnavailable
from tests.support.commands import REPOSITORY
from tests.support.invariants import Watch, check_end
from tests.support.local_jobs import LocalMaster
from tests.support.worker import OWNER, WORKERS, Service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    found = Service(tmp_path)
    try:
        found.redis.start()
        found.start(*WORKERS, "beat")
        found.supervise()
        yield found
    finally:
        found.close()


def test_redis_dies_twice_while_jobs_run_and_end(service: Service) -> None:
    """Workers, beat and session come back by themselves; no transition is lost or told twice."""
    watch = Watch(service.client(), REPOSITORY)
    master = LocalMaster(service.data, 1, 200, failing=frozenset({199}))
    try:
        master.run(spread=4.0, length=0.5, portions=4)
        master.submit(watch.client, REPOSITORY)
        for share in (10, 60):
            watch.until(lambda n=share: watch.in_status(1, *FINAL) >= n, 120, f"{share} have ended")
            service.redis.kill()
            with pytest.raises(StoreUnavailable):
                watch.client.tick_age()
            service.redis.start()
            master.release()
        master.release()
        watch.until(lambda: watch.finals(1), 120, "the master ends")
    finally:
        master.close()
    check_end(watch, service.store(), OWNER, master)
    assert len({update.epoch for update in watch.updates}) == 1
