"""From a census of the cell to metric families. Nothing is kept between two scrapes."""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from gangamon import __version__, instance
from gangamon.client import Client
from gangamon.domain.lane import Lane
from gangamon.errors import GangamonError
from gangamon.metrics import names
from gangamon.protocols import Census, Histogram, LaneCensus
from gangamon.settings import Settings

#: How a family is made of its kind.
_FAMILIES: Mapping[str, Any] = {
    names.GAUGE: GaugeMetricFamily,
    names.COUNTER: CounterMetricFamily,
    names.SUMMARY: SummaryMetricFamily,
    names.HISTOGRAM: HistogramMetricFamily,
    names.INFO: InfoMetricFamily,
}


class Families:
    """Those of one scrape, in the order of METRICS."""

    def __init__(self) -> None:
        self._made = {name: _family(name, metric) for name, metric in names.METRICS.items()}

    def add(self, name: str, value: float | None, labels: Sequence[str] = ()) -> None:
        """A gauge's or a counter's value; None: not known, so left out."""
        if value is not None:
            self._made[name].add_metric(labels, value)

    def info(self, name: str, **labels: str) -> None:
        self._made[name].add_metric([], labels)

    def summary(self, name: str, labels: Sequence[str], count: int, total: float) -> None:
        self._made[name].add_metric(labels, count_value=count, sum_value=total)

    def histogram(self, name: str, labels: Sequence[str], found: Histogram) -> None:
        below, buckets = 0, []
        for bound in sorted(found.counts):
            below += found.counts[bound]
            buckets.append(("+Inf" if math.isinf(bound) else str(bound), below))
        self._made[name].add_metric(labels, buckets, sum_value=found.sum)

    def known(self) -> Iterator[Metric]:
        """Those that have a value."""
        return (family for family in self._made.values() if family.samples)


def _family(name: str, metric: names.Metric) -> Any:
    labels = () if metric.kind == names.INFO else metric.labels
    return _FAMILIES[metric.kind](name.removesuffix("_total"), metric.help, labels=labels)


class CellCollector(Collector):
    """Reads the store at each scrape. ``gangamon_up`` is 0 while that cannot be done."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def collect(self) -> Iterable[Metric]:
        families = Families()
        families.info("gangamon_build", version=__version__)
        _disks(families, self._client.settings)
        began = time.monotonic()
        try:
            census = self._client.census()
        except GangamonError:  # away, or newer than this version
            families.add("gangamon_up", 0)
            return families.known()
        families.add("gangamon_up", 1)
        families.add("gangamon_scrape_duration_seconds", time.monotonic() - began)
        _service(families, census)
        for name, lane in census.lanes.items():
            _lane(families, name, lane, census.at)
        _redis(families, census.server)
        return families.known()


def _service(families: Families, census: Census) -> None:
    families.add("gangamon_tick_age_seconds", census.tick_age)
    families.add("gangamon_dead_letters", census.dead)
    families.add("gangamon_leases", census.leases)
    families.add("gangamon_leases_expired", census.expired)
    for (kind, version), count in Counter((p.kind, p.version) for p in census.processes).items():
        families.add("gangamon_processes", count, [kind, version])
    for process in census.processes:
        families.add("gangamon_clock_skew_seconds", process.skew, [process.node])
    for outcome, count in census.rescued.items():
        families.add("gangamon_rescued_members_total", count, [outcome])
    for owner, count in census.inboxes.items():
        families.add("gangamon_inbox_commands", count, [owner])
    for queue, count in census.messages.items():
        families.add("gangamon_celery_messages", count, [queue])
    for labels, stage in census.stages.items():
        families.add("gangamon_stage_waiting", stage.waiting, labels)
        families.add("gangamon_stage_claims", stage.claims, labels)
        families.add("gangamon_stage_overdue_seconds", stage.overdue, labels)


def _lane(families: Families, name: str, found: LaneCensus, now: float) -> None:
    lane, record, budget = Lane.parse(name), found.record, found.budget
    labels = [lane.backend, lane.endpoint, lane.credential]
    paused, probed = bool(record.paused), record.probe_at is not None
    asked_ago = None if record.asked_at is None else max(0.0, now - record.asked_at)
    values: dict[str, float | None] = {
        "gangamon_jobs_taken_total": found.taken,
        "gangamon_lane_waiting_batches": found.queue.waiting,
        "gangamon_lane_claims": found.queue.claims,
        "gangamon_lane_overdue_seconds": found.queue.overdue,
        "gangamon_lane_poll_interval_seconds": record.interval,
        "gangamon_lane_last_answer_age_seconds": asked_ago,
        "gangamon_lane_consecutive_failures": record.failures,
        "gangamon_lane_breaker_open": record.open_until is not None,
        "gangamon_lane_paused": paused and not probed,
        "gangamon_lane_credential_missing": paused and probed,
        "gangamon_query_failures_total": found.failures,
        "gangamon_lane_budget_tokens": budget.tokens if budget else None,
        "gangamon_lane_budget_burst": budget.burst if budget else None,
        "gangamon_lane_budget_queries_per_second": budget.rate if budget else None,
        "gangamon_fetched_files_total": found.fetched.files,
        "gangamon_fetched_bytes_total": found.fetched.bytes,
        "gangamon_merged_files_total": found.merged.files,
        "gangamon_merged_bytes_total": found.merged.bytes,
    }
    for metric, value in values.items():
        families.add(metric, value, labels)
    for metric, counts in (
        ("gangamon_lane_jobs", found.jobs),
        ("gangamon_transitions_total", found.moved),
        ("gangamon_masters_ended_total", found.ended),
    ):
        for status, count in counts.items():
            families.add(metric, count, [*labels, status.value])
    families.summary("gangamon_query_duration_seconds", labels, found.queries, found.query_seconds)
    families.histogram("gangamon_detection_lag_seconds", labels, found.lag)
    families.histogram("gangamon_detection_lag_intervals", labels, found.lag_intervals)


def _redis(families: Families, server: Mapping[str, str]) -> None:
    """Of INFO; its fields: https://redis.io/docs/latest/commands/info/."""
    if not server:
        return
    version = server.get("valkey_version") or server.get("redis_version", "")
    policy = server.get("maxmemory_policy", "")
    families.info("gangamon_redis", version=version, maxmemory_policy=policy)

    def number(field: str) -> float | None:
        return float(server[field]) if field in server else None

    limit = number("maxmemory") or number("total_system_memory")
    good = server.get("aof_last_write_status")
    families.add("gangamon_redis_uptime_seconds", number("uptime_in_seconds"))
    families.add("gangamon_redis_memory_used_bytes", number("used_memory"))
    families.add("gangamon_redis_memory_limit_bytes", limit)
    families.add("gangamon_redis_connected_clients", number("connected_clients"))
    families.add("gangamon_redis_evicted_keys_total", number("evicted_keys"))
    families.add("gangamon_redis_aof_enabled", number("aof_enabled"))
    families.add("gangamon_redis_aof_write_ok", None if good is None else good == "ok")


def _disks(families: Families, settings: Settings) -> None:
    """Of the directories that are there; a running instance knows its local one."""
    running = instance.read(settings.instance_file)
    local = Path(running.local_dir) if running and running.local_dir else settings.local_dir
    for name, path in (("state", settings.state_dir), ("local", local)):
        try:
            found = os.statvfs(path) if path is not None else None
        except OSError:
            continue
        if found is not None:
            families.add("gangamon_disk_free_bytes", found.f_bavail * found.f_frsize, [name])
            families.add("gangamon_disk_size_bytes", found.f_blocks * found.f_frsize, [name])
