"""The profiles `ha` and `monitoring` of docker-compose.yml for real, beside `test`: the master of
Redis and a beat die for good while a Ganga job runs, and Prometheus watches it.

Prometheus is Debian's. Of Grafana there is no package of Debian's: its container is not started,
and what its dashboards ask is asked of Prometheus.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from functools import partial

import pytest

from tests.support.composition import BASE, ROOT, Composition, composed, run
from tests.support.played import SUBJOBS, Play, asks, judge, works
from tests.support.prometheus import Prometheus, asked
from tests.support.waiting import until
from tests.unit.test_dashboards import queries

PROMETHEUS = "gangamon-test-prometheus"

#: As the official image has it: its program is what a command's words are for.
IMAGE = f"""
FROM {BASE}
RUN printf "#!/bin/sh\\nexit 101\\n" >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
RUN apt-get update -q && apt-get install -q -y --no-install-recommends prometheus
RUN install -d -o nobody -g nogroup /prometheus
ENTRYPOINT ["/usr/bin/prometheus"]
"""

SENTINELS = ("sentinel-1", "sentinel-2", "sentinel-3")
REPLICAS = ("redis-replica-1", "redis-replica-2")

pytestmark = pytest.mark.timeout(1500 + 3 * SUBJOBS)


@pytest.fixture(scope="module")
def stack(docker: Mapping[str, str]) -> Iterator[Composition]:
    build = ["docker", "build", "--network=host", "-q", "-t", PROMETHEUS, "-"]
    run(build, docker, ROOT, text=IMAGE)
    more = {"PROMETHEUS_IMAGE": PROMETHEUS, "GRAFANA_IMAGE": PROMETHEUS}
    more["HA_NETWORK"] = f"10.213.{os.getpid() % 256}"
    with composed(docker, "test,ha,monitoring", "--scale", "grafana=0", **more) as found:
        yield found


def redis(stack: Composition, service: str, *words: str) -> list[str]:
    """The lines that a server or a sentinel answers; none while it does not."""
    login = "" if service in SENTINELS else "REDISCLI_AUTH=$(cat /run/secrets/redis-password) "
    port = "26379" if service in SENTINELS else "6379"
    script = f'{login}redis-cli -p {port} "$@"'
    return stack.run(service, "sh", "-c", script, "-", *words, check=False).splitlines()


def master(stack: Composition) -> str:
    """The service that two of the sentinels name, or ''."""
    words = ("sentinel", "get-master-addr-by-name", "gangamon")
    told = [(redis(stack, one, *words) or [""])[0] for one in SENTINELS]
    return next((name for name in told if name and told.count(name) >= 2), "")


def knows_all(stack: Composition, sentinel: str) -> bool:
    lines = redis(stack, sentinel, "sentinel", "master", "gangamon")
    state = dict(zip(lines[::2], lines[1::2], strict=False))
    return (state.get("num-slaves"), state.get("num-other-sentinels")) == ("2", "2")


def follows(stack: Composition, service: str, server: str) -> bool:
    wanted = {"role:slave", f"master_host:{server}", "master_link_status:up"}
    return wanted <= set(redis(stack, service, "info", "replication"))


def epoch(stack: Composition) -> str:
    """'' while it cannot be asked for."""
    return asks(stack, "print(client.epoch())", check=False).strip()


def test_a_job_completes_though_the_master_and_a_beat_are_gone(stack: Composition) -> None:
    """A replica is made the master, with a new epoch, and the other beat goes on; the old master
    comes back as a replica."""
    for one in REPLICAS:
        until(partial(follows, stack, one, "redis"), 240, f"{one} follows", stack.logs)
    for one in SENTINELS:
        until(partial(knows_all, stack, one), 240, f"{one} knows all others", stack.logs)
    with Play(stack) as play:
        play.some_completed()
        before = epoch(stack)
        begun = time.monotonic()
        stack.stop("redis")
        stack.stop("beat")
        until(lambda: master(stack) in REPLICAS, 240, "a replica is the master", stack.logs)
        promoted = time.monotonic() - begun
        until(lambda: epoch(stack) not in ("", before), 240, "a new epoch begins", stack.logs)
        print(
            f"the master and a beat killed: {master(stack)} is the master after {promoted:.1f} s, "
            f"a new epoch was seen after {time.monotonic() - begun:.1f} s"
        )
        until(lambda: works(stack, "beat-2"), 240, "the second beat ticks", stack.logs)
        play.open()
        facts = play.facts()
    judge(stack, facts)
    stack.start("redis")
    until(lambda: follows(stack, "redis", master(stack)), 240, "the old one follows", stack.logs)
    stack.start("beat")
    until(lambda: works(stack, "beat"), 240, "the first beat ticks", stack.logs)


def test_prometheus_sees_the_job_and_answers_the_dashboards(stack: Composition) -> None:
    """By what the service of the composition scrapes; no alert of something that is away."""
    prometheus = Prometheus(stack.prometheus)
    until(prometheus.ready, 240, "it is ready", stack.logs)
    until(lambda: prometheus.value('up{job="gangamon"}') == 1, 240, "it scrapes", stack.logs)
    completed = 'sum(gangamon_lane_jobs{status="completed"})'
    until(lambda: prometheus.value(completed) == SUBJOBS, 240, "it has seen the job's end")
    assert prometheus.value("sum(gangamon_processes{kind='beat'})") == 2
    boards = [(where, asked(query)) for where, query, _ in queries() if ": " in where]
    assert len(boards) > 50

    def empty() -> list[str]:
        return [where for where, query in boards if not prometheus.series(query)]

    until(lambda: not empty(), 240, "each panel has data", empty)
    firing = {name for name, state in prometheus.alerts().items() if state == "firing"}
    print(f"Prometheus answers {len(boards)} expressions of dashboards; firing: {firing or 'none'}")
    assert not firing & {"GangamonExporterDown", "GangamonStoreAway", "GangamonTickLate"}
