"""Real workers and beats say that they run, and with what; their lines are JSON where wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gangamon import __version__
from gangamon.domain.lane import Lane
from gangamon.protocols import OK, WARN, ProcessRecord
from gangamon.views import health
from tests.support.commands import enqueue, register
from tests.support.waiting import until
from tests.support.worker import OWNER, Service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    found = Service(tmp_path / "one", more={"GANGAMON_LOG_FORMAT": "json"})
    found.redis.start()
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def other(service: Service, tmp_path: Path) -> Iterator[Service]:
    """Processes with another configuration, on the same Redis."""
    more = {"GANGAMON_WORKERS_TICK_SECONDS": "3"}
    found = Service(tmp_path / "two", url=service.url, more=more)
    try:
        yield found
    finally:
        found.close()


def running(service: Service) -> list[ProcessRecord]:
    return list(service.client().census().processes)


def kinds(service: Service) -> list[str]:
    return sorted(process.kind for process in running(service))


def test_beats_with_different_settings_are_found(service: Service, other: Service) -> None:
    """Each says what it runs with; the doctor tells them apart."""
    service.start("tick", "beat")
    until(lambda: kinds(service) == ["beat", "tick"], 120, "both say so", lambda: kinds(service))
    until(lambda: service.client().tick_age() is not None, 120, "it ticks")
    age = service.client().tick_age()
    found = list(health.processes(running(service), __version__, age))
    assert {finding.level for finding in found} == {OK}
    other.start("beat")
    until(lambda: len(kinds(service)) == 3, 120, "the third says so", lambda: kinds(service))
    (fault,) = (
        finding
        for finding in health.processes(running(service), __version__, age)
        if finding.level != OK
    )
    assert (fault.name, fault.level) == ("process settings", WARN)
    assert fault.text.startswith("tick_seconds differs: 1: beat@")
    assert abs(running(service)[0].skew) < 60, "one host, one clock"


def test_a_line_names_its_claim_and_its_task(service: Service) -> None:
    """Of a lane whose backend is away: from Redis's claim to Celery's task id."""
    service.start("tick", "poll")
    store = service.store()
    lane = Lane("Simulated", "nowhere")
    store.register(OWNER, register(str(service.data)))
    assert not store.enqueue(OWNER, "", enqueue(1, lane=lane, workspace=f"{service.data}/7"))

    def lines() -> list[dict[str, str]]:
        service.tick()
        found = [line for line in service.said("poll").splitlines() if line.startswith("{")]
        told = [json.loads(line) for line in found]
        return [line for line in told if "could not be asked" in line["message"]]

    line = until(lines, 120, "the poll fails", lambda: service.said("poll")[-2000:])[0]
    assert line["level"] == "WARNING"
    assert line["queue"] == f"poll.{lane}"
    assert len(line["claim"]) == 16
    assert line["task"].count("-") == 4, "Celery's ids are UUIDs"
