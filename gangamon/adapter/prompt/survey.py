"""What the service says when ``monitor`` asks: its lanes, its queues, this repository's masters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gangamon.adapter.prompt.figures import Figures
from gangamon.domain.effect import Stage
from gangamon.protocols import Master
from gangamon.views import jobs, lanes
from gangamon.views.asked import Asked, asked_of
from gangamon.views.text import lines, seconds, share

#: Seconds without a tick after which one is missing: it comes every second.
SILENT = 30.0


@dataclass(frozen=True)
class Survey:
    """``queues``: stage -> (waiting, under way), of this owner. ``dead``: jobs and stages set
    aside. ``tick_age``: seconds; None: there was none. ``masters``: by id."""

    lanes: Sequence[tuple[lanes.View, Asked]]
    queues: Mapping[str, tuple[int, int]]
    dead: int
    tick_age: float | None
    masters: Mapping[int, Master]


def take(client: Any, repository: str) -> Survey:
    """A question for the Asker. Raises StoreUnavailable."""
    mine = lanes.mine(client)
    return Survey(
        [(lanes.view_of(client, n, client.lane(n)), asked_of(client, n)) for n in mine],
        {stage.value: client.depth(f"{stage}.{client.owner}") for stage in Stage},
        len(client.dead()),
        client.tick_age(),
        {master.id: master for master in client.masters(repository)},
    )


def told(survey: Survey) -> list[str]:
    """The lanes in a table, and the queues in a line."""
    found = lines(_HEAD, [_row(*one) for one in survey.lanes]) if survey.lanes else ["no lanes yet"]
    queues = ", ".join(
        f"{stage} {waiting} waiting, {claims} under way"
        for stage, (waiting, claims) in survey.queues.items()
        if waiting or claims
    )
    found.append(f"queues: {queues or 'nothing to fetch, merge, check or notify'}")
    if survey.dead:
        found.append(f"set aside: {survey.dead}; 'gangamon dead list' says why")
    if survey.tick_age is None or survey.tick_age > SILENT:
        last = "never" if survey.tick_age is None else f"{seconds(survey.tick_age)} ago"
        found.append(f"the service's last tick: {last}; 'gangamon ps' tells what of it runs")
    return found


def ahead(figures: Figures, master: Master | None) -> str:
    """What the service knows of a job and the session does not show yet; '' if nothing."""
    if master is None or figures.over:
        return ""
    if master.status is not None:
        return f"the service: {master.status}"
    if master.phase != "open":
        return "; ".join(
            part for part in (f"the service: {master.phase}", jobs.merging(master)) if part
        )
    done = jobs.over(master)
    told = [
        f"the service: {done} ended" if done > figures.done else "",
        jobs.fetched(master),
        jobs.merging(master),
    ]
    return "; ".join(part for part in told if part)


_HEAD = ("lane", "asked", "every", "lag p50", "p99", "budget", "waiting", "state")


def _row(view: lanes.View, asked: Asked) -> tuple[object, ...]:
    return (
        view.lane,
        "never" if view.asked_ago is None else f"{seconds(view.asked_ago)} ago",
        seconds(view.interval),
        seconds(view.lag_p50),
        seconds(view.lag_p99),
        "-" if asked.budget_used is None else f"{share(asked.budget_used)} used",
        view.waiting + view.claims,
        view.state,
    )
