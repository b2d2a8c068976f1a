"""``python -m benchmarks killed [--kills N] [--subjobs N] [--seed N]``: kill -9 of a session.

After each kill stock Ganga opens a copy of the repository: every subjob must be there, with a
status that was told, none older than at the kill before, and with what the user has flushed. At
the end all statuses must be right, with gangamon and, of what it left, with stock Ganga.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import ganga
from benchmarks.killed.story import Story, rank
from gangamon.cli.ganga import package

HERE = Path(__file__).parent

#: Longest life of a session once it follows, seconds; the shortest is a tenth of a second.
LIFE = 4.0

#: Seconds for what has no end of its own: a start, a copy, the last session; per subjob.
LIMIT, EACH = 120.0, 0.1


class Killed:
    """One user's repository, and what must be found in it."""

    def __init__(self, folder: Path, subjobs: int, seed: int, rate: float) -> None:
        self.folder, self.story, self._rate = folder, Story(subjobs, seed), rate
        self._environment = ganga.home(folder, [package()])
        self._environment["PYTHONPATH"] = os.pathsep.join(
            [str(HERE.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        with (folder / "home" / ".gangarc").open() as file:
            self._gangarc = [*file, "[Registry]\n", "AutoFlusherWaitTime = 1\n"]
        self._limit = LIMIT + EACH * subjobs
        self._ranks = [0] * subjobs
        self.faults: list[str] = []
        self._call("submit")

    def blow(self, life: float) -> None:
        """Let a session follow for so many seconds, and kill it; then look."""
        (self.folder / "live").unlink(missing_ok=True)
        self._package(True)
        with self._session("live") as process:
            deadline = time.monotonic() + self._limit
            while not (self.folder / "live").exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    log = (self.folder / "live.log").read_text(errors="replace")
                    raise ganga.Failed(f"the session does not follow:\n{log[-2000:]}")
                time.sleep(0.01)
            time.sleep(life)
        self._look(self.story.states(int((self.folder / "told").read_text())))

    def end(self) -> None:
        """A session that is left alone: everything becomes right, and stays so."""
        found = self._call("last")
        if found != {"status": "failed", "over": True}:
            self.faults.append(f"the last session ended with {found}")
        states = self.story.states(2 * self.story.subjobs)
        read = self._look(states)
        wrong = [
            n
            for n, pair in enumerate(zip(read["states"], states, strict=True))
            if len(set(pair)) > 1
        ]
        if wrong or read["status"] != "failed":
            self.faults.append(f"not right at the end: job {read['status']}, subjobs {wrong}")

    def _look(self, told: list[str]) -> dict[str, Any]:
        """What stock Ganga reads, from a copy: it mends what it finds."""
        copy = self.folder / "copy"
        shutil.copytree(self.folder / "gangadir", copy, symlinks=True)
        read = self._call("read", f"-o[Configuration]gangadir={copy}")
        shutil.rmtree(copy)
        flushed = self.folder / "flushed"
        self.faults += _wrong(
            read, told, self._ranks, json.loads(flushed.read_text()) if flushed.exists() else {}
        )
        self._ranks = [rank(state) for state in read["states"]]
        return read

    def _call(self, what: str, *options: str) -> dict[str, Any]:
        self._package(what != "read")
        with self._session(what, *options) as process, suppress(subprocess.TimeoutExpired):
            process.wait(self._limit)
        out = self.folder / f"{what}.json"
        if not out.exists():
            log = (self.folder / f"{what}.log").read_text(errors="replace")
            raise ganga.Failed(f"{what}: no end:\n{log[-2000:]}")
        found: dict[str, Any] = json.loads(out.read_text())
        out.unlink()
        return found

    def _package(self, there: bool) -> None:
        """Whether Ganga loads gangamon. Another RUNTIME_PATH on the command line would be added."""
        lines = [line for line in self._gangarc if there or not line.startswith("RUNTIME_PATH")]
        (self.folder / "home" / ".gangarc").write_text("".join(lines))

    @contextmanager
    def _session(self, what: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """Killed at the end."""
        given = self.folder / f"{what}.plan"
        plan = {
            "what": what,
            "folder": str(self.folder),
            "subjobs": self.story.subjobs,
            "seed": self.story.seed,
            "rate": self._rate,
            "limit": self._limit - LIMIT / 2,
            "out": str(self.folder / f"{what}.json"),
        }
        given.write_text(json.dumps(plan))
        command = [sys.executable, str(ganga.GANGA), "--no-prompt", "--very-quiet", *options]
        with (self.folder / f"{what}.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, str(HERE / "session.py"), str(given)],
                env=self._environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wrong(
    read: dict[str, Any], told: list[str], before: list[int], flushed: dict[str, str]
) -> list[str]:
    """What may not be in a repository, in words."""
    found = []
    if not read["monitoring"].startswith("GangaCore."):
        found.append(f"read with {read['monitoring']}")
    if read["incomplete"]:
        found.append(f"jobs that Ganga cannot load: {read['incomplete']}")
    if len(read["states"]) != len(told):
        return [*found, f"{len(read['states'])} subjobs of {len(told)}"]
    for sub, state in enumerate(read["states"]):
        if state not in ("submitted", "running", told[sub]) or rank(state) > rank(told[sub]):
            found.append(f"subjob {sub} is {state}, it was told {told[sub]}")
        if rank(state) < before[sub]:
            found.append(f"subjob {sub} is {state} again")
        if read["attempts"][sub] != 1:
            found.append(f"subjob {sub} is of attempt {read['attempts'][sub]}")
        comment = int(read["comments"][sub] or 0)
        if comment < int(flushed.get(str(sub), 0)):
            found.append(f"subjob {sub}: comment {comment}, flushed {flushed[str(sub)]}")
    return found


def killed(
    kills: int, subjobs: int, seed: int, folder: Path, tell: Callable[[str], None] = lambda _: None
) -> list[str]:
    """What was wrong, in words; ``tell`` hears of each kill. Raises ganga.Failed if a session
    cannot even begin."""
    chance = random.Random(seed)
    lives = [chance.uniform(0.1, LIFE) for _ in range(kills)]
    user = Killed(folder, subjobs, seed, rate=1.6 * subjobs / max(1.0, sum(lives)))
    for n, life in enumerate(lives, 1):
        user.blow(life)
        told = (folder / "told").read_text()
        tell(f"kill {n} after {life:.1f} s, {told} events: {len(user.faults)} faults")
    user.end()
    return user.faults


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks killed", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--subjobs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="gm-killed-"))
    begun = time.monotonic()
    faults = killed(given.kills, given.subjobs, given.seed, folder, partial(print, flush=True))
    print("\n".join(faults[:50]))
    taken = time.monotonic() - begun
    print(f"{given.kills} kills, {given.subjobs} subjobs, {taken:.0f} s: {len(faults)} faults")
    if faults:
        print(f"kept: {folder}")
    else:
        shutil.rmtree(folder)
    return 1 if faults else 0
