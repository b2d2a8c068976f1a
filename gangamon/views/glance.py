"""The cell at a glance: lanes, what waits, the owner's jobs; for ``gangamon top``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gangamon.domain.status import FINAL, JobStatus
from gangamon.protocols import Census, LaneCensus
from gangamon.views import jobs
from gangamon.views.lanes import state_at
from gangamon.views.text import count, plain, quantile, seconds, size

if TYPE_CHECKING:
    from gangamon.client import Client

#: Lags that are looked at for each lane, and master jobs, the newest.
LAGS, MASTERS = 500, 20

#: Seconds without a tick that are worth a word.
LATE = 10.0


@dataclass(frozen=True)
class LaneRow:
    """A lane. ``live``: jobs that have not ended. ``queries`` a minute and ``moved`` (transitions)
    a second since the look before; None: there was none. Times in seconds."""

    lane: str
    state: str
    interval: float | None
    query: float
    asked_ago: float | None
    live: int
    waiting: int
    claims: int
    queries: float | None
    moved: float | None
    lag_p50: float | None
    lag_p99: float | None


@dataclass(frozen=True)
class Glance:
    """One look. ``troubles``: what somebody should see to, in words; ``masters``: a line for each
    of the owner's newest that have not ended."""

    census: Census
    head: str
    troubles: Sequence[str]
    lanes: Sequence[LaneRow]
    stages: Sequence[str]
    masters: Sequence[str]


#: What lanes are sorted by, the most urgent first.
SORTS: Mapping[str, Callable[[LaneRow], Any]] = {
    "lane": lambda row: row.lane,
    "lag": lambda row: -(row.lag_p99 or 0.0),
    "live jobs": lambda row: -row.live,
    "waiting": lambda row: -row.waiting,
}


def look(client: Client, before: Census | None = None) -> Glance:
    """Raises StoreUnavailable."""
    census = client.census()
    elapsed = census.at - before.at if before is not None else 0.0
    earlier = before.lanes if before is not None and elapsed > 0 else {}
    return Glance(
        census,
        _head(census),
        _troubles(census),
        [
            _row(client, census, name, lane, earlier.get(name), elapsed)
            for name, lane in census.lanes.items()
        ],
        [
            f"{stage} {plain(owner)}: {queue.waiting} waiting, {count(queue.claims, 'claim')}"
            for (stage, owner), queue in census.stages.items()
            if queue.waiting or queue.claims
        ],
        [
            plain(jobs.line(master))
            for repository in client.repositories()
            for number in sorted(client.store.masters(client.owner, repository))[-MASTERS:]
            if (master := client.master(repository, number)) is not None and master.status is None
        ][-MASTERS:],
    )


def _row(
    client: Client,
    census: Census,
    name: str,
    lane: LaneCensus,
    earlier: LaneCensus | None,
    elapsed: float,
) -> LaneRow:
    record = lane.record
    lags = sorted(client.lags(name, LAGS))
    live = sum(n for status, n in lane.jobs.items() if status not in FINAL)
    queries = moved = None
    if earlier is not None:
        # A store that was emptied meanwhile counts from 0 again.
        queries = max(0.0, 60 * (lane.queries - earlier.queries) / elapsed)
        moved = max(0.0, (sum(lane.moved.values()) - sum(earlier.moved.values())) / elapsed)
    return LaneRow(
        lane=name,
        state=plain(state_at(record, census.at)),
        interval=record.interval,
        query=record.query,
        asked_ago=None if record.asked_at is None else max(0.0, census.at - record.asked_at),
        live=live,
        waiting=lane.queue.waiting,
        claims=lane.queue.claims,
        queries=queries,
        moved=moved,
        lag_p50=quantile(lags, 0.5),
        lag_p99=quantile(lags, 0.99),
    )


def _head(census: Census) -> str:
    by_status = {s: sum(lane.jobs[s] for lane in census.lanes.values()) for s in JobStatus}
    told = [f"{n} {status}" for status, n in by_status.items() if n]
    memory = size(float(census.server["used_memory"])) if "used_memory" in census.server else "-"
    tick = "none yet" if census.tick_age is None else f"{seconds(census.tick_age)} ago"
    leases = count(census.leases, "lease")
    return f"tick {tick}; redis {memory}; {leases}; jobs: {', '.join(told) or 'none'}"


def _troubles(census: Census) -> list[str]:
    found = []
    if census.tick_age is not None and census.tick_age > LATE:
        found.append(f"no tick for {seconds(census.tick_age)}: gangamon doctor")
    if census.dead:
        found.append(f"{count(census.dead, 'dead letter')}: gangamon dead list")
    if waiting := sum(census.inboxes.values()):
        found.append(f"{count(waiting, 'command')} not yet taken in")
    if census.expired:
        found.append(f"{count(census.expired, 'expired lease')} not yet taken back")
    return found
