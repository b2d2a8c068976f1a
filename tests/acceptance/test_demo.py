"""The demonstration, as users run it: real Ganga, real processes, embedded Redis."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from workers.supervisor import processes

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.timeout(720),  # the demonstration's own limit comes first
    pytest.mark.skipif(find_spec("ganga") is None, reason="Ganga is not installed"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: sockets lie below it."""
    found = tempfile.mkdtemp(prefix="gm-")
    yield Path(found)
    for state in Path(found).glob("*/state"):  # what a demonstration that did not end has left
        processes.sweep(state)
    shutil.rmtree(found, ignore_errors=True)


def demo(folder: Path, *options: str) -> tuple[str, dict[str, object]]:
    figures = folder / "figures.json"
    said = folder / "said"
    with said.open("w") as output:
        demonstration = subprocess.Popen(
            [sys.executable, "-m", "benchmarks", "demo", "--json", str(figures), *options],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={"PATH": "/usr/bin:/bin", "TMPDIR": str(folder), "HOME": str(folder)},
            start_new_session=True,
        )
        try:
            code: int | None = demonstration.wait(600)
        except subprocess.TimeoutExpired:
            code = None
            os.killpg(demonstration.pid, signal.SIGKILL)
            demonstration.wait()
    text = said.read_text(errors="replace")
    assert code == 0, f"the demonstration ended with {code} (None: not within 600 s)\n{text}"
    return text, json.loads(figures.read_text())


def test_the_main_job(folder: Path) -> None:
    """All subjobs complete, the merged files equal Ganga's own, the session stays responsive."""
    text, figures = demo(folder, "--subjobs", "30")
    assert figures["subjobs"] == {"completed": 30}
    assert text.count("equal to Ganga's own") == 2
    assert "demo: all well" in text
    calls = figures["calls"]
    assert isinstance(calls, dict)
    median = sorted(calls["jobs(i).status"])[len(calls["jobs(i).status"]) // 2]
    assert median < 0.02


def test_the_main_job_while_everything_is_killed(folder: Path) -> None:
    """Each worker, beat and Redis killed with -9 once: the same end, exactly one merge, every
    history legal, nothing left running."""
    text, figures = demo(folder, "--chaos", "--pause", "3", "--subjobs", "120")
    assert figures["subjobs"] == {"completed": 120}
    for name in ("beat", "redis", "worker-tick", "worker-poll", "worker-transfer", "worker-merge"):
        assert f"killed {name} (pid" in text
    assert "demo: all well" in text
