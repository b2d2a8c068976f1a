"""Redis loses all it had: everything comes back from the journal, the spool and the disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gangamon.domain.status import FINAL
from tests.support.commands import REPOSITORY, enqueue, register
from tests.support.invariants import Watch, check_end
from tests.support.local_jobs import LocalMaster
from tests.support.redis import PrivateRedis
from tests.support.rig import Rig
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
    new = LocalMaster(service.data, 3, 20)  # its commands are in the inbox when that is emptied
    try:
        ended.run(spread=0.0, length=0.1)
        ended.submit(watch.client, REPOSITORY)
        watch.until(lambda: watch.finals(1), 120, "the first master ends")
        merged = ended.workspace / "output" / "data.txt"
        before = (merged.stat().st_mtime_ns, merged.read_bytes())
        running.run(spread=2.0, length=0.5, portions=2)
        running.submit(watch.client, REPOSITORY)
        watch.until(lambda: watch.in_status(2, *FINAL) > 20, 120, "some jobs have ended")
        epoch = watch.client.epoch()
        new.run(spread=0.0, length=0.1)
        new.submit(watch.client, REPOSITORY)
        watch.client.flush()
        service.redis.connection().flushall()
        running.release()
        watch.until(lambda: watch.client.epoch() not in ("", epoch), 120, "a new epoch")
        epoch = watch.client.epoch()
        watch.until(
            lambda: all(watch.finals(number, epoch) for number in (1, 2, 3)), 120, "all masters end"
        )
    finally:
        ended.close()
        running.close()
        new.close()
    for master in (ended, running, new):
        check_end(watch, service.store(), OWNER, master)
    assert (merged.stat().st_mtime_ns, merged.read_bytes()) == before


def test_redis_comes_back_some_seconds_older(tmp_path: Path) -> None:
    """A host that lost its power, a fail-over: what was acknowledged since is in the journal."""
    redis = PrivateRedis(tmp_path / "redis")
    redis.folder.mkdir()
    redis.start()
    try:
        rig = Rig(tmp_path, connection=redis.connection())
        rig.send(register(str(tmp_path)), enqueue(2, workspace=f"{tmp_path}/7"))
        rig.tick.run()
        redis.kill()
        shutil.copytree(redis.folder, tmp_path / "older")
        redis.start()
        rig.send(enqueue(2, "e2", 8, workspace=f"{tmp_path}/8"))
        rig.tick.run()
        assert rig.answers()[-1] == ("e2", "")
        redis.kill()
        shutil.rmtree(redis.folder)
        shutil.copytree(tmp_path / "older", redis.folder)
        redis.start()
        assert rig.store.master(OWNER, REPOSITORY, 8) is None
        rig.tick.run()
        assert rig.store.master(OWNER, REPOSITORY, 8) is not None
    finally:
        redis.close()
