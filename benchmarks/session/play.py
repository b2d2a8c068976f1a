"""One scenario, from an empty home to nothing left: a fresh session, one that is re-opened after
all has changed, or a fresh one whose updates come from within (``RATES``)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import ganga
from benchmarks.ganga import Failed
from benchmarks.support import ROOT, until
from benchmarks.vs_ganga import sides
from benchmarks.vs_ganga.measure import first
from gangamon import settings
from gangamon.cli.ganga import package
from gangamon.client import Client
from gangamon.domain.status import FINAL
from gangamon.errors import GangamonError
from gangamon.testing.simulator.process import Simulator

STOCK, GANGAMON = "stock", "gangamon"
FRESH, REOPENED, RATES = "fresh", "reopened", "rates"
USER = Path(__file__).with_name("user.py")

#: The simulated backend answers at once, all jobs run after a second, and all end together, when
#: they have been seen running.
SCENARIO = """\
seed = 1
[jobs]
count = {subjobs}
start_after = 1.0
ends = "rate"
first_done = {first_done}
rate = 1000000.0
[download]
bytes = 100
"""

#: The service asks as often and as much as it can.
TOML = """\
[backends.Simulated]
floor = 1.0
cap = 1.0
rate = 50.0
burst = 100
"""

#: Jobs a second that must have been seen running before the ends come.
RUNNING_RATE = 250.0

#: Seconds that a session is given to end by itself, and for a subjob's creation.
ENDING, SUBMITTING = 120.0, 0.1

_STATUS = re.compile(rb"<attribute name=\"status\">\s*<value>'(\w+)'</value>")


@dataclass(frozen=True)
class Played:
    """``session``: see user.py. ``durable``: subjob -> when its end was written (the file's time,
    seconds since the epoch); ``committed``: subjob -> when the service had it ended."""

    side: str
    act: str
    subjobs: int
    session: dict[str, Any]
    durable: dict[int, float]
    committed: dict[int, float]
    load: tuple[float, float]


class Reader(threading.Thread):
    """Reads the XML of one job's subjobs on disk until all have ended there; then ``mark`` is
    made. It shares nothing with the session but the disk."""

    def __init__(self, gangadir: Path, subjobs: int, mark: Path) -> None:
        super().__init__(daemon=True)
        self.durable: dict[int, float] = {}
        self._gangadir, self._mark = gangadir, mark
        self._left = set(range(subjobs))
        self._times: dict[int, int] = {}
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.wait(0.5):
            for folder in self._gangadir.glob("repository/*/LocalXML/*/jobs/0xxx/0"):
                for sub in list(self._left):
                    self._read(sub, folder / str(sub) / "data")
            if not self._left:
                self._mark.touch()
                return

    def _read(self, sub: int, path: Path) -> None:
        try:
            at = os.stat(path).st_mtime_ns
            if at == self._times.get(sub):
                return
            self._times[sub] = at
            found = _STATUS.search(path.read_bytes())
        except FileNotFoundError:
            return
        if found and found[1] == b"completed":
            self.durable[sub] = at / 1e9
            self._left.discard(sub)

    def stop(self) -> None:
        self._end.set()
        self.join()


def play(side: str, act: str, subjobs: int, limit: float) -> Played:
    """Raises Failed; the folder is kept then, and removed otherwise."""
    # Sockets lie below it, and their paths have at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="gm-se-"))
    first_done = 5.0 + (subjobs / RUNNING_RATE if act == FRESH else 0.0)
    scenario = folder / "scenario.toml"
    scenario.write_text(SCENARIO.format(subjobs=subjobs, first_done=first_done))
    simulated = str(Path(sides.__file__).parent / "GangaSimulated")
    packages = [simulated, *([package()] if side == GANGAMON else [])]
    environment = ganga.home(folder, packages, TOML)
    path = [str(ROOT), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    load = os.getloadavg()[0]
    reader = Reader(folder / "gangadir", subjobs, folder / "durable")
    reader.start()
    try:
        with ExitStack() as stack:
            endpoint = "nowhere"
            if act != RATES:
                simulator = stack.enter_context(Simulator(scenario, folder))
                endpoint = simulator.endpoint
                if side == GANGAMON:
                    stack.enter_context(ganga.service(folder, environment))
            plan: dict[str, Any] = {
                "endpoint": endpoint,
                "subjobs": subjobs,
                "adapter": side == GANGAMON,
                "limit": limit,
                "durable": str(folder / "durable"),
            }
            submitting = 120 + SUBMITTING * subjobs
            if act == REOPENED:
                before = {**plan, "act": "submit", "out": str(folder / "first.json")}
                given = submitting + limit
                ganga.session(USER, folder, environment, before, given, ending=ENDING)
                simulator.call("start")
                client = Client(settings.load(environment), folder / "no-spool")
                until(lambda: _over(client), limit, "all is over while the session is closed", 1.0)
            plan |= {"act": act, "out": str(folder / "session.json")}
            given = submitting + 3 * limit
            session = ganga.session(USER, folder, environment, plan, given)
            served = side == GANGAMON and act != RATES
            updates = sides.updates(environment) if served else []
    except (GangamonError, TimeoutError, subprocess.CalledProcessError, OSError) as error:
        raise Failed(f"{error}; kept: {folder}") from error
    except (KeyboardInterrupt, SystemExit):
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        reader.stop()
    if not session["monitoring"].startswith(sides.MONITORED[side]):
        raise Failed(f"monitored by {session['monitoring']}, not by {side}; kept: {folder}")
    if left := ganga.left(folder):
        raise Failed(f"still running afterwards: {left}; kept: {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    committed = first(updates, FINAL)
    return Played(
        side, act, subjobs, session, reader.durable, committed, (load, os.getloadavg()[0])
    )


def _over(client: Client) -> bool:
    views = [client.snapshot(name, 0) for name in client.repositories()]
    return any(view is not None and view.final is not None for view in views)


def rate(times: dict[Any, float]) -> float:
    """From the first to the last, a second; NaN for fewer than two."""
    span = max(times.values()) - min(times.values()) if len(times) > 1 else 0.0
    return (len(times) - 1) / span if span else float("nan")
