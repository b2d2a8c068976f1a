"""``gangamon doctor`` on a real Redis that is set wrongly, with a cell that has troubles."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cell import RESTING, WITHOUT, fill
from tests.support.commands import OWNER
from tests.support.redis import PrivateRedis
from tests.support.rig import Rig


@pytest.fixture
def private(tmp_path: Path) -> Iterator[PrivateRedis]:
    found = PrivateRedis(tmp_path)
    found.start()
    yield found
    found.close()


def doctor(private: PrivateRedis, state: Path) -> tuple[int, list[dict[str, str]]]:
    """Exit code and findings."""
    environ = {name: v for name, v in os.environ.items() if not name.startswith("GANGAMON_")}
    environ |= {
        "GANGAMON_REDIS_URL": private.url,
        "GANGAMON_STATE_DIR": str(state),
        "GANGAMON_OWNER": OWNER,
        "GANGAMON_CONFIG": os.devnull,
    }
    command = [sys.executable, "-m", "gangamon", "doctor", "--json"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=240)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def test_each_trouble_is_told_with_its_fix(private: PrivateRedis, tmp_path: Path) -> None:
    """Of Redis's configuration, of lanes, of what is dead, of who runs; and it fails."""
    rig = Rig(tmp_path, connection=private.connection())
    fill(rig)
    rig.store.note_process("beat@node1:3", "0.0", {"tick_seconds": 9.0})
    for name, value in (("maxmemory-policy", "volatile-lru"), ("appendonly", "no")):
        rig.redis.config_set(name, value)
    code, found = doctor(private, tmp_path / "state")
    assert code == 1
    ill = {(f["name"], f["level"]): f["text"] for f in found if f["level"] != "OK" and f["fix"]}
    assert "volatile-lru" in ill["redis eviction", "FAIL"]
    assert ill["redis persistence", "FAIL"] == "appendonly is off"
    assert ill["dead letters", "WARN"] == "1 dead letter"
    assert "0.0: beat@node1:3" in ill["process versions", "WARN"]
    assert ill["process settings", "WARN"].startswith("tick_seconds differs: ")
    lanes = [f["text"] for f in found if (f["name"], f["level"]) == ("lanes", "FAIL")]
    assert [text.split()[0] for text in lanes] == [str(RESTING), str(WITHOUT)]
    (clock,) = (f for f in found if f["name"] == "clock")
    assert clock["level"] == "OK"
