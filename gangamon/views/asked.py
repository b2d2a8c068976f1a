"""What a lane asks of its backend: in figures, against its budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gangamon.client import Client

#: Minutes that are looked back.
PERIOD = 60


@dataclass
class Asked:
    """What a lane asked from ``begin`` to ``end`` (seconds since the epoch). Times in seconds.
    ``budget_used``: share of ``rate`` over the period; ``budget_used_max``: share of what the
    budget allows in a minute, in the busiest."""

    lane: str
    begin: float
    end: float
    queries: int
    per_minute_mean: float
    per_minute_max: int
    query_mean: float
    query_max: float
    time_share: float
    rate: float | None
    burst: int | None
    budget_used: float | None
    budget_used_max: float | None


def asked_of(client: Client, lane: str) -> Asked:
    """Raises StoreUnavailable."""
    now = client.clock()
    calls, slowest, budget = client.calls(lane), client.slowest(lane), client.budget(lane)
    first = max(int(now // 60) - PERIOD + 1, min(calls, default=int(now // 60)))
    counts = {minute: count for minute, (count, _) in calls.items() if minute >= first}
    queries, took = sum(counts.values()), sum(calls[minute][1] for minute in counts)
    span = max(60.0, now - 60 * first)
    mean, most = 60 * queries / span, max(counts.values(), default=0)
    rate, burst = budget or (None, None)
    return Asked(
        lane=lane,
        begin=60.0 * first,
        end=now,
        queries=queries,
        per_minute_mean=mean,
        per_minute_max=most,
        query_mean=took / queries if queries else 0.0,
        query_max=max((slowest.get(minute, 0.0) for minute in counts), default=0.0),
        time_share=took / span,
        rate=rate,
        burst=burst,
        budget_used=mean / (60 * rate) if rate else None,
        budget_used_max=most / (60 * rate + burst) if rate and burst else None,
    )
