"""What the benchmarks share: a private Redis, real workers and beat, their CPU, and bounds."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import psutil
import redis

from benchmarks import figures
from gangamon import settings
from gangamon.store.redis import RedisStore
from workers.supervisor import redis_server
from workers.supervisor.places import Places

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]
OWNER = "bench"
REPOSITORY = "be" * 16


def until(condition: Callable[[], T], within: float, what: str, pause: float = 0.05) -> T:
    """The first true value of ``condition``; TimeoutError after ``within`` seconds."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within:.0f} s: {what}")
        time.sleep(pause)
    return value


def parser(name: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog=f"python -m benchmarks {name}")
    made.add_argument("--quick", action="store_true", help="smaller and shorter")
    made.add_argument("--json", type=Path, help="write the figures to this file")
    return made


class Verdict:
    """Prints figures beside their bounds and remembers which were missed."""

    def __init__(self) -> None:
        self.missed = 0
        self.figures: dict[str, Any] = {}
        print(figures.machine())

    def bound(self, name: str, value: float, most: float, unit: str) -> None:
        """One figure that must not exceed ``most``; NaN is a miss."""
        well = value <= most
        self.missed += not well
        self.figures[name] = {"value": value, "bound": most, "unit": unit, "ok": well}
        print(f"{name:56} {value:10.3f} {unit:10} bound {most:g}: {'OK' if well else 'MISSED'}")

    def at_least(self, name: str, value: float, least: float, unit: str) -> None:
        """One figure that must not be below ``least``; NaN is a miss."""
        well = value >= least
        self.missed += not well
        self.figures[name] = {"value": value, "least": least, "unit": unit, "ok": well}
        print(f"{name:56} {value:10.3f} {unit:10} at least {least:g}: {'OK' if well else 'MISSED'}")

    def note(self, name: str, value: float, unit: str) -> None:
        self.figures[name] = {"value": value, "unit": unit}
        print(f"{name:56} {value:10.3f} {unit}")

    def end(self, path: Path | None) -> int:
        """Write the figures; the exit code."""
        if path:
            path.write_text(json.dumps(self.figures, indent=1))
        print(f"{self.missed} bounds missed" if self.missed else "all bounds held")
        return 1 if self.missed else 0


class Service:
    """A private Redis, as `gangamon up` configures it, and Celery's workers and beat, for as long
    as a ``with``. ``toml``: the config file; ``plugins``: a directory put on their PYTHONPATH;
    ``variables``: more GANGAMON_* of the processes."""

    def __init__(
        self, toml: str = "", plugins: Path | None = None, variables: Mapping[str, str] = {}
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gm-bench-"))
        self._plugins = plugins
        self._given = dict(variables)
        self._places = Places(self.folder / "state", self.folder / "local", self.folder)
        for path in (self._places.state, self._places.data):
            path.mkdir(parents=True)
        self._config = self.folder / "gangamon.toml"
        self._config.write_text(toml)
        self.url = f"unix://{self._places.redis_socket}"
        self._processes: dict[str, psutil.Popen] = {}

    def __enter__(self) -> Service:
        try:
            self._places.redis_config.write_text(redis_server.configuration(self._places))
            server = redis_server.find(settings.load({}))
            command = [str(server.path), str(self._places.redis_config)]
            self._start("redis", command, redis_server.environment())
            until(self._answers, 20, "Redis answers")
        except BaseException:
            self.close()
            raise
        self.redis = self.connection()
        self.store = RedisStore(self.url)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connection(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, protocol=2, decode_responses=True)

    def workers(self, wanted: Mapping[str, tuple[str, int]], beat: bool = True) -> None:
        """Start workers (name -> queues, threads) and beat; all are ready when this returns."""
        celery = [sys.executable, "-m", "celery", "-A", "workers.app"]
        quiet = ["--without-gossip", "--without-mingle", "-l", "INFO"]
        for name, (queues, threads) in wanted.items():
            where = ["-n", f"{name}@bench", "-Q", queues]
            size = ["--pool", "threads", "-c", str(threads)]
            self._start(name, [*celery, "worker", *where, *size, *quiet])
        for name in wanted:
            until(lambda name=name: "ready: " in self.said(name), 60, f"{name} is ready")  # type: ignore[misc]
        if beat:
            schedule = ["-s", str(self.folder / "schedule"), "--pidfile="]
            self._start("beat", [*celery, "beat", "-l", "INFO", *schedule])

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far of each process with its children, the ended ones too; Redis's
        children rewrite the append-only file, and stand by themselves."""
        found = {}
        for name, process in self._processes.items():
            own, children = _cpu(process)
            if name == "redis":
                found["aof rewrite"] = children
            found[name] = own if name == "redis" else own + children
        return found

    def pid(self, name: str) -> int:
        return int(self._processes[name].pid)

    def close(self) -> None:
        """End what was started here, Redis last, and remove the files."""
        for name in reversed(list(self._processes)):
            process = self._processes.pop(name)
            tree: list[psutil.Process] = [process]
            with contextlib.suppress(psutil.NoSuchProcess):
                tree += process.children(recursive=True)
            for one in tree:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, name: str, command: list[str], more: Mapping[str, str] | None = None) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("GANGAMON_")}
        paths = [str(ROOT), *([str(self._plugins)] if self._plugins else [])]
        environment = {
            **kept,
            "PYTHONPATH": os.pathsep.join([*paths, kept.get("PYTHONPATH", "")]),
            "GANGAMON_STATE_DIR": str(self._places.state),
            "GANGAMON_REDIS_URL": self.url,
            "GANGAMON_OWNER": OWNER,
            "GANGAMON_ROOTS": str(self.folder),
            "GANGAMON_CONFIG": str(self._config),
            **self._given,
            **(more or {}),
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = psutil.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=subprocess.STDOUT
            )

    def _answers(self) -> bool:
        try:
            return bool(self.connection().ping())
        except redis.RedisError:
            return False


def _cpu(process: psutil.Process) -> tuple[float, float]:
    """CPU seconds of a process, and of its children, those that ended too."""
    t = process.cpu_times()
    children = t.children_user + t.children_system
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            c = child.cpu_times()
            children += c.user + c.system
    return float(t.user + t.system), float(children)
