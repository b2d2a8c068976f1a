"""``report politeness``, ``report lag``: what the promises came to, in figures to show around."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from gangamon.cli import commanding
from gangamon.cli.table import table
from gangamon.views.asked import Asked, asked_of
from gangamon.views.text import moment, quantile, seconds, share

if TYPE_CHECKING:
    from gangamon.client import Client

#: An end is noticed within so many intervals, in 99 of 100 cases.
PROMISE = 1.2

JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group()
def report() -> None:
    """Figures on how backends are asked, and how late ends are noticed."""


@report.command()
@JSON
def politeness(as_json: bool) -> None:
    """What each lane asks of its backend: something to send to the administrators of a site."""
    client = commanding.client()
    found = [asked_of(client, lane) for lane in client.lanes()]
    if as_json:
        click.echo(json.dumps([vars(one) for one in found]))
        return
    asked = [one for one in found if one.queries]
    if not asked:
        click.echo("nothing was asked in the last hour")
        return
    begin, end = min(one.begin for one in asked), max(one.end for one in asked)
    click.echo(f"Queries to backends from {moment(begin)} to {moment(end)}\n")
    head = ("lane", "queries", "a minute", "at most", "seconds each", "at most", "time in queries")
    rows = [
        (
            one.lane,
            one.queries,
            f"{one.per_minute_mean:.2f}",
            one.per_minute_max,
            f"{one.query_mean:.3f}",
            f"{one.query_max:.3f}",
            share(one.time_share),
            _budget(one),
        )
        for one in asked
    ]
    table((*head, "budget"), rows)


@report.command()
@JSON
def lag(as_json: bool) -> None:
    """How late the ends of jobs were noticed, against the promise: 1.2 intervals in 99 of 100."""
    client = commanding.client()
    found = [_late(client, lane, record.interval) for lane, record in client.lanes().items()]
    if as_json:
        click.echo(json.dumps([vars(one) for one in found]))
        return
    if not any(one.n for one in found):
        click.echo("no end was noticed yet")
        return
    rows = [
        (
            one.lane,
            one.n,
            *(seconds(value) for value in (one.p50, one.p95, one.p99, one.max)),
            seconds(one.interval),
            one.judged,
            "-" if one.p99_intervals is None else f"{one.p99_intervals:.2f}",
            {True: "holds", False: "does not hold", None: "nothing to judge by"}[one.holds],
        )
        for one in found
    ]
    head = ("lane", "n", "p50", "p95", "p99", "max", "interval", "judged", "p99 in intervals")
    table((*head, f"{PROMISE} x interval"), rows)
    click.echo("\njudged: jobs that had been asked about before, by the interval then in force")


COMMANDS = (report,)


def _budget(one: Asked) -> str:
    if one.budget_used is None or one.budget_used_max is None:
        return "none"
    used = f"{share(one.budget_used)} used, {share(one.budget_used_max)} in the busiest minute"
    return f"{one.rate:g}/s, {one.burst} at once: {used}"


@dataclass
class Late:
    """Detection lags of a lane, seconds. ``judged``: those of jobs that had been asked about
    before; ``p99_intervals``: their p99 in intervals then in force; ``holds``: whether that is
    within the promise, None: there is none to judge by."""

    lane: str
    n: int
    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None
    interval: float | None
    judged: int
    p99_intervals: float | None
    holds: bool | None


def _late(client: Client, lane: str, interval: float | None) -> Late:
    found = client.detections(lane)
    lags = sorted(one.seconds for one in found)
    ratios = sorted(one.seconds / one.interval for one in found if one.interval)
    worst = quantile(ratios, 0.99)
    return Late(
        lane=lane,
        n=len(lags),
        p50=quantile(lags, 0.5),
        p95=quantile(lags, 0.95),
        p99=quantile(lags, 0.99),
        max=lags[-1] if lags else None,
        interval=interval,
        judged=len(ratios),
        p99_intervals=worst,
        holds=None if worst is None else worst <= PROMISE,
    )
