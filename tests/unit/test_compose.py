"""docker-compose.yml is one that docker-compose takes, and keeps to itself what must stay there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMMAND = shutil.which("docker-compose")
REQUIRED = {"GANGAMON_OWNER": "ada", "FLOWER_BASIC_AUTH": "ada:secret"}


def config(empty: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    assert COMMAND
    empty.touch()
    return subprocess.run(
        # A developer's own .env must not fill in what is missing here.
        [COMMAND, "--env-file", str(empty), "config", "-q"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": "/home/ada", **variables},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]


@pytest.mark.skipif(not COMMAND, reason="there is no docker-compose")
def test_docker_compose_takes_it(tmp_path: Path) -> None:
    answer = config(tmp_path / "env", **REQUIRED)
    assert answer.returncode == 0, answer.stderr
    assert not answer.stderr


@pytest.mark.skipif(not COMMAND, reason="there is no docker-compose")
@pytest.mark.parametrize("missing", REQUIRED)
def test_it_does_not_start_without_an_owner_or_a_login(missing: str, tmp_path: Path) -> None:
    given = {name: value for name, value in REQUIRED.items() if name != missing}
    answer = config(tmp_path / "env", **given)
    assert answer.returncode != 0
    assert missing in answer.stderr


def test_only_flower_is_published_and_on_loopback(services: dict[str, Any]) -> None:
    published = {name: s["ports"] for name, s in services.items() if "ports" in s}
    assert published == {"flower": ["127.0.0.1:5555:5555"]}


def test_each_kind_of_queue_has_its_worker(services: dict[str, Any]) -> None:
    words = {name: s["command"].split() for name, s in services.items() if "worker-" in name}
    queues = {name: command[command.index("-Q") + 1] for name, command in words.items()}
    assert queues == {
        "worker-tick": "tick",
        "worker-poll": "poll.Local",
        "worker-transfer": "transfer.${GANGAMON_OWNER}",
        "worker-merge": "merge.${GANGAMON_OWNER}",
    }


def test_mounted_files_are_there(services: dict[str, Any]) -> None:
    mounts = [volume.split(":")[0] for s in services.values() for volume in s.get("volumes", [])]
    files = [mount for mount in mounts if mount.startswith("./")]
    assert files
    assert all((ROOT / file).is_file() for file in files)
