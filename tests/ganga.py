"""Runs a script in a real Ganga, in a process of its own, with a private home and gangadir."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

GANGA = Path(sys.executable).parent / "ganga"


def _version() -> str:
    try:
        return version("ganga")
    except PackageNotFoundError:
        return ""


VERSION = _version()

needs_ganga = pytest.mark.skipif(not VERSION, reason="Ganga is not installed")


def run_ganga(place: Path, script: str, given: object = None, timeout: float = 300.0) -> Any:
    """What the script puts into ``result``. It finds ``given`` and Ganga's GPI.

    Without ``.gangarc`` and ``.used_versions`` of this version Ganga asks questions (bootstrap.py
    ``new_user_wizard``, 8.7.12), which end it where nobody can answer.
    """
    home, temporary = place / "home", place / "tmp"
    (home / ".cache" / "Ganga").mkdir(parents=True)
    temporary.mkdir()
    (home / ".cache" / "Ganga" / ".used_versions").write_text(f"{VERSION}\n")
    (home / ".gangarc").write_text(
        f"# Ganga configuration file ($Name: {VERSION} $)\n[Configuration]\nReleaseNotes = False\n"
    )
    (place / "given.json").write_text(json.dumps(given))
    read, write = (repr(str(place / name)) for name in ("given.json", "result.json"))
    (place / "script.py").write_text(
        f"import json\nwith open({read}) as file:\n    given = json.load(file)\n"
        f"{script}\n"
        f"with open({write}, 'w') as file:\n    json.dump(result, file)\n"
    )
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    # The log is a file: jobs that the script starts inherit it, and would keep a pipe open.
    with open(place / "ganga.log", "wb") as log:
        done = subprocess.run(
            [
                *(sys.executable, str(GANGA), "--no-prompt", "--very-quiet"),
                f"-o[Configuration]gangadir={place / 'gangadir'}",
                str(place / "script.py"),
            ],
            env={**kept, "HOME": str(home), "TMPDIR": str(temporary)},
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
    if not (place / "result.json").exists():
        said = (place / "ganga.log").read_text(errors="replace")[-4000:]
        pytest.fail(f"ganga ended with {done.returncode}:\n{said}")
    return json.loads((place / "result.json").read_text())
