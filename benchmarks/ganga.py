"""Real Ganga sessions, and a gangamon of their own: private homes below one folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from gangamon import instance

GANGA = Path(sys.executable).with_name("ganga")


class Failed(Exception):
    """A session that did not get to its end, or processes that outlived it."""


def home(folder: Path, packages: Sequence[str], toml: str = "") -> dict[str, str]:
    """The environment of a user with an empty home below ``folder``. ``packages``: Ganga's
    RUNTIME_PATH; ``toml``: gangamon's config file.

    Without both files Ganga asks questions at its first start (bootstrap.py
    ``new_user_wizard``, 8.7.12).
    """
    place, version = folder / "home", metadata.version("ganga")
    used = place / ".cache" / "Ganga" / ".used_versions"
    used.parent.mkdir(parents=True)
    used.write_text(f"{version}\n")
    (place / ".gangarc").write_text(
        f"# Ganga configuration file ($Name: {version} $)\n[Configuration]\n"
        f"gangadir = {folder / 'gangadir'}\nRUNTIME_PATH = {':'.join(packages)}\n"
        "ReleaseNotes = False\n[Gangamon]\nAutostart = False\n"
    )
    config = folder / "gangamon.toml"
    config.write_text(toml)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GANGAMON_", "XDG_"))}
    return {
        **kept,
        "HOME": str(place),
        "GANGAMON_STATE_DIR": str(folder / "state"),
        "GANGAMON_CONFIG": str(config),
    }


@contextmanager
def service(folder: Path, environment: dict[str, str]) -> Iterator[int]:
    """``gangamon up``, and at the end ``down``; supervisord's process id.
    Raises CalledProcessError; ``up.log`` and ``down.log`` say more."""
    command = [sys.executable, "-m", "gangamon"]
    try:
        _run([*command, "up", "--no-flower", "--no-web"], environment, folder / "up.log")
        running = instance.read(folder / "state" / "instance.json")
        assert running is not None
        yield running.pid
    finally:
        _run([*command, "down"], environment, folder / "down.log")


def _run(command: list[str], environment: dict[str, str], log: Path) -> None:
    with log.open("wb") as out:
        subprocess.run(command, env=environment, stdout=out, stderr=out, check=True)


def session(
    script: Path,
    folder: Path,
    environment: dict[str, str],
    plan: dict[str, Any],
    limit: float,
    ending: float = 0.0,
) -> dict[str, Any]:
    """Run ``ganga SCRIPT PLAN`` until it has written its result as json to ``plan["out"]``, at
    most ``limit`` seconds. ``ending``: seconds that it is given to end by itself afterwards (a
    last flush); then it is killed. Raises Failed with what it said."""
    out = Path(plan["out"])
    given, log = out.with_suffix(".plan"), out.with_suffix(".log")
    given.write_text(json.dumps(plan))
    deadline = time.monotonic() + limit
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, GANGA, "--no-prompt", "--very-quiet", script, given],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while not out.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
        if out.exists() and ending:
            with suppress(subprocess.TimeoutExpired):
                process.wait(ending)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if not out.exists():
        said = log.read_text(errors="replace")[-2000:]
        raise Failed(f"the session did not get to its end:\n{said}\nkept: {folder}")
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def left(folder: Path) -> list[psutil.Process]:
    """Processes of this home's user."""
    place, found = str(folder / "home"), []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get("HOME") == place:
                found.append(process)
    return found
