"""One session, stock or with gangamon, from an empty home to nothing left."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from benchmarks import ganga
from benchmarks.ganga import Failed
from gangamon import settings
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
                limit_all = 60 + limit + 2 * SUBMITTING * subjobs
                script = HERE / "session.py"
                session = ganga.session(script, folder, environment, plan, limit_all)
                found = updates(environment) if side == GANGAMON else []
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
    if left := ganga.left(folder):
        raise Failed(f"still running afterwards: {left}; kept: {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    ended = {int(row[0]): session["t0"] + row[5] for row in truth if row[5] is not None}
    return Played(side, subjobs, session, ended, found, stats)


def _scenario(subjobs: int, rate: float) -> str:
    text = SCENARIO.read_text(encoding="utf-8")
    assert text.count(COUNT) == text.count(RATE) == 1
    return text.replace(COUNT, f"count = {subjobs}\n").replace(RATE, f"rate = {rate}\n")


def _environment(folder: Path, side: str) -> dict[str, str]:
    packages = [str(HERE / "GangaSimulated"), *([package()] if side == GANGAMON else [])]
    return ganga.home(
        folder, packages, f"[backends.Simulated]\nfloor = {INTERVAL}\ncap = {INTERVAL}\n"
    )


@contextmanager
def _service(side: str, folder: Path, environment: dict[str, str]) -> Iterator[int]:
    """supervisord's process id, 0 without a service."""
    if side == STOCK:
        yield 0
        return
    with ganga.service(folder, environment) as pid:
        yield pid


def updates(environment: dict[str, str]) -> list[Update]:
    """The whole update stream of the one repository."""
    client = Client(settings.load(environment))
    found: list[Update] = []
    for repository in client.repositories():
        follower = client.follow(repository, "0")
        while updates := follower.read(count=1000):
            found += updates
    return found
