"""``python -m benchmarks demo [--chaos] [--subjobs N]``: the whole idea on real Ganga.

Nothing of the user's own is touched: a private home, Ganga directory and state directory in a
new temporary directory, which is kept for a look at the outputs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from benchmarks import figures
from benchmarks.demo.audit import audit, same_but_time
from benchmarks.demo.chaos import Chaos, programs
from gangamon import instance, settings
from gangamon.client import Client

SESSION = Path(__file__).with_name("session.py")
GANGAMON = [sys.executable, "-m", "gangamon"]
SUBJOBS = 300


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks demo")
    parser.add_argument("--chaos", action="store_true", help="kill workers, beat and Redis with -9")
    parser.add_argument("--pause", type=float, default=6.0, help="seconds between two kills")
    parser.add_argument("--subjobs", type=int, default=SUBJOBS)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(argv)
    ganga = shutil.which("ganga", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if ganga is None:
        print("demo: ganga is not installed: pip install 'gangamon[all]'", file=sys.stderr)
        return 2
    print(figures.machine())
    folder = Path(tempfile.mkdtemp(prefix="gangamon-demo-"))
    environment = _environment(folder)
    try:
        _run([*GANGAMON, "ganga-config", "--write"], environment)
        _run([*GANGAMON, "up"], environment)
        faults = _job(ganga, folder, environment, options)
    except subprocess.CalledProcessError as error:
        print(f"demo: {' '.join(error.cmd)} ended with {error.returncode}", file=sys.stderr)
        return 1
    finally:
        running = instance.read(folder / "state" / "instance.json")
        subprocess.run([*GANGAMON, "down"], env=environment, check=False)
    if running is not None and (left := _left(running.id)):
        faults.append(f"still running afterwards: {left}")
    for fault in faults:
        print(f"FAULT {fault}")
    print("demo: " + ("FAILED" if faults else "all well") + f"; kept in {folder}")
    return 1 if faults else 0


def _environment(folder: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GANGAMON_", "XDG_"))}
    home = folder / "home"
    # A Ganga that never ran here asks questions at its first start.
    used = home / ".cache" / "Ganga" / ".used_versions"
    used.parent.mkdir(parents=True)
    used.write_text(f"{metadata.version('ganga')}\n")
    return {
        **kept,
        "HOME": str(home),
        "GANGAMON_STATE_DIR": str(folder / "state"),
        "PYTHONUNBUFFERED": "1",
    }


def _job(
    ganga: str, folder: Path, environment: dict[str, str], options: argparse.Namespace
) -> list[str]:
    out = folder / "session.json"
    gangadir = folder / "gangadir"
    chaos = None
    if options.chaos:
        chaos = Chaos(lambda: programs(GANGAMON, environment), options.pause)
    begun = time.monotonic()
    if chaos is not None:
        chaos.start()
    subprocess.run(
        [
            ganga, "--no-prompt", "--very-quiet", f"-o[Configuration]gangadir={gangadir}",
            str(SESSION), str(out), str(options.subjobs),
        ],
        env=environment, stdin=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    wall = time.monotonic() - begun
    if chaos is not None:
        chaos.stop()
    result = json.loads(out.read_text())
    faults = _report(result, wall, options)
    conf = settings.load(environment)
    client = Client(conf, gangadir / "gangamon" / "spool")
    (repository,) = client.repositories()
    faults += audit(client, repository, result["job"])
    if chaos is not None:
        print(f"killed with -9: {', '.join(name for _, name, _ in chaos.kills)}")
        faults += [f"the job ended before {name} was killed" for name in chaos.missed]
    return faults


def _report(result: dict[str, Any], wall: float, options: argparse.Namespace) -> list[str]:
    faults = []
    completed = result["subjobs"].get("completed", 0)
    print(f"\nsubjobs completed: {completed} of {options.subjobs}, job {result['status']}")
    print(f"submitted in {result['submit_s']:.1f} s, then {result['run_s']:.1f} s to the end")
    print(figures.line("detection lag, end -> in Ganga", result["lags"], "s"))
    for name, values in result["calls"].items():
        print(figures.line(f"session call {name}", values, "ms", 1000.0))
    for name in ("out.txt", "stdout"):
        merged, reference = Path(result["output"], name), Path(result["reference"], name)
        if not merged.is_file():
            faults.append(f"no merged file {merged}")
            continue
        same = same_but_time(merged, reference)
        print(f"merged: {merged} ({merged.stat().st_size} bytes), "
              f"{'equal to' if same else 'NOT'} Ganga's own")  # fmt: skip
        if not same:
            faults.append(f"{merged} is not what Ganga's TextMerger makes: {reference}")
    if completed != options.subjobs or result["status"] != "completed":
        faults.append(f"{completed} of {options.subjobs} completed, job {result['status']}")
    if not result["monitoring"].startswith("gangamon."):
        faults.append(f"Ganga was monitored by {result['monitoring']}")
    if options.json:
        options.json.write_text(json.dumps({**result, "wall_s": wall}, indent=1))
    return faults


def _run(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(command, env=environment, check=True)


def _left(instance_id: str) -> list[str]:
    """Processes of the instance that outlived ``down``."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("GANGAMON_INSTANCE") == instance_id:
                found.append(f"{process.pid} {process.name()}")
        except (psutil.Error, OSError):
            continue
    return found
