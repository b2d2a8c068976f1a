"""The tasks: each hands its claim to a service. Names and arguments are what Flower shows."""

from __future__ import annotations

import logging
from typing import Any, Protocol

from gangamon.errors import TransientError
from gangamon.services import hands, trail
from workers.app import app, services

log = logging.getLogger(__name__)

#: Messages of this version and the one before are understood.
VERSIONS = (1,)


class Service(Protocol):
    def run(self, token: str, worker: str) -> int: ...


@app.task(name="gangamon.tick", send_events=False)
def tick() -> int:
    """Take commands in, take expired leases back, send what is due; claims sent."""
    try:
        return services.tick.run()
    except TransientError as error:
        log.warning("tick: %s; the next one does it", error)
        return 0


@app.task(name="gangamon.poll", bind=True)
def poll(self: Any, lane: str, *, jobs: int, claim: str, v: int = 1) -> int:
    """One query of ``lane`` about ``jobs`` jobs; transitions applied."""
    return _run(services.poll, self, lane, jobs, claim, v)


@app.task(name="gangamon.fetch", bind=True)
def fetch(self: Any, about: str, *, jobs: int, claim: str, v: int = 1) -> int:
    """Bring the outputs of ``jobs`` jobs; how many ended."""
    return _run(services.fetch, self, about, jobs, claim, v)


@app.task(name="gangamon.merge", bind=True)
def merge(self: Any, about: str, *, jobs: int, claim: str, v: int = 1) -> int:
    """Merge the files of a master job."""
    return _run(services.merge, self, about, jobs, claim, v)


@app.task(name="gangamon.grow", bind=True)
def grow(self: Any, about: str, *, jobs: int, claim: str, v: int = 1) -> int:
    """Take what was fetched into the merge of a master job that still runs."""
    return _run(services.grow, self, about, jobs, claim, v)


@app.task(name="gangamon.check", bind=True)
def check(self: Any, about: str, *, jobs: int, claim: str, v: int = 1) -> int:
    """Check what was merged."""
    return _run(services.check, self, about, jobs, claim, v)


@app.task(name="gangamon.notify", bind=True)
def notify(self: Any, about: str, *, jobs: int, claim: str, v: int = 1) -> int:
    """Say that a master job has ended."""
    return _run(services.notify, self, about, jobs, claim, v)


def _run(service: Service, task: Any, what: str, jobs: int, claim: str, version: int) -> int:
    if version not in VERSIONS:
        raise ValueError(f"message version {version}; understood: {VERSIONS}")
    with (
        trail.about(task=task.request.id, claim=claim),
        trail.step(task.name, about=what, jobs=jobs),
    ):
        try:
            return service.run(claim, f"{task.request.hostname}:{task.request.id} {hands.mark()}")
        except TransientError as error:
            log.warning("%s %s: %s; its lease brings it back", task.name, claim, error)
            return 0
