"""``gangamon doctor backend SGE`` beside a real cell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from gangamon.cli import main
from tests.integration.backends.sge import GridEngine


@pytest.fixture(autouse=True)
def environ(
    grid_engine: GridEngine,
    use: Callable[[GridEngine], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    use(grid_engine)
    monkeypatch.setenv("GANGAMON_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("GANGAMON_CONFIG", "")
    monkeypatch.delenv("GANGAMON_REDIS_URL", raising=False)


def examined(*words: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """Exit code, and (level, text) by name."""
    told = CliRunner().invoke(main, ["doctor", "backend", "SGE", "--json", *words])
    found = {check["name"]: (check["level"], check["text"]) for check in json.loads(told.stdout)}
    return told.exit_code, found


def test_a_cell(grid_engine: GridEngine) -> None:
    grid_engine.accounted(grid_engine.submit("exit 0"))  # with the first end there is a file
    code, found = examined("--endpoint", "gm")
    assert code == 0, found
    assert found["cluster"] == ("OK", "gm, qmaster on localhost")
    assert found["version"] == ("OK", "SGE 8.1.9")
    assert found["accounting"][0] == found["query"][0] == "OK"


def test_a_master_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGE_QMASTER_PORT", "1")
    code, found = examined("--endpoint", "gm")
    assert code == 1
    assert found["query"][0] == "FAIL" and "commlib" in found["query"][1]


def test_no_cell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SGE_ROOT", str(tmp_path))
    code, found = examined("--endpoint", "gm")
    assert code == 1
    assert found["cluster"][0] == found["accounting"][0] == "WARN"
