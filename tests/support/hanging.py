"""A backend's lane watched alone, and at the same time beside lanes that never answer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gangamon.client import Client
from gangamon.domain.command import BATCH_SIZE, Enqueue, JobSpec, Register
from gangamon.domain.lane import Lane
from gangamon.domain.status import JobStatus
from gangamon.testing.simulator.process import Simulator
from tests.support.commands import REPOSITORY
from tests.support.invariants import Watch
from tests.support.worker import KINDS, Service

THREADS = KINDS["poll"][2]
#: More than there are threads to ask them.
HANGING = 3 * THREADS // 2

#: Seconds for which a query of a hanging backend lasts.
TIMEOUT = 5.0

CONFIG = f"""\
[backends.Simulated]
floor = 1.0
cap = 1.0
timeout = {TIMEOUT}
slots = 2
"""


@dataclass(frozen=True)
class Pair:
    """Lags of the good lane's jobs, seconds from the end at the backend to the update: without the
    hanging lanes and beside them. ``connections``: the most that the silent endpoint held at
    once."""

    alone: list[float]
    beside: list[float]
    connections: int


def scenario(jobs: int, seconds: float) -> str:
    """All end with a status that needs no fetch, one after the other."""
    return f"""\
[jobs]
count = {jobs}
start_after = 0.0
first_done = 6.0
rate = {jobs / seconds}
killed = 1.0
[list]
fixed = 0.02
"""


def run(folder: Path, jobs: int, seconds: float) -> Pair:
    """Both services run at the same time on this host, so that what else runs there delays both.
    AssertionError if not all jobs have ended, and all lanes been asked, ``seconds`` and three
    minutes later."""
    silent = Silent()
    lanes = [Lane("Simulated", silent.endpoint, f"credential-{n}") for n in range(HANGING)]
    text = scenario(jobs, seconds)
    try:
        with (
            watched(folder / "alone", text, jobs, []) as (simulator, good),
            watched(folder / "beside", text, jobs, lanes) as (other, watch),
        ):
            watch.until(lambda: silent.count >= 2, 120, "lanes hang")
            simulator.call("start")
            other.call("start")
            deadline = time.monotonic() + seconds + 180
            while (known := min(len(lags(good)), len(lags(watch)))) < jobs:
                assert time.monotonic() < deadline, f"{known} of {jobs} jobs have ended"
                good.look()
                watch.look()
            watch.until(lambda: silent.count >= HANGING, 120, "each lane has been asked")
            return Pair(lags(good), lags(watch), silent.most)
    finally:
        silent.close()


@contextmanager
def watched(
    folder: Path, text: str, jobs: int, hanging: list[Lane]
) -> Iterator[tuple[Simulator, Watch]]:
    """A service that watches the good lane and the hanging ones."""
    folder.mkdir()
    config, script = folder / "gangamon.toml", folder / "scenario.toml"
    config.write_text(CONFIG)
    script.write_text(text)
    more = {"GANGAMON_CONFIG": str(config), "GANGAMON_WORKERS_POLL_THREADS": str(THREADS)}
    service = Service(folder, more=more)
    with ExitStack() as stack:
        stack.callback(service.close)
        simulator = stack.enter_context(Simulator(script, folder))
        service.redis.start()
        service.start("tick", "poll", "beat")
        watch = Watch(service.client(), REPOSITORY)
        watch.client.submit(Register(Client.new_id(), REPOSITORY, (str(service.data),)))
        for number, lane in enumerate(hanging):
            enqueue(watch.client, service.data, 100 + number, lane, 20)
        enqueue(watch.client, service.data, 1, simulator.lane, jobs)
        watch.until(lambda: watch.client.pending() == 0, 120, "all is taken in")
        yield simulator, watch


def enqueue(client: Client, folder: Path, master: int, lane: Lane, jobs: int) -> None:
    for first in range(0, jobs, BATCH_SIZE):
        specs = tuple(
            JobSpec(n, 1, JobStatus.SUBMITTED, str(n), {})
            for n in range(first, min(first + BATCH_SIZE, jobs))
        )
        workspace = str(folder / str(master))
        client.submit(
            Enqueue(Client.new_id(), REPOSITORY, master, jobs, "test", lane, workspace, (), specs)
        )


def lags(watch: Watch) -> list[float]:
    return [
        update.at - job.ended_at
        for update in watch.updates
        for job in update.jobs
        if update.master == 1 and job.status is JobStatus.KILLED and job.ended_at is not None
    ]


class Silent:
    """Takes connections and says nothing. ``most``: at once. ``count``: in all."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.endpoint = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.count = self.most = self._open = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.count += 1
                self._open += 1
                self.most = max(self.most, self._open)
            threading.Thread(target=self._hold, args=(connection,), daemon=True).start()

    def _hold(self, connection: socket.socket) -> None:
        with connection:
            try:
                while connection.recv(65536):
                    pass
            except OSError:
                pass
        with self._lock:
            self._open -= 1
