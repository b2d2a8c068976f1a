"""``gangamon top`` in a terminal of its own, typed at as a person would."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cell import fill
from tests.support.commands import LANE, OWNER
from tests.support.redis import PrivateRedis
from tests.support.rig import Rig
from tests.support.waiting import until


class Terminal:
    """What a program writes to it is in ``text``."""

    def __init__(self, command: list[str], environ: dict[str, str]) -> None:
        self._main, self.side = pty.openpty()
        self.before = termios.tcgetattr(self.side)
        self.text = ""
        self.process = subprocess.Popen(
            command, stdin=self.side, stdout=self.side, stderr=self.side, env=environ
        )
        self._reader = threading.Thread(target=self._read)
        self._over = threading.Event()
        self._reader.start()

    def _read(self) -> None:
        while not self._over.is_set():
            if select.select([self._main], [], [], 0.1)[0]:
                self.text += os.read(self._main, 65536).decode(errors="replace")

    def type(self, keys: str) -> None:
        os.write(self._main, keys.encode())

    def shows(self, text: str, since: int = 0) -> None:
        until(
            lambda: text in self.text[since:], 120, f"{text!r} is shown", lambda: self.text[-500:]
        )

    def close(self) -> None:
        self.process.kill()
        self.process.wait(60)
        self._over.set()
        self._reader.join(60)
        os.close(self._main)
        os.close(self.side)


@pytest.fixture
def private(tmp_path: Path) -> Iterator[PrivateRedis]:
    found = PrivateRedis(tmp_path)
    found.start()
    yield found
    found.close()


@pytest.fixture
def rig(private: PrivateRedis, tmp_path: Path) -> Rig:
    found = Rig(tmp_path, connection=private.connection())
    fill(found)
    return found


@pytest.fixture
def terminal(rig: Rig, private: PrivateRedis, tmp_path: Path) -> Iterator[Terminal]:
    environ = {name: v for name, v in os.environ.items() if not name.startswith("GANGAMON_")}
    environ |= {
        "GANGAMON_REDIS_URL": private.url,
        "GANGAMON_STATE_DIR": str(tmp_path / "state"),
        "GANGAMON_OWNER": OWNER,
        "GANGAMON_CONFIG": os.devnull,
        "TERM": "xterm-256color",
        "COLUMNS": "220",
        "LINES": "40",
    }
    found = Terminal([sys.executable, "-m", "gangamon", "top", "--every", "0.2"], environ)
    try:
        yield found
    finally:
        found.close()


def test_it_is_live_and_obeys_keys(rig: Rig, terminal: Terminal) -> None:
    """What changes in the store is seen by itself; p pauses the chosen lane by a command; q ends
    it, and leaves the terminal as it was."""
    terminal.shows(str(LANE))
    terminal.shows("1 dead letter")
    rig.redis.hset(rig.store.keys.of("dead"), "alice:x:9:0", '{"queue":"","reason":"","at":1}')
    terminal.shows("2 dead letters")
    terminal.type("s")
    terminal.type("\x1b[B")
    terminal.type("p")

    def taken() -> bool:
        """The service's part: take the command in."""
        rig.tick.run()
        return bool(rig.store.lane(str(LANE)).paused)

    until(taken, 120, "the lane is paused", lambda: terminal.text[-500:])
    terminal.shows(f"paused: {LANE}")
    terminal.type("q")
    assert terminal.process.wait(60) == 0
    assert termios.tcgetattr(terminal.side) == terminal.before
