"""What is counted of a cell, and how Prometheus is told."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from gangamon import settings
from gangamon.cli import commanding, main
from gangamon.client import Client
from gangamon.domain.lane import Lane
from gangamon.domain.status import JobStatus
from gangamon.metrics import exposition
from gangamon.metrics.names import METRICS
from gangamon.protocols import Asked, Lag
from gangamon.store.counted import INTERVALS, SECONDS
from tests.support.cell import RESTING, WITHOUT, fill
from tests.support.commands import LANE, OWNER, REPOSITORY, enqueue, spec, the_master, withdraw
from tests.support.rig import Rig, client_of

MINE = {"backend": LANE.backend, "endpoint": LANE.endpoint, "credential": LANE.credential}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


class Scrape:
    """The samples of one exposition, as a scraper reads them."""

    def __init__(self, client: Client) -> None:
        text = exposition(client).body.decode()
        self.samples = [s for f in text_string_to_metric_families(text) for s in f.samples]

    def __call__(self, name: str, **labels: str) -> float:
        """The only sample of this name and these labels."""
        (found,) = (
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )
        return found

    def names(self) -> set[str]:
        return {sample.name for sample in self.samples}


def scrape(rig: Rig) -> Scrape:
    return Scrape(client_of(rig, rig.folder))


def jobs(rig: Rig, lane: Lane = LANE) -> dict[JobStatus, int]:
    """How many jobs of a lane have which status, as counted for metrics."""
    found = rig.inbox.census().lanes[str(lane)].jobs
    return {status: count for status, count in found.items() if count}


def test_what_ran_is_counted(rig: Rig) -> None:
    """Of a master job's whole way: jobs, transitions, queries, lags, files and bytes."""
    fill(rig)
    found = scrape(rig)
    moved = {s: found("gangamon_transitions_total", status=s.value, **MINE) for s in JobStatus}
    assert moved == {
        **dict.fromkeys(JobStatus, 0.0),
        JobStatus.RUNNING: 3,
        JobStatus.COMPLETING: 3,
        JobStatus.COMPLETED: 2,
        JobStatus.FAILED: 1,
    }
    assert found("gangamon_jobs_taken_total", **MINE) == 5
    assert jobs(rig) == {
        JobStatus.SUBMITTED: 2,
        JobStatus.COMPLETED: 2,
        JobStatus.FAILED: 1,
    }
    assert found("gangamon_masters_ended_total", status="failed", **MINE) == 1
    assert found("gangamon_fetched_files_total", **MINE) == 6
    assert found("gangamon_fetched_bytes_total", **MINE) == 30
    assert found("gangamon_merged_files_total", **MINE) == 1
    assert found("gangamon_merged_bytes_total", **MINE) == 1
    assert found("gangamon_query_duration_seconds_count", **MINE) == 2
    assert found("gangamon_detection_lag_seconds_sum", **MINE) == 300
    assert found("gangamon_detection_lag_intervals_sum", **MINE) == 3


def test_lanes_that_are_not_asked_are_told_apart(rig: Rig) -> None:
    """A breaker, a credential, an owner's pause."""
    fill(rig)
    names = (
        "gangamon_lane_breaker_open",
        "gangamon_lane_credential_missing",
        "gangamon_lane_paused",
    )

    def told(lane: Lane) -> list[float]:
        return [scrape(rig)(name, endpoint=lane.endpoint) for name in names]

    assert [told(lane) for lane in (LANE, RESTING, WITHOUT)] == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    rig.store.pause(str(LANE), "by its owner", None)
    assert told(LANE) == [0, 0, 1]
    assert scrape(rig)("gangamon_query_failures_total", endpoint=RESTING.endpoint) == 3
    assert scrape(rig)("gangamon_lane_consecutive_failures", endpoint=RESTING.endpoint) == 3


def test_what_waits_is_counted(rig: Rig) -> None:
    """Queues, leases, the inbox, the dead."""
    fill(rig)
    found = scrape(rig)
    assert found("gangamon_dead_letters") == 1
    assert found("gangamon_inbox_commands", owner=OWNER) == 1
    assert found("gangamon_leases") == 1
    assert found("gangamon_leases_expired") == 0
    assert found("gangamon_rescued_members_total", outcome="back") == 2
    assert found("gangamon_lane_claims", **MINE) == 1
    assert found("gangamon_lane_waiting_batches", endpoint=RESTING.endpoint) == 1
    assert found("gangamon_stage_waiting", stage="fetch", owner=OWNER) == 0
    assert 0 <= found("gangamon_tick_age_seconds") < 3600


def test_a_due_member_is_overdue_for_as_long_as_it_is_due(rig: Rig) -> None:
    """The oldest counts; one that is due later does not."""
    rig.begin(1)
    due = rig.store.keys.of("due", f"poll.{LANE}", OWNER)
    (member,) = rig.redis.zrange(due, 0, -1)
    later = round((rig.inbox.clock() + 3600) * 1000)
    rig.redis.zadd(due, {str(member): later, f"{OWNER}:x": later})
    assert scrape(rig)("gangamon_lane_overdue_seconds", **MINE) == 0
    rig.redis.zadd(due, {str(member): later - 7_200_000})
    assert 3600 <= scrape(rig)("gangamon_lane_overdue_seconds", **MINE) < 7200


def test_lags_are_counted_by_bounds(rig: Rig) -> None:
    """Cumulated, as a histogram's buckets are; a lag below 0 (clocks differ) is one of 0."""
    lags = [Lag(-1.0), Lag(0.1), Lag(3.0, 2.5), Lag(5000.0, 100.0)]
    rig.begin(1)
    for _ in range(2):
        rig.store.note_query(str(LANE), 1.0, 5.0, 0.1, Asked(1, 0.25, 0.25), lags)
    found = scrape(rig)

    def buckets(name: str, *bounds: float) -> list[float]:
        return [found(f"{name}_bucket", le=f"{bound}", **MINE) for bound in bounds]

    assert buckets("gangamon_detection_lag_seconds", 0.1, 2.5, 5.0, 3600.0) == [4, 4, 6, 6]
    assert found("gangamon_detection_lag_seconds_bucket", le="+Inf", **MINE) == 8
    assert found("gangamon_detection_lag_seconds_count", **MINE) == 8
    assert found("gangamon_detection_lag_seconds_sum", **MINE) == pytest.approx(10_006.2)
    assert buckets("gangamon_detection_lag_intervals", 1.0, 1.2, 10.0) == [0, 2, 2]
    assert found("gangamon_detection_lag_intervals_count", **MINE) == 4
    assert found("gangamon_query_duration_seconds_sum", **MINE) == 0.5
    assert list(SECONDS) == sorted(set(SECONDS))
    assert list(INTERVALS) == sorted(set(INTERVALS))


def test_jobs_are_counted_where_they_are(rig: Rig) -> None:
    """Enqueued twice, resubmitted to another lane, withdrawn, forgotten: the sums agree with what
    the masters say, at each step."""
    elsewhere = Lane("Local", "node2")

    def agree() -> dict[Lane, dict[JobStatus, int]]:
        wanted: dict[Lane, Counter[JobStatus]] = {LANE: Counter(), elsewhere: Counter()}
        for number in rig.inbox.masters(OWNER, REPOSITORY):
            master = the_master(rig.store, number)
            wanted[master.lane].update({s: n for s, n in master.counts.items() if n})
        known = [lane for lane in wanted if str(lane) in rig.inbox.lanes()]
        found = {lane: jobs(rig, lane) for lane in known}
        assert found == {lane: dict(wanted[lane]) for lane in known}
        return found

    rig.begin(3)
    rig.begin(3)
    assert agree() == {LANE: {JobStatus.SUBMITTED: 3}}
    rig.send(withdraw(7, (1,)))
    rig.tick.run()
    assert agree() == {LANE: {JobStatus.SUBMITTED: 2, JobStatus.KILLED: 1}}
    again = enqueue([spec(1, attempt=2)], "e2", total=3, lane=elsewhere)
    assert not rig.store.enqueue(OWNER, "", again)
    assert agree() == {LANE: {}, elsewhere: {JobStatus.SUBMITTED: 3}}
    assert not rig.store.enqueue(OWNER, "", enqueue(2, "e3", master=8))
    assert agree()[LANE] == {JobStatus.SUBMITTED: 2}
    rig.send(withdraw(7, (), "w2"))
    rig.tick.run()
    assert agree() == {LANE: {JobStatus.SUBMITTED: 2}, elsewhere: {}}
    assert rig.inbox.census().lanes[str(elsewhere)].taken == 1


def test_a_command_that_comes_twice_counts_once(rig: Rig) -> None:
    """As its jobs do."""
    rig.begin(3)
    rig.begin(3)
    assert rig.inbox.census().lanes[str(LANE)].taken == 3


def test_a_store_without_anything(rig: Rig) -> None:
    """It is up, and knows of no lane."""
    found = scrape(rig)
    assert found("gangamon_up") == 1
    assert found("gangamon_dead_letters") == 0
    assert "gangamon_lane_jobs" not in found.names()
    assert "gangamon_tick_age_seconds" not in found.names()


def test_a_store_that_is_away(tmp_path: Path) -> None:
    """Said, and not raised; what is known without it is told."""
    environ = {
        "GANGAMON_STATE_DIR": str(tmp_path),
        "GANGAMON_CONFIG": os.devnull,
        "GANGAMON_REDIS_URL": f"unix://{tmp_path}/none",
    }
    found = Scrape(Client(settings.load(environ)))
    assert found("gangamon_up") == 0
    assert found("gangamon_disk_free_bytes", directory="state") > 0
    assert "gangamon_dead_letters" not in found.names()


def test_formats_are_chosen_by_the_scraper(rig: Rig) -> None:
    """Text by default, OpenMetrics where it is asked for."""
    client = client_of(rig, rig.folder)
    assert exposition(client).content_type.startswith("text/plain")
    wanted = exposition(client, "application/openmetrics-text; version=1.0.0")
    assert wanted.content_type.startswith("application/openmetrics-text")
    assert wanted.body.endswith(b"# EOF\n")


def test_metrics_are_printed_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a look at them."""
    monkeypatch.setattr(commanding, "client", lambda: client_of(rig, rig.folder))
    done = CliRunner().invoke(main, ["metrics", "--once"])
    assert done.exit_code == 0, done.output
    assert "\ngangamon_up 1.0\n" in done.output


def test_a_port_that_is_no_port(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with what is accepted."""
    monkeypatch.setattr(commanding, "client", lambda: client_of(rig, rig.folder))
    done = CliRunner().invoke(main, ["metrics", "--port", "70000"])
    assert done.exit_code == 2
    assert "--host, --port: got 127.0.0.1, 70000" in done.output


def test_names_follow_the_conventions() -> None:
    """Counters end in _total and nothing else does; nobody's name is a prefix of the wrong unit."""
    for name, metric in METRICS.items():
        assert name.startswith("gangamon_")
        assert name.endswith("_total") == (metric.kind == "counter"), name
        assert not name.endswith(("_ms", "_milliseconds", "_kb", "_mb", "_count", "_sum")), name
        assert metric.help.endswith(".")
