"""kill -9 of a worker with a query in hand: taken up when its death is seen. Its lease is longer
than the test may last."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from gangamon.client import Client
from gangamon.domain.command import Enqueue, JobSpec, Register
from gangamon.domain.status import JobStatus
from gangamon.testing.simulator.process import Simulator
from tests.support.commands import REPOSITORY
from tests.support.invariants import Watch
from tests.support.worker import Service

JOBS = 20
LEASE = 3600

#: All have ended when they are first asked about, with a status that needs no fetch.
SCENARIO = (
    f"[jobs]\ncount = {JOBS}\nstart_after = 0.0\nfirst_done = 0.0\nrate = 1e6\nkilled = 1.0\n"
)
CONFIG = f"[backends.Simulated]\nfloor = 1.0\ncap = 1.0\ntimeout = {LEASE}\n"
SILENT = {"kind": "timeout"}


def test_a_query_in_the_hands_of_a_killed_worker(tmp_path: Path) -> None:
    """The backend is silent when the worker dies; the next worker asks it, and all jobs end."""
    config, scenario = tmp_path / "gangamon.toml", tmp_path / "scenario.toml"
    config.write_text(CONFIG)
    scenario.write_text(SCENARIO)
    more = {"GANGAMON_CONFIG": str(config), "GANGAMON_WORKERS_LEASE_SECONDS": str(LEASE)}
    service = Service(tmp_path, more=more)
    with ExitStack() as stack:
        stack.callback(service.close)
        simulator = stack.enter_context(Simulator(scenario, tmp_path))
        simulator.call("start")
        simulator.call("fault", fault=SILENT, active=True)
        service.redis.start()
        service.start("tick", "poll", "beat")
        watch = Watch(service.client(), REPOSITORY)
        watch.client.submit(Register(Client.new_id(), REPOSITORY, (str(service.data),)))
        specs = tuple(JobSpec(n, 1, JobStatus.SUBMITTED, str(n), {}) for n in range(JOBS))
        workspace = str(service.data / "1")
        command = Enqueue("e1", REPOSITORY, 1, JOBS, "test", simulator.lane, workspace, (), specs)
        watch.client.submit(command)
        store = service.store()
        watch.until(lambda: simulator.call("stats")["concurrent"] == 1, 120, "a query is in hand")
        (before,) = store.begun().values()
        service.kill("poll")
        simulator.call("fault", fault=SILENT, active=False)
        service.start("poll")
        watch.until(lambda: watch.in_status(1, JobStatus.KILLED) == JOBS, 120, "all have ended")
        assert before not in store.begun().values()
        assert simulator.call("stats")["queries"]["list"] == 2
