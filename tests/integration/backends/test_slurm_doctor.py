"""``gangamon doctor backend Slurm`` beside real clusters."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from gangamon.cli import main
from tests.integration.backends.slurm import Slurm
from tests.integration.backends.test_slurm import Use


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GANGAMON_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("GANGAMON_CONFIG", "")
    monkeypatch.delenv("GANGAMON_REDIS_URL", raising=False)


def examined(*words: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """Exit code, and (level, text) by name."""
    told = CliRunner().invoke(main, ["doctor", "backend", "Slurm", "--json", *words])
    found = {check["name"]: (check["level"], check["text"]) for check in json.loads(told.stdout)}
    return told.exit_code, found


def test_without_accounting(slurm_plain: Slurm, use: Use) -> None:
    use(slurm_plain)
    code, found = examined()
    assert code == 0, found
    assert found["cluster"] == ("OK", "plain")
    assert found["version"][1].startswith("slurm")
    assert found["memory"] == ("OK", "ended jobs are remembered for 300 s (MinJobAge)")
    assert found["accounting"][0] == "WARN"
    assert found["query"][0] == "OK"


def test_with_accounting(slurm_accounted: Slurm, use: Use) -> None:
    """It forgets sooner than it is asked: that is worth a word, and so is that sacct answers."""
    use(slurm_accounted)
    code, found = examined("--endpoint", slurm_accounted.name)
    assert code == 0, found
    assert found["accounting"] == ("OK", "sacct answers")
    assert found["memory"][0] == "WARN"


def test_a_controller_that_is_away(
    slurm_plain: Slurm, use: Use, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(slurm_plain)
    lines = slurm_plain.conf.read_text().splitlines()
    away = tmp_path / "slurm.conf"
    kept = [line for line in lines if not line.startswith("SlurmctldPort=")]
    away.write_text("\n".join([*kept, "SlurmctldPort=1", ""]))
    monkeypatch.setitem(os.environ, "SLURM_CONF", str(away))
    code, found = examined()
    assert code == 1
    assert found["cluster"][0] == found["query"][0] == "FAIL"
