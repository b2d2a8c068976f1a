"""The network between the processes and Redis: stalled, then cut, then there again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gangamon.domain.status import FINAL
from gangamon.errors import StoreUnavailable
from gangamon.store.connection import TIMEOUT
from tests.support.commands import REPOSITORY
from tests.support.invariants import Watch, check_end
from tests.support.local_jobs import LocalMaster
from tests.support.proxy import Link
from tests.support.waiting import quickest
from tests.support.worker import OWNER, WORKERS, Service


@pytest.fixture
def linked(tmp_path: Path) -> Iterator[tuple[Service, Link]]:
    """A service of which every process reaches Redis by the link only."""
    service = Service(tmp_path)
    link = Link(service.redis.socket)
    service.url = link.url
    try:
        service.redis.start()
        yield service, link
    finally:
        service.close()
        link.close()


def test_calls_over_a_stalled_link_give_up_in_time(linked: tuple[Service, Link]) -> None:
    """StoreUnavailable after one time-out, not two; after it the same client goes on."""
    service, link = linked
    client = service.client()
    assert client.tick_age() is None
    link.stall()

    def refused() -> None:
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
            client.tick_age()

    assert quickest(refused, below=TIMEOUT + 2) < TIMEOUT + 2
    link.mend()
    assert client.tick_age() is None
    link.cut()
    assert quickest(refused, below=2.0) < 2.0
    link.mend()
    assert client.tick_age() is None


def test_a_stalled_and_a_cut_link_while_jobs_run_and_end(linked: tuple[Service, Link]) -> None:
    """No answer for longer than the leases, then none at all; all goes on where it was."""
    service, link = linked
    service.start(*WORKERS, "beat")
    service.supervise()
    watch = Watch(service.client(), REPOSITORY)
    master = LocalMaster(service.data, 1, 150, failing=frozenset({17}))
    past = service.store()  # not by the link
    try:
        master.run(spread=6.0, length=0.5, portions=3)
        master.submit(watch.client, REPOSITORY)
        for name, fault, share in (("stall", link.stall, 10), ("cut", link.cut, 50)):
            watch.until(lambda n=share: watch.in_status(1, *FINAL) >= n, 120, f"before {name}")
            fault()
            master.release()
            watch.until(lambda: (past.tick_age() or 0) > 4, 120, "the ticks have stopped")
            link.mend()
        watch.until(lambda: watch.finals(1), 120, "the master ends")
    finally:
        master.close()
    check_end(watch, past, OWNER, master)
