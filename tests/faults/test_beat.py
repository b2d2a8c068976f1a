"""Beat: none for a while, or two at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gangamon.domain.status import FINAL
from tests.support.commands import REPOSITORY
from tests.support.invariants import Watch, check_end
from tests.support.local_jobs import LocalMaster
from tests.support.worker import OWNER, WORKERS, Service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    found = Service(tmp_path_factory.mktemp("beat"))
    try:
        found.redis.start()
        found.start(*WORKERS)
        yield found
    finally:
        found.close()


def test_without_beat_nothing_is_lost(service: Service) -> None:
    """Killed while jobs end: what is under way is finished; started again, the rest follows."""
    watch = Watch(service.client(), REPOSITORY)
    master = LocalMaster(service.data, 1, 150)
    service.start("beat")
    try:
        master.run(spread=4.0, length=0.5)
        master.submit(watch.client, REPOSITORY)
        watch.until(lambda: watch.in_status(1, *FINAL) > 10, 120, "some jobs have ended")
        service.kill("beat")
        assert master.driver is not None
        watch.until(lambda: master.driver and master.driver.poll() == 0, 120, "all have ended")
        watch.until(lambda: (watch.client.tick_age() or 0) > 2, 120, "the ticks have stopped")
        assert not watch.finals(1)
        service.start("beat")
        watch.until(lambda: watch.finals(1), 120, "the master ends")
    finally:
        master.close()
    check_end(watch, service.store(), OWNER, master)


def test_two_beats_at_once(service: Service) -> None:
    """Twice as many ticks, and nothing happens twice."""
    watch = Watch(service.client(), REPOSITORY)
    master = LocalMaster(service.data, 2, 150)
    service.start("beat-2", "beat-3")
    try:
        master.run(spread=3.0, length=0.5)
        master.submit(watch.client, REPOSITORY)
        watch.until(lambda: watch.finals(2), 120, "the master ends")
    finally:
        master.close()
    check_end(watch, service.store(), OWNER, master)
