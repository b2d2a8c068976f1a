"""A session ends in time, whatever it has to watch and whatever does not answer (Ganga's issues
1855 and 2067)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import redis

from gangamon import instance, settings
from tests.integration.ganga.scripted import SCRIPTED
from tests.integration.ganga.service import Service
from tests.integration.ganga.session import Session

#: Seconds from a script's last line to the end of the process, on a machine that is busy. Ganga
#: alone needs two; its own monitoring waited for minutes, or for ever.
SOON = 40.0


def test_thousands_of_unfinished_jobs_and_a_redis_that_is_frozen(
    own_service: Service, ganga_of: Callable[[Service], Session]
) -> None:
    """2,000 subjobs of 20 masters are unfinished, half of them just submitted, and Redis stands
    still in the middle: what the user types goes on, and the session ends; the next one, with the
    service back, knows them all."""
    own_service.up()
    server = redis.Redis.from_url(instance.redis_url(settings.load(own_service.environ)))
    pid = int(server.info("server")["process_id"])  # type: ignore[index, arg-type]
    ganga = ganga_of(own_service)
    made = SCRIPTED.replace("up = use(component, client)", "")
    try:
        result = ganga.run(
            made
            + f"""
runMonitoring()
for _ in range(10):
    submitted(100)
until(lambda: sent(*range(10)), 100, "the service has taken them in")
for _ in range(10):
    submitted(100)
os.kill({pid}, signal.SIGSTOP)
begun = time.monotonic()
facts["typed"] = [len(jobs), jobs(2).status in ("submitted", "running"), len(str(jobs)) > 0]
facts["monitor"] = [repr(monitor), str(monitor.why(2))]
facts["seconds"] = time.monotonic() - begun
""",
            "-o[Gangamon]Autostart=False",
            within=300,
        )
    finally:
        os.kill(pid, signal.SIGCONT)
    assert result.facts["typed"] == [20, True, True]
    for shown in result.facts["monitor"]:
        assert "the service is away (no answer within 1 s" in shown
    assert "this session: " in result.facts["monitor"][0]
    assert result.facts["seconds"] < SOON
    assert result.exit < SOON
    again = ganga.run(
        """
runMonitoring()
client = component.link._client
def known():
    views = [client.snapshot(component.repository, n) for n in range(20)]
    return sum(len(view.jobs) for view in views if view is not None)
until(lambda: component.link.up and known() == 2000, 150, "the service knows them all")
""",
        "-o[Gangamon]Autostart=False",
        within=250,
    )
    assert again.exit < SOON
