"""Status files and wrappers of Local jobs, for the tests of LocalBackend."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from gangamon.backends.local import LocalBackend
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Observation, Scalar, Seen
from gangamon.testing.factories import poll_item

HERE = Lane("Local", socket.gethostname())
ELSEWHERE = Lane("Local", "elsewhere.example.org")
START = "START: Mon Nov 23 03:09:43 2026\n"
STARTED = datetime(2026, 11, 23, 3, 9, 43, tzinfo=timezone.utc).timestamp()


@contextmanager
def running(script: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a command line as Ganga's wrappers have, once it really runs."""
    script.write_text("import sys; print(flush=True); sys.stdin.read()")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, str(script)], **pipes) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def ask(output: Path, text: str | None = None, lane: Lane = HERE, **extra: Scalar) -> Observation:
    if text is not None:
        (output / "__jobstatus__").write_text(text)
    item = poll_item("42.0", str(output), extra)
    return LocalBackend().poll(lane, [item])["42.0"]


def seen(answer: Observation) -> Seen:
    assert isinstance(answer, Seen)
    return answer


def now_start() -> str:
    moment = datetime.now(timezone.utc)
    return f"START: {moment:%a %b %d %H:%M:%S %Y}\n"


def zombie(process: subprocess.Popen[bytes]) -> None:
    """Kill it and wait until the kernel says so, without reaping it."""
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
