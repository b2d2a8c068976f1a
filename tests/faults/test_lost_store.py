"""Redis loses all it had: everything comes back from the journal, the spool and the disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gangamon.domain.status import FINAL
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
        yield found
    finally:
        found.close()


def test_redis_is_emptied_while_jobs_run_and_end(service: Service) -> None:
    """A new epoch, all jobs again; those that had ended keep their end, outputs are left alone."""
    watch = Watch(service.client(), REPOSITORY)
    ended = LocalMaster(service.data, 1, 40, failing=frozenset({3}))
    running = LocalMaster(service.data, 2, 150)
    try:
        ended.run(spread=0.0, length=0.1)
        ended.submit(watch.client, REPOSITORY)
        watch.until(lambda: watch.finals(1), 40, "the first master ends")
        merged = ended.workspace / "output" / "data.txt"
        before = (merged.stat().st_mtime_ns, merged.read_bytes())
        running.run(spread=5.0, length=0.5)
        running.submit(watch.client, REPOSITORY)
        watch.until(lambda: watch.in_status(2, *FINAL) > 20, 40, "some jobs have ended")
        epoch = watch.client.epoch()
        running_commands = LocalMaster(service.data, 3, 20)
        running_commands.run(spread=0.0, length=0.1)
        running_commands.submit(watch.client, REPOSITORY)
        watch.client.flush()
        service.redis.connection().flushall()
        watch.until(lambda: watch.client.epoch() not in ("", epoch), 20, "a new epoch")
        new = watch.client.epoch()
        watch.until(
            lambda: all(watch.finals(number, new) for number in (1, 2, 3)), 60, "all masters end"
        )
    finally:
        ended.close()
        running.close()
        running_commands.close()
    for master in (ended, running, running_commands):
        check_end(watch, service.store(), OWNER, master)
    assert (merged.stat().st_mtime_ns, merged.read_bytes()) == before
