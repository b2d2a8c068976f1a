"""Every message twice, and some once more when they are long over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import REPOSITORY
from tests.support.invariants import Watch, check_end
from tests.support.local_jobs import LocalMaster
from tests.support.worker import OWNER, WORKERS, Service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    found = Service(tmp_path, app="tests.support.doubled")
    try:
        found.redis.start()
        found.start(*WORKERS, "beat")
        yield found
    finally:
        found.close()


def test_doubled_and_late_messages_do_nothing(service: Service) -> None:
    """Also doubled commands: each job ends once, each master is merged once."""
    watch = Watch(service.client(), REPOSITORY)
    masters = [LocalMaster(service.data, 1, 150, frozenset({5})), LocalMaster(service.data, 2, 20)]
    try:
        for master in masters:
            master.run(spread=3.0, length=0.3)
            master.submit(watch.client, REPOSITORY)
            master.submit(watch.client, REPOSITORY)
        watch.until(lambda: watch.finals(1) and watch.finals(2), 120, "both masters end")
    finally:
        for master in masters:
            master.close()
    for master in masters:
        check_end(watch, service.store(), OWNER, master)
