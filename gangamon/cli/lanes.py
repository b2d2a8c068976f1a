"""``lanes``, ``pause``, ``resume``, ``reconcile``: how backends are asked, and whether."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from gangamon.cli import commanding
from gangamon.cli.table import quantile, seconds, table
from gangamon.domain.command import Pause, Reconcile, Resume
from gangamon.domain.lane import Lane
from gangamon.errors import BadInput
from gangamon.protocols import LaneRecord

if TYPE_CHECKING:
    from gangamon.client import Client

JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")

#: Stands for a repository where none is known: only the answer is read there.
NOWHERE = "0" * 32


@click.command()
@JSON
def lanes(as_json: bool) -> None:
    """Every lane: how often it is asked, whether it answers, and how late ends are noticed."""
    client = commanding.client()
    views = [_view(client, name, record) for name, record in client.lanes().items()]
    if as_json:
        click.echo(json.dumps([vars(view) for view in views]))
        return
    if not views:
        click.echo("no lanes")
        return
    head = ("lane", "interval", "query", "asked", "failed", "batches", "claims")
    rows = [
        (
            view.lane,
            seconds(view.interval),
            seconds(view.query),
            "never" if view.asked_ago is None else f"{seconds(view.asked_ago)} ago",
            view.failures,
            view.waiting,
            view.claims,
            *(seconds(lag) for lag in (view.lag_p50, view.lag_p95, view.lag_p99)),
            view.state,
        )
        for view in views
    ]
    table((*head, "lag p50", "p95", "p99", "state"), rows)


@click.command()
@click.argument("lane")
@click.option("--reason", default="by its owner", show_default=True, help="Shown with the lane.")
def pause(lane: str, reason: str) -> None:
    """Ask nothing in LANE until it is resumed; its jobs keep their status."""
    client = commanding.client()
    chosen = _chosen(client, lane)
    command = Pause(client.new_id(), commanding.a_repository(client), chosen, reason)
    commanding.send(client, command)
    click.echo(f"paused: {chosen}")


@click.command()
@click.argument("lane")
def resume(lane: str) -> None:
    """Ask in LANE again, at once: the end of a pause, and of an open breaker."""
    client = commanding.client()
    chosen = _chosen(client, lane)
    commanding.send(client, Resume(client.new_id(), commanding.a_repository(client), chosen))
    click.echo(f"resumed: {chosen}")


@click.command()
@click.option("--timeout", type=float, default=120.0, show_default=True, help="Seconds to wait.")
@JSON
def reconcile(timeout: float, as_json: bool) -> None:
    """Have the service give its store back what the journal holds of your jobs."""
    client = commanding.client()
    before = _held(client)
    repository = next(iter(client.repositories()), NOWHERE)
    commanding.send(client, Reconcile(client.new_id(), repository), timeout)
    after = _held(client)
    back = len(after - before)
    if as_json:
        click.echo(json.dumps({"masters": len(after), "back": back}))
    else:
        click.echo(f"{len(after)} master jobs, {back} of them were missing")


COMMANDS = (lanes, pause, resume, reconcile)


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


def _view(client: Client, name: str, record: LaneRecord) -> View:
    now, lane = client.clock(), Lane.parse(name)
    lags = sorted(client.lags(name))
    waiting, claims = client.depth(f"poll.{name}")
    until = record.probe_at if record.paused else record.open_until
    tried = None if until is None else max(0.0, until - now)
    open_ = record.open_until is not None
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
        breaker_open=open_,
        tried_in=tried,
        waiting=waiting,
        claims=claims,
        lag_p50=quantile(lags, 0.5),
        lag_p95=quantile(lags, 0.95),
        lag_p99=quantile(lags, 0.99),
        state=_state(record, open_, tried),
    )


def _state(record: LaneRecord, breaker_open: bool, tried: float | None) -> str:
    if record.paused:
        again = "until resumed" if tried is None else f"tried again in {seconds(tried)}"
        return f"paused, {again}: {record.paused}"
    if breaker_open:
        return f"resting, tried again in {seconds(tried)}: {record.error}"
    return f"failing: {record.error}" if record.failures else "asked"


def _chosen(client: Client, text: str) -> Lane:
    """The lane of this name, or the only one that begins so. BadInput lists what is accepted."""
    mine = [name for name in client.lanes() if client.owner in client.owners(name)]
    found = [name for name in mine if name == text] or [n for n in mine if n.startswith(text)]
    if len(found) != 1:
        known = ", ".join(mine) or f"none yet: {client.owner} has no jobs in any"
        raise BadInput([f"lane: got {text!r}; accepted: one of {known}"])
    return Lane.parse(found[0])


def _held(client: Client) -> set[tuple[Any, ...]]:
    return {(r, n) for r in client.repositories() for n in client.store.masters(client.owner, r)}
