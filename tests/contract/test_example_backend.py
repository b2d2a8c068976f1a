"""The plugin author's example: a package of its own that passes the suites, and is found."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from gangamon import backends, fetchers, plugins

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib

EXAMPLE = Path(__file__).parents[2] / "docs" / "example-backend"


def test_its_own_tests_pass(tmp_path: Path) -> None:
    """As an author runs them, beside an installed gangamon; none is skipped."""
    words = ("-m", "pytest", "-p", "no:cacheprovider", "-q", "--rootdir", str(EXAMPLE))
    done = subprocess.run(
        [sys.executable, *words, "-c", str(EXAMPLE / "pyproject.toml"), str(EXAMPLE / "tests")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HYPOTHESIS_STORAGE_DIRECTORY": "."},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed in", done.stdout)
    assert passed is not None, done.stdout
    assert int(passed[1]) >= 20
    assert "skipped" not in done.stdout


def test_it_is_found_by_its_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its pyproject.toml says, as gangamon loads it."""
    monkeypatch.syspath_prepend(str(EXAMPLE / "src"))
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    for registry, load in ((backends, backends.load), (fetchers, fetchers.for_backend)):
        group = registry.GROUP
        points = [
            EntryPoint(name, value, group) for name, value in project["entry-points"][group].items()
        ]
        monkeypatch.setattr(plugins, "entry_points", lambda group, points=points: points)
        monkeypatch.setattr(registry, "PLUGINS", plugins.Plugins(group, registry._check))
        assert registry.names() == ("TinyQ",)
        assert load("TinyQ").name == "TinyQ"
