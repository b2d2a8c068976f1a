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
    """Killed while jobs end: no command is taken in; started again, it is, and all end."""
    watch = Watch(service.client(), REPOSITORY)
    master, late = LocalMaster(service.data, 1, 150), LocalMaster(service.data, 2, 20)
    service.start("beat")
    try:
        master.run(spread=2.0, length=0.5, portions=2)
        master.submit(watch.client, REPOSITORY)
        watch.until(lambda: watch.in_status(1, *FINAL) > 10, 120, "some jobs have ended")
        service.kill("beat")
        watch.until(lambda: (watch.client.tick_age() or 0) > 2, 120, "the ticks have stopped")
        late.run(spread=0.0, length=0.1)
        late.submit(watch.client, REPOSITORY)
        watch.look()
        master.release()
        assert master.driver is not None
        watch.until(lambda: master.driver and master.driver.poll() == 0, 120, "all have ended")
        assert watch.client.snapshot(REPOSITORY, 2) is None
        service.start("beat")
        watch.until(lambda: watch.finals(1) and watch.finals(2), 120, "both masters end")
    finally:
        master.close()
        late.close()
    check_end(watch, service.store(), OWNER, master)
    check_end(watch, service.store(), OWNER, late)


def test_two_beats_at_once(service: Service) -> None:
    """Twice as many ticks, and nothing happens twice."""
    watch = Watch(service.client(), REPOSITORY)
    master = LocalMaster(service.data, 3, 150)
    service.start("beat-2", "beat-3")
    try:
        master.run(spread=3.0, length=0.5)
        master.submit(watch.client, REPOSITORY)
        watch.until(lambda: watch.finals(3), 120, "the master ends")
    finally:
        master.close()
    check_end(watch, service.store(), OWNER, master)
