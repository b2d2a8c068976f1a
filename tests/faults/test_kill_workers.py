"""kill -9 of each kind of worker, and of its processes, while jobs run and end."""

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


def at_work(service: Service, kind: str) -> bool:
    """Whether a claim of a queue has been begun by a worker."""
    redis = service.redis.connection()
    return any(
        str(redis.hget(key, "q")).startswith(f"{kind}.") and redis.hexists(key, "by")
        for key in redis.scan_iter("gm:claim:*")
    )


def test_every_kind_of_worker_dies_while_jobs_run_and_end(service: Service) -> None:
    """Each dies with a claim in its hands, where it can be caught; all jobs end right, once."""
    watch = Watch(service.client(), REPOSITORY)
    first = LocalMaster(service.data, 1, 204, failing=frozenset({7}), size=200_000)
    second = LocalMaster(service.data, 2, 30)

    def over() -> bool:
        """Nothing is left to be caught at."""
        return watch.in_status(1, *FINAL) >= first.released

    try:
        first.run(spread=10.0, length=1.0, portions=6)
        second.run(spread=0.0, length=0.2)
        first.submit(watch.client, REPOSITORY)
        second.submit(watch.client, REPOSITORY)
        for name, kind in (
            ("poll", "poll"),
            ("transfer", "fetch"),
            ("merge", "grow"),
            ("tick", ""),
            ("poll", "poll"),
        ):
            if kind:
                watch.until(
                    lambda kind=kind: at_work(service, kind) or over(), 120, f"{kind} at work"
                )
            before = watch.in_status(1, *FINAL)
            service.kill(name)
            service.start(name)
            first.release()
            watch.until(
                lambda before=before: watch.in_status(1, *FINAL) > before, 120, f"on after {name}"
            )
        watch.until(lambda: at_work(service, "merge") or watch.finals(1), 120, "the merge begins")
        service.kill("merge")
        service.start("merge")
        watch.until(lambda: watch.finals(1) and watch.finals(2), 120, "both masters end")
    finally:
        first.close()
        second.close()
    check_end(watch, service.store(), OWNER, first)
    check_end(watch, service.store(), OWNER, second)


def test_all_workers_die_at_once(service: Service) -> None:
    """As when the host is reset: what was claimed comes back, nothing is done twice."""
    watch = Watch(service.client(), REPOSITORY)
    master = LocalMaster(service.data, 1, 200)
    try:
        master.run(spread=4.0, length=0.5, portions=2)
        master.submit(watch.client, REPOSITORY)
        watch.until(lambda: watch.in_status(1, *FINAL) > 20, 120, "some jobs have ended")
        for name in (*WORKERS, "beat"):
            service.kill(name)
        master.release()
        service.start(*WORKERS, "beat")
        watch.until(lambda: watch.finals(1), 120, "the master ends")
    finally:
        master.close()
    check_end(watch, service.store(), OWNER, master)
