"""Dashboards, alerts and documentation name only what a store with data exposes, and all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from prometheus_client.parser import text_string_to_metric_families

from gangamon.cli.metrics import PORT
from gangamon.metrics import exposition
from gangamon.metrics.names import METRICS
from gangamon.store.inbox import ClientStore
from tests.support.cell import RESTING, fill
from tests.support.commands import LANE
from tests.support.redis import PrivateRedis
from tests.support.rig import Rig, client_of

ROOT = Path(__file__).parents[2]
BOARDS = sorted((ROOT / "config/grafana/dashboards").glob("*.json"))
ALERTS = ROOT / "config/prometheus/alerts.yml"

#: Labels that Prometheus adds to what it scrapes.
ADDED = {"job", "instance"}

METRIC = re.compile(r"\b((?:gangamon_\w+)|up\b)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
GROUPED = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
SHOWN = re.compile(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}")


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, set[str]]]]:
    """Sample name -> label -> values, of a real store in which something of every kind is."""
    folder = tmp_path_factory.mktemp("cell")
    private = PrivateRedis(tmp_path_factory.mktemp("redis"))
    private.start()
    try:
        rig = Rig(folder, connection=private.connection())
        fill(rig)
        client = client_of(rig, folder)
        client.settings.state_dir.mkdir(parents=True)
        object.__setattr__(client.settings, "local_dir", folder)
        text = exposition(client).body.decode()
    finally:
        private.close()
    found: dict[str, dict[str, set[str]]] = {"up": {label: set() for label in ADDED}}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {label: set() for label in ADDED})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    yield found


def test_a_user_who_may_read_less_is_told_less(tmp_path: Path) -> None:
    """As owners' command lines are held by an ACL: no inboxes of others, no INFO, no Celery."""
    private = PrivateRedis(tmp_path)
    private.start()
    try:
        rig = Rig(tmp_path, connection=private.connection())
        fill(rig)
        rules = ["~gm:queues", "~gm:counted", "~gm:lane:*", "~gm:tick", "+@read", "+time"]
        rig.redis.execute_command("ACL", "SETUSER", "less", "on", ">secret", *rules)
        mine = redis.Redis.from_url(
            private.url, username="less", password="secret", protocol=2, decode_responses=True
        )
        found = ClientStore(private.url, "gm", connection=mine).census()
        mine.close()
    finally:
        private.close()
    assert (found.inboxes, found.messages, found.server, found.dead) == ({}, {}, {}, 0)
    assert found.lanes[str(RESTING)].record.failures == 3
    assert found.lanes[str(LANE)].queries == 2
    assert found.lanes[str(LANE)].queue.waiting == 0
    assert found.tick_age is not None


def panels(path: Path) -> Iterator[dict[str, Any]]:
    for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
        if panel["type"] != "row":
            yield panel


def queries() -> Iterator[tuple[str, str, str]]:
    """(where, expression, text in which labels are shown) of all that is asked of Prometheus."""
    for path in BOARDS:
        for panel in panels(path):
            for target in panel["targets"]:
                yield f"{path.stem}: {panel['title']}", target["expr"], target["legendFormat"]
        for variable in json.loads(path.read_text(encoding="utf-8"))["templating"]["list"]:
            inner = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"])
            assert inner, variable["query"]
            yield f"{path.stem}: ${variable['name']}", inner[1], f"{{{{{inner[2]}}}}}"
    for rule in rules():
        yield rule["alert"], rule["expr"], " ".join(rule["annotations"].values())


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_what_is_asked_exists(exposed: dict[str, dict[str, set[str]]]) -> None:
    """Each metric, each label that is matched, grouped by or shown, and each value that is matched
    literally."""
    seen = 0
    for where, expression, shown in queries():
        named = METRIC.findall(expression)
        assert named, f"{where}: names no metric: {expression}"
        labels: set[str] = set()
        for metric, matchers in named:
            seen += 1
            assert metric in exposed, f"{where}: {metric}"
            labels |= exposed[metric].keys()
            for label, value in MATCHER.findall(matchers):
                assert label in exposed[metric], f"{where}: {metric}{{{label}}}"
                if label == "le":
                    assert value in exposed[metric][label], f"{where}: {metric}{{le={value}}}"
        wanted = {name.strip() for part in GROUPED.findall(expression) for name in part.split(",")}
        wanted |= set(SHOWN.findall(shown))
        assert wanted <= labels, f"{where}: {wanted - labels}"
    assert seen > 60


def test_every_metric_has_a_value_in_that_store(exposed: dict[str, dict[str, set[str]]]) -> None:
    """And nothing is exposed that is not in the list, or has other labels."""
    suffixes = {"summary": "_count", "histogram": "_bucket", "info": "_info"}
    for name, metric in METRICS.items():
        sample = name + suffixes.get(metric.kind, "")
        assert sample in exposed, sample
        assert exposed[sample].keys() - ADDED - {"le"} == set(metric.labels), sample
    stems = "|".join(METRICS)
    odd = [s for s in exposed if not re.fullmatch(rf"(up|({stems})(_\w+)?)", s)]
    assert odd == []


def test_every_metric_is_in_the_table() -> None:
    """docs/metrics.md: name, kind, labels and meaning, in the same order."""
    lines = (ROOT / "docs/metrics.md").read_text(encoding="utf-8").splitlines()
    rows = [
        [c.strip() for c in line.strip("|").split("|")] for line in lines if "`gangamon_" in line
    ]
    table = [row for row in rows if len(row) == 4]
    assert table == [
        [f"`{name}`", metric.kind, ", ".join(metric.labels), metric.help]
        for name, metric in METRICS.items()
    ]


def test_every_alert_says_what_to_do() -> None:
    """One name each; what it means, the first step, how bad it is."""
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "action"}


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: str(path.stem))
def test_a_dashboard_is_whole(path: Path) -> None:
    """Panels have ids of their own, do not overlap, and use the provisioned data source."""
    board = json.loads(path.read_text(encoding="utf-8"))
    assert board["uid"].startswith("gangamon-")
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    source = ROOT / "config/grafana/provisioning/datasources/prometheus.yml"
    (provisioned,) = yaml.safe_load(source.read_text(encoding="utf-8"))["datasources"]
    for panel in panels(path):
        assert panel["datasource"]["uid"] == provisioned["uid"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_prometheus_scrapes_the_exporter() -> None:
    """By the port and the name that the exporter and the alerts use."""
    path = ROOT / "config/prometheus/prometheus.yml"
    (job,) = yaml.safe_load(path.read_text(encoding="utf-8"))["scrape_configs"]
    assert job["job_name"] == "gangamon"
    assert job["static_configs"] == [{"targets": [f"metrics:{PORT}"]}]
