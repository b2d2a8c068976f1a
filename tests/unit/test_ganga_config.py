"""``gangamon ganga-config``: RUNTIME_PATH gets our directory, and every other byte stays."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from gangamon.cli.ganga import ganga_config, package

HEADER = "# Ganga configuration file ($Name: 8.7.12 $)\n"
LINE = f"RUNTIME_PATH = {package()}\n"


def run(path: Path, *options: str) -> str:
    result = CliRunner().invoke(ganga_config, ["--gangarc", str(path), *options])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def gangarc(tmp_path: Path) -> Path:
    return tmp_path / ".gangarc"


def backups(gangarc: Path) -> list[Path]:
    return sorted(gangarc.parent.glob(".gangarc.before-gangamon-*"))


def test_prints_the_section_and_the_line_and_writes_nothing(gangarc: Path) -> None:
    """Without --write the lines are printed, and no file appears."""
    assert run(gangarc) == f"[Configuration]\n{LINE}"
    assert not gangarc.exists()


def test_prints_what_write_would_write(gangarc: Path) -> None:
    """What is printed respects the RUNTIME_PATH that is there already."""
    gangarc.write_text("[Configuration]\nRUNTIME_PATH = GangaLHCb\n")
    assert run(gangarc) == f"[Configuration]\nRUNTIME_PATH = GangaLHCb:{package()}\n"


def test_creates_a_missing_file_with_the_header_ganga_looks_for(gangarc: Path) -> None:
    """A new file begins with the header line without which Ganga asks a question."""
    assert "created" in run(gangarc, "--write")
    text = gangarc.read_text()
    assert text.startswith("# Ganga configuration file ($Name: ")
    assert text.endswith(f"[Configuration]\n{LINE}")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            HEADER + "[Configuration]\ngangadir = ~/g\n\n[Local]\n",
            HEADER + f"[Configuration]\n{LINE}gangadir = ~/g\n\n[Local]\n",
            id="no option: after the section's header",
        ),
        pytest.param(
            "[Configuration]\n#RUNTIME_PATH = \ngangadir = ~/g\n",
            f"[Configuration]\n#RUNTIME_PATH = \n{LINE}gangadir = ~/g\n",
            id="commented out: after the comment, which stays",
        ),
        pytest.param(
            "[Configuration]\n#RUNTIME_PATH = a\nRUNTIME_PATH=GangaLHCb:/x \n",
            f"[Configuration]\n#RUNTIME_PATH = a\nRUNTIME_PATH=GangaLHCb:/x:{package()} \n",
            id="a value: appended to it",
        ),
        pytest.param(
            "[Configuration]\nRUNTIME_PATH = \n",
            f"[Configuration]\nRUNTIME_PATH = {package()}\n",
            id="an empty value",
        ),
        pytest.param(
            "[Local]\nRUNTIME_PATH = /not/this/one\n",
            f"[Local]\nRUNTIME_PATH = /not/this/one\n\n[Configuration]\n{LINE}",
            id="no section: added at the end; another section's option is another option",
        ),
        pytest.param(
            "[Local]\nlocation = /scratch",
            f"[Local]\nlocation = /scratch\n\n[Configuration]\n{LINE}",
            id="no section and no line end at the end",
        ),
        pytest.param(
            "[Configuration]", f"[Configuration]\n{LINE}", id="nothing but the section's header"
        ),
        pytest.param("", f"[Configuration]\n{LINE}", id="an empty file"),
        pytest.param(
            "[Configuration]\r\ngangadir = ~/g\r\n",
            "[Configuration]\r\n" + LINE.replace("\n", "\r\n") + "gangadir = ~/g\r\n",
            id="line ends of another system stay",
        ),
    ],
)
def test_edits_one_line_and_keeps_the_rest(gangarc: Path, before: str, after: str) -> None:
    """Only RUNTIME_PATH changes, and the file as it was is kept beside it."""
    gangarc.write_bytes(before.encode())
    run(gangarc, "--write")
    assert gangarc.read_bytes().decode() == after
    (backup,) = backups(gangarc)
    assert backup.read_bytes().decode() == before


def test_bytes_that_are_no_text_stay(gangarc: Path) -> None:
    """A file in an old encoding is not broken."""
    gangarc.write_bytes(b"# caf\xe9 \x00\n[Configuration]\nuser = \xff\n")
    run(gangarc, "--write")
    found = gangarc.read_bytes()
    assert found.replace(LINE.encode(), b"") == b"# caf\xe9 \x00\n[Configuration]\nuser = \xff\n"


def test_a_second_run_changes_nothing_and_says_so(gangarc: Path) -> None:
    """Running it twice leaves one change and one backup."""
    gangarc.write_text("[Configuration]\n")
    run(gangarc, "--write")
    once = gangarc.read_bytes()
    assert "nothing to do" in run(gangarc, "--write")
    assert gangarc.read_bytes() == once
    assert len(backups(gangarc)) == 1


def test_mode_and_link_stay(gangarc: Path) -> None:
    """A private file stays private, and a linked one stays a link."""
    real = gangarc.parent / "dotfiles"
    real.write_text("[Configuration]\n")
    real.chmod(0o600)
    gangarc.symlink_to(real)
    run(gangarc, "--write")
    assert gangarc.is_symlink()
    assert real.read_text() == f"[Configuration]\n{LINE}"
    assert real.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """The error names the file, and no half-written one is left."""
    gangarc = tmp_path / "missing" / ".gangarc"
    result = CliRunner().invoke(ganga_config, ["--gangarc", str(gangarc), "--write"])
    assert result.exit_code != 0
    assert str(gangarc) in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_ganga_reads_it(gangarc: Path) -> None:
    """Ganga's own reader finds the path in the file that was written."""
    ganga = find_spec("ganga")
    if ganga is None or not ganga.submodule_search_locations:
        pytest.skip("Ganga is not installed")
    run(gangarc, "--write")
    script = (
        f"import sys; sys.path.insert(0, {ganga.submodule_search_locations[0]!r})\n"
        "from GangaCore.Utility.Config.Config import make_config_parser\n"
        f"parser = make_config_parser({{}}); parser.read([{str(gangarc)!r}])\n"
        "print(parser.get('Configuration', 'RUNTIME_PATH'))"
    )
    environment = {**os.environ, "HOME": str(gangarc.parent)}
    found = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == package()
