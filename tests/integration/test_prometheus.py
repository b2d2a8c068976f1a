"""A real Prometheus, with the shipped rules, scrapes the real exporter of a real store."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.backends.daemons import Daemons, free_ports
from tests.support.cell import fill
from tests.support.commands import OWNER
from tests.support.prometheus import Prometheus, asked
from tests.support.redis import PrivateRedis
from tests.support.rig import Rig
from tests.support.waiting import until
from tests.unit.test_dashboards import queries, rules

#: All were 100 s: in the bucket of 120.
LAG = 'histogram_quantile(1, gangamon_detection_lag_seconds_bucket{endpoint="node1"})'

CONFIG = Path(__file__).parents[2] / "config/prometheus"

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="needs Debian's package prometheus"
)


class Monitored:
    """A store, its exporter, and a Prometheus that scrapes it each second."""

    def __init__(self, folder: Path) -> None:
        self.redis = PrivateRedis(folder)
        self.daemons = Daemons("gm-prometheus-")
        self.folder = self.daemons.folder
        self.redis.start()
        self.rig = Rig(folder, connection=self.redis.connection())
        fill(self.rig)
        self.exporter = self._export()
        (self.port,) = free_ports(1)
        self.prometheus = Prometheus(self.port)

    def _export(self) -> subprocess.Popen[str]:
        environ = {name: v for name, v in os.environ.items() if not name.startswith("GANGAMON_")}
        environ["GANGAMON_REDIS_URL"] = self.redis.url
        environ["GANGAMON_STATE_DIR"] = str(self.folder)
        environ["GANGAMON_CONFIG"] = os.devnull
        return subprocess.Popen(
            [sys.executable, "-m", "gangamon", *self.command()],
            env=environ,
            stdout=subprocess.PIPE,
            text=True,
        )

    def command(self) -> list[str]:
        return ["metrics", "--port", "0"]

    def where(self, line: str) -> urllib.parse.SplitResult:
        """By what the exporter says first."""
        return urllib.parse.urlsplit(line)

    def scrape(self) -> dict[str, Any]:
        """More of the scrape's configuration."""
        return {}

    def start(self) -> None:
        assert self.exporter.stdout is not None
        url = self.where(self.exporter.stdout.readline().strip())
        assert url.path == "/metrics", "the exporter says where it listens"
        config = yaml.safe_load((CONFIG / "prometheus.yml").read_text(encoding="utf-8"))
        config["scrape_configs"][0] |= self.scrape()
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["scrape_configs"][0]["static_configs"] = [{"targets": [url.netloc]}]
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        shutil.copy(CONFIG / "alerts.yml", self.folder)
        self.daemons.daemon(
            *("prometheus", "--config.file", str(self.folder / "prometheus.yml")),
            *("--storage.tsdb.path", str(self.folder / "data")),
            *("--web.listen-address", f"127.0.0.1:{self.port}"),
            name="prometheus",
        )
        self.daemons.until_listens(self.port)
        until(self.prometheus.ready, 120, "it answers queries", self.daemons.story)

    def close(self) -> None:
        self.exporter.kill()
        self.exporter.communicate(timeout=60)
        self.daemons.close()
        self.redis.close()


class ByPage(Monitored):
    """The job page is what is scraped, by its password."""

    def command(self) -> list[str]:
        self.password = self.folder / "web-password"
        self.password.write_text("correct horse battery\n")
        self.password.chmod(0o600)
        return ["web", "--password-file", str(self.password)]

    def where(self, line: str) -> urllib.parse.SplitResult:
        return urllib.parse.urlsplit(line.removeprefix("job page: ") + "metrics")

    def scrape(self) -> dict[str, Any]:
        return {"authorization": {"credentials_file": str(self.password)}}


@pytest.fixture
def monitored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Monitored]:
    found = getattr(request, "param", Monitored)(tmp_path)
    try:
        found.start()
        yield found
    finally:
        found.close()


def test_promtool_finds_no_fault() -> None:
    """In the configuration that is shipped, and its rules."""
    for words in (("config", "prometheus.yml"), ("rules", "alerts.yml")):
        done = subprocess.run(
            ["promtool", "check", words[0], CONFIG / words[1]], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_when_they_should() -> None:
    """tests/data/prometheus/alerts.yml: none while all is well or nearly so, and each of them."""
    data = Path(__file__).parents[1] / "data/prometheus/alerts.yml"
    done = subprocess.run(["promtool", "test", "rules", data], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    told = data.read_text(encoding="utf-8")
    assert [rule["alert"] for rule in rules() if f'alertname="{rule["alert"]}"' not in told] == []


@pytest.mark.parametrize("monitored", [Monitored, ByPage], ids=["exporter", "page"], indirect=True)
def test_the_exporter_is_seen_up(monitored: Monitored) -> None:
    """By its own word, and Prometheus's; the metrics are those of the store, and Prometheus
    understands each expression of the dashboards."""
    until(
        lambda: monitored.prometheus.value('up{job="gangamon"}') == 1,
        120,
        "it is scraped",
        monitored.prometheus.alerts,
    )
    until(lambda: monitored.prometheus.value("gangamon_up") == 1, 120, "its samples are there")
    assert monitored.prometheus.value("gangamon_dead_letters") == 1
    assert monitored.prometheus.value("sum(gangamon_transitions_total)") == 9
    assert monitored.prometheus.value(LAG) == 120
    for _, expression, _ in queries():
        monitored.prometheus.series(asked(expression))


def test_alerts_fire_and_end(monitored: Monitored) -> None:
    """For a dead letter, until it is retried; for a Redis that may evict, until it may not; what is
    well raises none."""
    until(
        lambda: monitored.prometheus.alerts().get("GangamonDeadLetters") == "firing",
        120,
        "it fires",
    )
    found = monitored.prometheus.alerts()
    assert {"GangamonBreakerOpen", "GangamonCredentialMissing"} <= found.keys()
    assert not found.keys() & {
        "GangamonExporterDown",
        "GangamonStoreAway",
        "GangamonRedisMayDropJobs",
        "GangamonRedisNotPersistent",
    }
    (letter,) = monitored.rig.inbox.dead(OWNER)
    assert monitored.rig.store.retry(letter)
    until(lambda: "GangamonDeadLetters" not in monitored.prometheus.alerts(), 120, "it has ended")
    connection = monitored.redis.connection()
    connection.config_set("maxmemory-policy", "allkeys-lru")
    until(lambda: "GangamonRedisMayDropJobs" in monitored.prometheus.alerts(), 120, "it is told")
    connection.config_set("maxmemory-policy", "noeviction")
    until(
        lambda: "GangamonRedisMayDropJobs" not in monitored.prometheus.alerts(), 120, "it has ended"
    )


def test_what_is_away_raises_an_alert(monitored: Monitored) -> None:
    """First the store, then the exporter; each waits its time before it fires."""
    monitored.redis.kill()
    until(lambda: "GangamonStoreAway" in monitored.prometheus.alerts(), 120, "the store is missed")
    monitored.exporter.kill()
    until(
        lambda: "GangamonExporterDown" in monitored.prometheus.alerts(),
        120,
        "the exporter is missed",
    )
