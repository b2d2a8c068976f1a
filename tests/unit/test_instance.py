"""The instance file: whole or not there, for its owner, and what it tells of Redis."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from gangamon import instance, settings
from gangamon.instance import Instance

SAMPLE = Instance(
    id="1f",
    host="nodeA",
    pid=7,
    redis_url="unix:///x/redis.sock",
    flower_url="",
    local_dir="/x",
    started=1.5,
    supervisor="/x/supervisor.sock",
)


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    """The same fields, in a file that only its owner can read, and nothing beside it."""
    path = tmp_path / "instance.json"
    SAMPLE.save(path)
    assert instance.read(path) == SAMPLE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"id": "x"}', "null"])
def test_what_is_not_ours_is_no_instance(tmp_path: Path, text: str) -> None:
    """A torn or foreign file is as good as none."""
    path = tmp_path / "instance.json"
    path.write_text(text)
    assert instance.read(path) is None


def test_a_missing_file_is_no_instance(tmp_path: Path) -> None:
    """Nothing runs."""
    assert instance.read(tmp_path / "instance.json") is None


def test_redis_is_where_it_is_configured_else_where_it_runs(tmp_path: Path) -> None:
    """The setting wins; without it the running instance's socket; without that nothing."""
    environ = {"GANGAMON_STATE_DIR": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    found = settings.load(environ)
    assert instance.redis_url(found) == ""
    SAMPLE.save(found.instance_file)
    assert instance.redis_url(found) == SAMPLE.redis_url
    configured = settings.load({**environ, "GANGAMON_REDIS_URL": "redis://h/0"})
    assert instance.redis_url(configured) == "redis://h/0"
