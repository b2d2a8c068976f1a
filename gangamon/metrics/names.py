"""Every metric: its name, kind, labels and meaning. The table of docs/metrics.md says the same.

Names follow https://prometheus.io/docs/practices/naming/: base units, ``_total`` for what only
grows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

GAUGE, COUNTER, SUMMARY, HISTOGRAM, INFO = "gauge", "counter", "summary", "histogram", "info"

LANE = ("backend", "endpoint", "credential")
STATUS = (*LANE, "status")
STAGE = ("stage", "owner")


@dataclass(frozen=True)
class Metric:
    kind: str
    labels: tuple[str, ...]
    help: str


METRICS: Mapping[str, Metric] = {
    "gangamon_up": Metric(GAUGE, (), "1 if the store answers, else 0 and the rest is missing."),
    "gangamon_build": Metric(INFO, ("version",), "Version of the exporter."),
    "gangamon_scrape_duration_seconds": Metric(GAUGE, (), "How long the store was read."),
    "gangamon_tick_age_seconds": Metric(
        GAUGE, (), "Since the last tick; missing before the first."
    ),
    # Jobs
    "gangamon_lane_jobs": Metric(
        GAUGE, STATUS, "Jobs that the service holds; ended ones until they are pruned."
    ),
    "gangamon_jobs_taken_total": Metric(COUNTER, LANE, "Jobs taken in, each attempt by itself."),
    "gangamon_transitions_total": Metric(COUNTER, STATUS, "Transitions, by the new status."),
    "gangamon_masters_ended_total": Metric(COUNTER, STATUS, "Master jobs that ended."),
    "gangamon_detection_lag_seconds": Metric(
        HISTOGRAM, LANE, "From a job's end at the backend to the commit that noticed it."
    ),
    "gangamon_detection_lag_intervals": Metric(
        HISTOGRAM, LANE, "The same in poll intervals in force, of jobs asked about before."
    ),
    # Lanes
    "gangamon_lane_waiting_batches": Metric(GAUGE, LANE, "Batches that wait for their next query."),
    "gangamon_lane_claims": Metric(GAUGE, LANE, "Queries claimed or under way."),
    "gangamon_lane_overdue_seconds": Metric(GAUGE, LANE, "For how long the oldest batch is due."),
    "gangamon_lane_poll_interval_seconds": Metric(GAUGE, LANE, "Interval in force."),
    "gangamon_lane_last_answer_age_seconds": Metric(GAUGE, LANE, "Since the last good answer."),
    "gangamon_lane_consecutive_failures": Metric(GAUGE, LANE, "Failed queries in a row."),
    "gangamon_lane_breaker_open": Metric(GAUGE, LANE, "1 while it rests after failures."),
    "gangamon_lane_paused": Metric(GAUGE, LANE, "1 while paused by its owner."),
    "gangamon_lane_credential_missing": Metric(
        GAUGE, LANE, "1 while paused because its credential is missing or expired."
    ),
    "gangamon_query_duration_seconds": Metric(SUMMARY, LANE, "Queries to the backend."),
    "gangamon_query_failures_total": Metric(COUNTER, LANE, "Polls that failed."),
    "gangamon_lane_budget_tokens": Metric(GAUGE, LANE, "Queries that may be made at once now."),
    "gangamon_lane_budget_burst": Metric(GAUGE, LANE, "The same of a full budget."),
    "gangamon_lane_budget_queries_per_second": Metric(GAUGE, LANE, "What the budget gets back."),
    # Outputs
    "gangamon_fetched_files_total": Metric(COUNTER, LANE, "Output files fetched."),
    "gangamon_fetched_bytes_total": Metric(COUNTER, LANE, "Bytes of output files fetched."),
    "gangamon_merged_files_total": Metric(COUNTER, LANE, "Files that merges have written."),
    "gangamon_merged_bytes_total": Metric(COUNTER, LANE, "Their bytes."),
    "gangamon_stage_waiting": Metric(
        GAUGE, STAGE, "Jobs (fetch) or master jobs that wait for a stage, those put off too."
    ),
    "gangamon_stage_claims": Metric(GAUGE, STAGE, "Claims of a stage, sent or under way."),
    "gangamon_stage_overdue_seconds": Metric(GAUGE, STAGE, "For how long the oldest is due."),
    # The service
    "gangamon_dead_letters": Metric(GAUGE, (), "Jobs and stages that were set aside."),
    "gangamon_leases": Metric(GAUGE, (), "Leases under way."),
    "gangamon_leases_expired": Metric(GAUGE, (), "Leases that expired and wait for the next tick."),
    "gangamon_rescued_members_total": Metric(
        COUNTER, ("outcome",), "What expired leases held: back, split, dead or gone."
    ),
    "gangamon_processes": Metric(
        GAUGE, ("kind", "version"), "Beats and workers that run, by their own word."
    ),
    "gangamon_clock_skew_seconds": Metric(
        GAUGE, ("node",), "Clock of a process's host less that of Redis."
    ),
    "gangamon_inbox_commands": Metric(GAUGE, ("owner",), "Commands that wait to be taken in."),
    "gangamon_celery_messages": Metric(GAUGE, ("queue",), "Messages that wait for a worker."),
    # Redis, and the disks of the exporter's host
    "gangamon_redis": Metric(INFO, ("version", "maxmemory_policy"), "The server."),
    "gangamon_redis_uptime_seconds": Metric(GAUGE, (), "Since Redis started."),
    "gangamon_redis_memory_used_bytes": Metric(GAUGE, (), "Memory of Redis."),
    "gangamon_redis_memory_limit_bytes": Metric(
        GAUGE, (), "Its maxmemory, or all memory of its host if that is not set."
    ),
    "gangamon_redis_connected_clients": Metric(GAUGE, (), "Connections."),
    "gangamon_redis_evicted_keys_total": Metric(COUNTER, (), "Keys dropped: must be 0."),
    "gangamon_redis_aof_enabled": Metric(GAUGE, (), "1 if the append-only file is on."),
    "gangamon_redis_aof_write_ok": Metric(GAUGE, (), "1 if its last write was good."),
    "gangamon_disk_free_bytes": Metric(
        GAUGE, ("directory",), "Free for the user: state (journal, logs), local (append-only file)."
    ),
    "gangamon_disk_size_bytes": Metric(GAUGE, ("directory",), "Size of that file system."),
}
