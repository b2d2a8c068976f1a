"""``lanes``, ``pause``, ``resume``, ``reconcile``: how backends are asked, and whether."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from gangamon.cli import commanding
from gangamon.cli.table import table
from gangamon.domain.command import Pause, Reconcile, Resume
from gangamon.domain.lane import Lane
from gangamon.errors import BadInput
from gangamon.views.lanes import mine, named, view_of
from gangamon.views.text import seconds

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
    views = [view_of(client, name, record) for name, record in client.lanes().items()]
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


def _chosen(client: Client, text: str) -> Lane:
    """The lane of this name, or the only one that begins so. BadInput lists what is accepted."""
    known = mine(client)
    found = named(known, text)
    if len(found) != 1:
        accepted = ", ".join(known) or f"none yet: {client.owner} has no jobs in any"
        raise BadInput([f"lane: got {text!r}; accepted: one of {accepted}"])
    return Lane.parse(found[0])


def _held(client: Client) -> set[tuple[Any, ...]]:
    return {(r, n) for r in client.repositories() for n in client.store.masters(client.owner, r)}
