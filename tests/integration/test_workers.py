"""Real workers and beat over a real Redis: from a client's commands to the merged output."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gangamon.client import Client
from gangamon.dispatch import CeleryQueue
from gangamon.domain.command import Refresh
from gangamon.domain.lane import Lane
from gangamon.domain.status import JobStatus
from gangamon.protocols import Claim
from tests.support.commands import REPOSITORY, enqueue
from tests.support.invariants import Watch, check_end
from tests.support.local_jobs import LocalMaster
from tests.support.waiting import until
from tests.support.worker import OWNER, WORKERS, Service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Redis and the workers; no beat: a test starts it, or sends ticks by hand."""
    found = Service(tmp_path_factory.mktemp("service"))
    try:
        found.redis.start()
        found.start(*WORKERS)
        yield found
    finally:
        found.close()


@pytest.fixture
def watch(service: Service) -> Watch:
    return Watch(service.client(), REPOSITORY)


def ended_master(service: Service, number: int, jobs: int) -> LocalMaster:
    """A master all of whose jobs have ended on disk, not yet enqueued."""
    master = LocalMaster(service.data, number, jobs)
    master.run(0.0, 0.0)
    assert master.driver is not None
    assert master.driver.wait(120) == 0
    return master


def test_the_chain_to_the_end_needs_one_tick(service: Service, watch: Watch) -> None:
    """Commands in, poll, fetch, merge, check, notify: after one tick no other is waited for."""
    master = ended_master(service, 1, 30)
    master.submit(watch.client, REPOSITORY)
    watch.client.flush()
    service.tick()
    watch.until(lambda: watch.finals(1), 120, "the master ends")
    check_end(watch, service.store(), OWNER, master)


class Twice:
    """Sends every message twice."""

    def __init__(self, queue: CeleryQueue) -> None:
        self._queue = queue

    def send(self, claim: Claim) -> None:
        self._queue.send(claim)
        self._queue.send(claim)


def test_a_message_sent_twice_does_nothing_twice(service: Service, watch: Watch) -> None:
    """The poll, and after it each stage, by hand: two messages, one effect."""
    master = ended_master(service, 2, 30)
    master.submit(watch.client, REPOSITORY)
    watch.client.flush()
    service.kill("poll")
    service.tick()
    store = service.store()
    queue = f"poll.{Lane('Local', master.commands(REPOSITORY)[0].lane.endpoint)}"
    until(lambda: store.depth(queue) == (0, 1), 120, "the tick has claimed the batch")
    (token,) = (str(t) for t in service.redis.connection().zrange("gm:slots:" + queue, 0, -1))
    Twice(CeleryQueue(service.messages(), expires=3600.0)).send(Claim(token, queue, (), 30))
    service.start("poll")
    watch.until(lambda: watch.finals(2), 120, "the master ends")
    check_end(watch, store, OWNER, master)
    assert watch.in_status(2, JobStatus.COMPLETED) == 30


def test_a_refused_command_is_answered(service: Service, watch: Watch) -> None:
    """The reason reaches the client, and frees its spool."""
    client = watch.client
    command = enqueue(2, command_id=Client.new_id(), workspace="/etc/7", master=70)
    client.submit(command)
    client.flush()
    service.tick()
    watch.until(
        lambda: any(u.ack and u.ack.command_id == command.id for u in watch.updates),
        120,
        "the refusal",
    )
    (ack,) = [u.ack for u in watch.updates if u.ack and u.ack.command_id == command.id]
    assert not ack.ok
    assert "workspace: '/etc/7' lies outside the registered roots" in ack.reason
    assert client.pending() == 0
    assert client.snapshot(REPOSITORY, 70) is None


def test_three_hundred_jobs(service: Service, watch: Watch) -> None:
    """Enqueued as they start: all complete, in order, merged once; some fail and are left out; the
    lags are measured."""
    service.start("beat")
    master = LocalMaster(service.data, 3, 300, failing=frozenset({0, 150, 299}))
    try:
        master.run(spread=4.0, length=1.0)
        master.submit(watch.client, REPOSITORY)
        watch.until(lambda: watch.finals(3), 120, "the master ends")
    finally:
        master.close()
    check_end(watch, service.store(), OWNER, master)
    output = master.workspace / "output" / "data.txt"
    before = output.stat()
    assert watch.in_status(3, JobStatus.FAILED) == 3
    job = watch.client.job(REPOSITORY, 3, 150)
    assert job is not None
    assert job.evidence is not None
    assert job.evidence.exit_code == 3
    # Another tick, a refresh and a second submission of the same change nothing.
    for command in (*master.commands(REPOSITORY), Refresh(Client.new_id(), REPOSITORY, 3)):
        watch.client.submit(command)
    watch.until(lambda: watch.client.pending() == 0, 120, "all is acknowledged")
    check_end(watch, service.store(), OWNER, master)
    assert output.stat().st_mtime_ns == before.st_mtime_ns
    until(lambda: (watch.client.tick_age() or 0) < 10, 120, "it ticks on", watch.client.tick_age)
    # The lag of each end that was noticed was measured.
    (lane,) = watch.client.lanes()
    lags = watch.client.lags(lane)
    assert len(lags) >= 300
    assert min(lags) >= 0
