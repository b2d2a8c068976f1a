"""Runs a user's code or a command in a process group of its own: bounded, and never left behind.

The group is killed when it has ended, when its time is over, and (by the program at its head,
``runner.py``) when the worker dies. A process that leaves the group on purpose is not found.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from gangamon.errors import TransientError
from gangamon.postprocess import manifest
from gangamon.protocols import CodeLimits

PROGRAM = os.path.join(os.path.dirname(__file__), "runner.py")

#: Bytes kept of what the code prints: the last.
MOST_OUTPUT = 64 * 1024

#: Bytes of its answer: texts of at most two times 16 kB, quoted.
_MOST_ANSWER = 1024 * 1024


@dataclass(frozen=True)
class Ended:
    """``code``: the exit code, negative: the signal that ended it; None: its time was over.
    ``output``: the end of what it printed. ``answer``: see ``runner.py``; empty: none."""

    code: int | None
    output: str
    answer: Mapping[str, Any] = field(default_factory=dict)

    def how(self, limits: CodeLimits) -> str:
        """How it ended, for people."""
        if self.code is None:
            return f"it was killed after {limits.seconds:g} s (workers.code_seconds)"
        if self.code == -signal.SIGKILL:
            return "it was killed by SIGKILL (out of memory?)"
        if self.code < 0:
            return f"it was ended by {signal.Signals(-self.code).name}"
        return f"it ended with exit code {self.code}"


def run(request: Mapping[str, Any], limits: CodeLimits) -> Ended:
    """Do what the request says. TransientError if it cannot be started."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("GANGAMON_")}
    with contextlib.ExitStack() as at_end:
        place = tempfile.gettempdir()
        _sweep(place)
        folder = manifest.hidden(place)
        with manifest.disk(place):
            os.mkdir(folder, 0o700)
        at_end.callback(manifest.discard, folder)
        answers, to_us = os.pipe()
        at_end.callback(os.close, answers)
        try:
            process = subprocess.Popen(
                [sys.executable, PROGRAM, str(to_us)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environ,
                pass_fds=[to_us],
                start_new_session=True,
            )
        except OSError as error:
            raise TransientError(f"{PROGRAM}: {error.strerror}") from error
        finally:
            os.close(to_us)
        at_end.callback(_end, process)
        line = json.dumps({**request, "megabytes": limits.megabytes}).encode() + b"\n"
        return _watch(process, line, answers, time.monotonic() + limits.seconds)


def shell(command: str, limits: CodeLimits) -> tuple[int | None, str]:
    """Run a line of ``sh``: its exit code (None: its time was over), and the end of what it
    printed. TransientError if it cannot be started."""
    descriptor, log = tempfile.mkstemp(prefix="gangamon-shell-")
    try:
        ended = run({"words": ["/bin/sh", "-c", command], "log": log}, limits)
        with open(descriptor, "rb") as file:
            descriptor = -1
            file.seek(max(0, os.fstat(file.fileno()).st_size - MOST_OUTPUT))
            return ended.code, file.read().decode("utf-8", "replace").strip()
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        os.unlink(log)


@cache
def _sweep(place: str) -> None:
    """Once in each process: what workers that were killed have left there."""
    with contextlib.suppress(OSError):
        manifest.sweep(place)


def _watch(process: subprocess.Popen[bytes], line: bytes, answers: int, until: float) -> Ended:
    """Read what it prints and answers until the program says that the code has ended."""
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None and stdout is not None
    os.set_blocking(stdin.fileno(), False)
    output, answer = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(stdin, selectors.EVENT_WRITE)
        selector.register(stdout, selectors.EVENT_READ)
        selector.register(answers, selectors.EVENT_READ)
        while True:
            left = until - time.monotonic()
            if left <= 0:
                return Ended(None, _text(output))
            for key, _ in selector.select(left):
                if key.fileobj is stdin:
                    line, gone = _written(stdin.fileno(), line)
                    if gone or not line:
                        selector.unregister(stdin)  # and stays open
                    continue
                chunk = os.read(key.fd, 65536)
                if key.fileobj is stdout:
                    output += chunk
                    del output[:-MOST_OUTPUT]
                    if not chunk:
                        selector.unregister(stdout)
                    continue
                answer += chunk
                if not chunk or len(answer) > _MOST_ANSWER:
                    return _gone(process, output)
            lines = [json.loads(one) for one in answer.split(b"\n")[:-1]]
            if lines and "code" in lines[-1]:
                _rest(stdout.fileno(), output)
                return Ended(int(lines[-1]["code"]), _text(output), lines[0] if lines[1:] else {})


def _written(fd: int, line: bytes) -> tuple[bytes, bool]:
    """What is left to be written, and whether nobody reads any more."""
    try:
        return line[os.write(fd, line[:65536]) :], False
    except BrokenPipeError:
        return b"", True


def _gone(process: subprocess.Popen[bytes], output: bytearray) -> Ended:
    """The program itself was ended, or talks nonsense."""
    _kill(process)
    return Ended(process.wait(), _text(output))


def _rest(fd: int, output: bytearray) -> None:
    """What it printed last; what is left of the group may hold the pipe open."""
    os.set_blocking(fd, False)
    with contextlib.suppress(BlockingIOError):
        while chunk := os.read(fd, 65536):
            output += chunk
            del output[:-MOST_OUTPUT]


def _end(process: subprocess.Popen[bytes]) -> None:
    _kill(process)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The group, whose number stays its own as long as its head was not waited for."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _text(output: bytearray) -> str:
    return output.decode("utf-8", "replace").strip()
