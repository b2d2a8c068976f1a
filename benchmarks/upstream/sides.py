"""One side, stock or with the adapter: modules of Ganga's tests, each in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks import ganga
from benchmarks.support import ROOT
from gangamon.cli.ganga import package
from gangamon.store.journal import FileJournal

STOCK, ADAPTER = "stock", "adapter"
TESTS = Path("ganga/GangaCore/test")


@dataclass(frozen=True)
class Outcome:
    """``outcome``: passed, failed, error (outside of the test's own code), skipped, or no end.
    ``why``: pytest's last words, short."""

    outcome: str
    why: str = ""
    seconds: float = 0.0


class Side:
    """A copy of the installed Ganga with the tests of ``tree`` in it, in a folder of its own."""

    def __init__(self, name: str, tree: Path) -> None:
        self.name = name
        # Sockets lie below it, and their paths have at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="gm-up-"))
        spec = importlib.util.find_spec("ganga")
        assert spec is not None and spec.origin is not None
        skip = shutil.ignore_patterns("__pycache__", "test", "old_test", "gangadir-testing")
        shutil.copytree(Path(spec.origin).parent, self.folder / "ganga", ignore=skip)
        shutil.copytree(tree / TESTS, self.folder / TESTS)
        (self.folder / "pytest.ini").write_text("[pytest]\npython_files = *.py\n")
        path = [str(self.folder / "ganga"), str(ROOT), os.environ.get("PYTHONPATH", "")]
        self._environment = {
            **ganga.home(self.folder, []),
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            "TMPDIR": str(self.folder),
            "UPSTREAM_PACKAGE": package() if name == ADAPTER else "",
        }

    @contextmanager
    def serving(self) -> Iterator[None]:
        """With a gangamon of its own, if it has the adapter."""
        try:
            if self.name == STOCK:
                yield
                return
            with ganga.service(self.folder, self._environment):
                yield
        finally:
            self._end()
            shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, module: str, limit: float, log: Path) -> dict[str, Outcome]:
        """Test id -> outcome. ``module``: its path below GangaCore/test."""
        outcomes = self.folder / "outcomes.jsonl"
        outcomes.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-p", "benchmarks.upstream.plugin", "-c"]
        command += ["pytest.ini", "-p", "no:cacheprovider", "-p", "no:timeout", str(TESTS / module)]
        with log.open("ab") as out:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**self._environment, "UPSTREAM_OUTCOMES": str(outcomes)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        begun = time.monotonic()
        ended = False
        try:
            process.wait(limit)
            ended = True
        except subprocess.TimeoutExpired:
            pass
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self._end_jobs()
        found = _read(outcomes)
        if not ended or process.returncode not in (0, 1):
            why = f"exit {process.returncode}" if ended else f"killed after {limit:g} s"
            found[f"{TESTS / module}"] = Outcome("no end", why, time.monotonic() - begun)
        return found

    def taken_in(self) -> int:
        """Jobs, with subjobs, that the service was given, by its journal."""
        records = FileJournal(self.folder / "state" / "journal").replay()
        return sum(len(command.get("jobs", ())) for _, command in records)

    def _end_jobs(self) -> None:
        """Jobs that a test has left running; not the service."""
        for process in ganga.left(self.folder):
            with suppress(psutil.Error):
                if "UPSTREAM_OUTCOMES" in process.environ():
                    process.kill()

    def _end(self) -> None:
        for process in ganga.left(self.folder):
            with suppress(psutil.Error):
                process.kill()


def _read(path: Path) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        row = json.loads(line)
        said = row["outcome"]
        if said == "failed" and row["when"] != "call":
            said = "error"
        known = found.get(row["test"])
        if known is None or known.outcome == "passed":
            found[row["test"]] = Outcome(said, " | ".join(row["why"]), row["seconds"])
    return found


def counted(outcomes: Sequence[Outcome]) -> str:
    kinds = ("passed", "failed", "error", "skipped", "no end")
    told = [(kind, sum(one.outcome == kind for one in outcomes)) for kind in kinds]
    return ", ".join(f"{number} {kind}" for kind, number in told if number)
