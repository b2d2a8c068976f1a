"""``gangamon mode``: the flag of a repository, told and set without a session or a service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gangamon.cli.ganga import gangadir_of, mode_command
from gangamon.errors import BadInput
from gangamon.services import mode

REPOSITORY = "0" * 31 + "1"


@pytest.fixture
def gangadir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that gangamon was used in; no service runs."""
    monkeypatch.setenv("GANGAMON_STATE_DIR", str(tmp_path / "state"))
    place = tmp_path / "gangadir" / "gangamon"
    place.mkdir(parents=True)
    (place / "repository.json").write_text(json.dumps({"id": REPOSITORY}))
    return place.parent


def _run(*words: str) -> Result:
    return CliRunner().invoke(mode_command, words)


def test_it_is_told_and_set(gangadir: Path) -> None:
    """Without an argument nothing is written."""
    options = ("--gangadir", str(gangadir))
    assert _run(*options).output == f"{gangadir}: gangamon\n"
    assert not (gangadir / "gangamon" / mode.NAME).exists()
    lines = _run("ganga", *options).output.splitlines()
    assert lines[0].startswith(f"{gangadir}: ganga since ")
    assert lines[1].startswith("the service does not answer: it will do nothing")
    assert mode.read(gangadir / "gangamon").mode == mode.GANGA
    assert _run("gangamon", *options).output.startswith(f"{gangadir}: gangamon since ")


def test_a_directory_without_gangamon_is_refused(tmp_path: Path) -> None:
    """Nothing is made there."""
    result = _run("ganga", "--gangadir", str(tmp_path))
    assert isinstance(result.exception, BadInput)
    assert f"--gangadir: got {tmp_path}; accepted: one that gangamon was used in" in str(
        result.exception
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "~/gangadir"),
        ("[Configuration]\n#gangadir = /no\ngangadir = /data/g d\n", "/data/g d"),
        ("[Other]\ngangadir = /no\n[Configuration]\ngangadir: ~/mine  \n", "~/mine"),
    ],
)
def test_the_gangadir_is_that_of_gangarc(tmp_path: Path, text: str, expected: str) -> None:
    """Else Ganga's default."""
    gangarc = tmp_path / ".gangarc"
    if text:
        gangarc.write_text(text)
    assert gangadir_of(gangarc) == Path(expected).expanduser()
