"""The stored status graph against the installed Ganga's."""

from __future__ import annotations

import json
from pathlib import Path

from tests.ganga import needs_ganga, run_ganga

FIXTURE = Path(__file__).parents[1] / "data" / "ganga_status_graph.json"

SCRIPT = """
from GangaCore.GPIDev.Lib.Job.Job import Job as Real
result = {status: sorted(targets) for status, targets in Real.status_graph.items()}
"""


@needs_ganga
def test_the_fixture_is_gangas(tmp_path: Path) -> None:
    """tests/data/ganga_status_graph.json is Job.status_graph of the installed Ganga."""
    assert run_ganga(tmp_path, SCRIPT) == json.loads(FIXTURE.read_text())["graph"]
