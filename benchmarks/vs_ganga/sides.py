"""One session, stock or with gangamon, from an empty home to nothing left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Any

import psutil

from gangamon import instance, settings
from gangamon.cli.ganga import package
from gangamon.client import Client, Update
from gangamon.errors import GangamonError
from gangamon.testing.simulator.process import Simulator

HERE = Path(__file__).parent
STOCK, GANGAMON = "stock", "gangamon"
#: Whose monitoring it must have been, by the module of Ganga's monitoring component.
MONITORED = {STOCK: "GangaCore.", GANGAMON: "gangamon."}

#: Seconds between two queries, of either.
INTERVAL = 10

#: Most seconds for creating and submitting one job's subjobs, besides the limit.
SUBMITTING = 0.1

#: The scenario that comes with gangamon, and the lines of it that a run sets.
SCENARIO = files("gangamon.testing.simulator") / "scenarios" / "dirac.toml"
COUNT, RATE = "count = 1000\n", "rate = 50.0\n"


@dataclass(frozen=True)
class Played:
    """What one session left. ``session``: see session.py. ``ended``: native id -> when its job
    ended at the backend. ``updates``: gangamon's stream, empty for stock. ``stats``: what the
    simulated system was asked."""

    side: str
    subjobs: int
    session: dict[str, Any]
    ended: dict[int, float]
    updates: list[Update]
    stats: dict[str, Any]


class Failed(Exception):
    """A session that did not get to its end, or processes that outlived it."""


def play(side: str, subjobs: int, rate: float, limit: float) -> Played:
    """Raises Failed; the folder is kept then, and removed otherwise."""
    # Sockets lie below it, and their paths have at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="gm-vs-"))
    scenario = folder / "scenario.toml"
    scenario.write_text(_scenario(subjobs, rate))
    environment = _environment(folder, side)
    try:
        with Simulator(scenario, folder) as simulator:
            with _service(side, folder, environment) as pid:
                plan = {
                    "endpoint": simulator.endpoint,
                    "subjobs": subjobs,
                    "limit": limit,
                    "supervisor": pid,
                    "out": str(folder / "session.json"),
                }
                session = _session(folder, environment, plan)
                updates = _updates(environment) if side == GANGAMON else []
            # The backend goes on after the session's limit: what ended later does not count.
            t = session["ended"] - session["t0"]
            truth = simulator.call("truth", t=t)["jobs"]
            stats = simulator.call("stats")
    except (GangamonError, subprocess.CalledProcessError, OSError, ValueError) as error:
        raise Failed(f"{error}; kept: {folder}") from error
    except (KeyboardInterrupt, SystemExit):
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if not session["monitoring"].startswith(MONITORED[side]):
        raise Failed(f"monitored by {session['monitoring']}, not by {side}; kept: {folder}")
    if left := _left(folder):
        raise Failed(f"still running afterwards: {left}; kept: {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    ended = {int(row[0]): session["t0"] + row[5] for row in truth if row[5] is not None}
    return Played(side, subjobs, session, ended, updates, stats)


def _scenario(subjobs: int, rate: float) -> str:
    text = SCENARIO.read_text(encoding="utf-8")
    assert text.count(COUNT) == text.count(RATE) == 1
    return text.replace(COUNT, f"count = {subjobs}\n").replace(RATE, f"rate = {rate}\n")


def _environment(folder: Path, side: str) -> dict[str, str]:
    """A home of its own. Without both files Ganga asks questions at its first start."""
    home = folder / "home"
    version = metadata.version("ganga")
    used = home / ".cache" / "Ganga" / ".used_versions"
    used.parent.mkdir(parents=True)
    used.write_text(f"{version}\n")
    packages = [str(HERE / "GangaSimulated"), *([package()] if side == GANGAMON else [])]
    (home / ".gangarc").write_text(
        f"# Ganga configuration file ($Name: {version} $)\n[Configuration]\n"
        f"gangadir = {folder / 'gangadir'}\nRUNTIME_PATH = {':'.join(packages)}\n"
        "ReleaseNotes = False\n"
    )
    config = folder / "gangamon.toml"
    config.write_text(f"[backends.Simulated]\nfloor = {INTERVAL}\ncap = {INTERVAL}\n")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GANGAMON_", "XDG_"))}
    return {
        **kept,
        "HOME": str(home),
        "GANGAMON_STATE_DIR": str(folder / "state"),
        "GANGAMON_CONFIG": str(config),
    }


@contextmanager
def _service(side: str, folder: Path, environment: dict[str, str]) -> Iterator[int]:
    """``gangamon up``, and at the end ``down``; supervisord's process id, 0 without."""
    if side == STOCK:
        yield 0
        return
    command = [sys.executable, "-m", "gangamon"]
    try:
        _run([*command, "up", "--no-flower"], environment, folder / "up.log")
        running = instance.read(folder / "state" / "instance.json")
        assert running is not None
        yield running.pid
    finally:
        _run([*command, "down"], environment, folder / "down.log")


def _run(command: list[str], environment: dict[str, str], log: Path) -> None:
    with log.open("wb") as out:
        subprocess.run(command, env=environment, stdout=out, stderr=out, check=True)


def _session(folder: Path, environment: dict[str, str], plan: dict[str, Any]) -> dict[str, Any]:
    """Until it has written its result; Ganga's own end (a last flush) is nothing we measure."""
    given, out, log = folder / "plan.json", Path(plan["out"]), folder / "session.log"
    given.write_text(json.dumps(plan))
    ganga = Path(sys.executable).with_name("ganga")
    deadline = time.monotonic() + 60 + plan["limit"] + 2 * SUBMITTING * plan["subjobs"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, str(ganga), "--no-prompt", "--very-quiet"),
                *(str(HERE / "session.py"), str(given)),
            ],
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
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if not out.exists():
        said = log.read_text(errors="replace")[-2000:]
        raise Failed(f"the session did not get to its end:\n{said}\nkept: {folder}")
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def _updates(environment: dict[str, str]) -> list[Update]:
    """The whole update stream of the one repository."""
    client = Client(settings.load(environment))
    found: list[Update] = []
    for repository in client.repositories():
        follower = client.follow(repository, "0")
        while updates := follower.read(count=1000):
            found += updates
    return found


def _left(folder: Path) -> list[str]:
    """Processes with this home."""
    home = str(folder / "home")
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get("HOME") == home:
                found.append(f"{process.pid} {process.name()}")
    return found
