"""Lanes: how they are asked, whether they answer, and how late ends are noticed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gangamon.domain.lane import Lane
from gangamon.protocols import LaneRecord
from gangamon.views.text import quantile, seconds

if TYPE_CHECKING:
    from gangamon.client import Client


#: The state of a lane that is asked, and answers.
ASKED = "asked"


@dataclass
class View:
    """A lane as it is shown. Times in seconds; ``tried_in``: until a paused or resting lane is
    tried (None: it is neither, or waits to be resumed)."""

    lane: str
    backend: str
    endpoint: str
    credential: str
    interval: float | None
    query: float
    asked_ago: float | None
    failures: int
    error: str
    paused: str
    breaker_open: bool
    tried_in: float | None
    waiting: int
    claims: int
    lag_p50: float | None
    lag_p95: float | None
    lag_p99: float | None
    state: str


def view_of(client: Client, name: str, record: LaneRecord) -> View:
    """Raises StoreUnavailable."""
    now, lane = client.clock(), Lane.parse(name)
    lags = sorted(client.lags(name))
    waiting, claims = client.depth(f"poll.{name}")
    tried = _tried_in(record, now)
    return View(
        lane=name,
        backend=lane.backend,
        endpoint=lane.endpoint,
        credential=lane.credential,
        interval=record.interval,
        query=record.query,
        asked_ago=None if record.asked_at is None else max(0.0, now - record.asked_at),
        failures=record.failures,
        error=record.error,
        paused=record.paused,
        breaker_open=record.open_until is not None,
        tried_in=tried,
        waiting=waiting,
        claims=claims,
        lag_p50=quantile(lags, 0.5),
        lag_p95=quantile(lags, 0.95),
        lag_p99=quantile(lags, 0.99),
        state=_state(record, tried),
    )


def state_of(client: Client, name: str) -> str:
    """Whether a lane is asked, and why not. Raises StoreUnavailable."""
    record = client.lane(name)
    return state_at(record, client.clock())


def state_at(record: LaneRecord, now: float) -> str:
    """The same of a record that was read; ``now``: by Redis's clock."""
    return _state(record, _tried_in(record, now))


def _tried_in(record: LaneRecord, now: float) -> float | None:
    until = record.probe_at if record.paused else record.open_until
    return None if until is None else max(0.0, until - now)


def _state(record: LaneRecord, tried: float | None) -> str:
    if record.paused:
        again = "until resumed" if tried is None else f"tried again in {seconds(tried)}"
        return f"paused, {again}: {record.paused}"
    if record.open_until is not None:
        return f"resting, tried again in {seconds(tried)}: {record.error}"
    return f"failing: {record.error}" if record.failures else ASKED


def mine(client: Client) -> list[str]:
    """The lanes that the owner has or had jobs in. Raises StoreUnavailable."""
    return [name for name in client.lanes() if client.owner in client.owners(name)]


def named(names: Sequence[str], text: str) -> list[str]:
    """Those that a person means: the lane of this name, or all of a backend of this name, or all
    whose names begin so."""
    exact = [name for name in names if name == text]
    of_backend = [name for name in names if Lane.parse(name).backend == text]
    return exact or of_backend or [name for name in names if text and name.startswith(text)]
