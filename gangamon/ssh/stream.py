"""What a script on another host prints, and what it is told."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import time
from typing import IO

from gangamon.errors import BackendUnreachable

#: Bytes that a login may print before a script begins.
MOST_NOISE = 1 << 20

#: Bytes of the pipe through which it comes (F_SETPIPE_SZ, fcntl(2)).
PIPE = 1 << 20


class Late(BackendUnreachable):
    """No answer in time."""


class Output:
    """What comes from the other host, in time. ``read`` as of a file."""

    def __init__(self, pipe: IO[bytes], host: str, deadline: float, idle: float) -> None:
        self._fd, self._host, self._deadline, self._idle = pipe.fileno(), host, deadline, idle
        self._kept = b""
        os.set_blocking(self._fd, False)
        with contextlib.suppress(OSError):  # more than a user may have
            fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, PIPE)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def within(self, seconds: float) -> None:
        """From now on so long, in all."""
        self._deadline = time.monotonic() + seconds

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes, at least one; b'' at the end."""
        if not self._kept:
            found = self._more(size)
            if len(found) <= size:
                return found
            self._kept = found
        found, self._kept = self._kept[:size], self._kept[size:]
        return found

    def skip_past(self, mark: bytes) -> None:
        """EOFError if it ends before the mark, or too much comes before it."""
        seen = b""
        while mark not in seen:
            chunk = self._more()
            if not chunk or len(seen) > MOST_NOISE:
                raise EOFError
            seen += chunk
        self._kept = seen.partition(mark)[2]

    def _more(self, size: int = 0) -> bytes:
        left = min(self._deadline - time.monotonic(), self._idle)
        if left <= 0 or not self._poll.poll(left * 1000):
            raise Late(f"{self._host}: no answer in time")
        return os.read(self._fd, max(size, 1 << 16))


class Talk:
    """A script on another host that is told what to do, line by line. ``out``: what it prints."""

    def __init__(self, process: subprocess.Popen[bytes], out: Output, errors: IO[bytes]) -> None:
        self._process, self.out, self._errors = process, out, errors

    def say(self, text: str) -> None:
        """TransientError if nobody is there to read it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(text.encode("utf-8", "surrogateescape"))
            self._process.stdin.flush()
        except OSError as error:
            raise BackendUnreachable(f"ssh: {error.strerror}") from error

    def complaints(self) -> str:
        """The last of what it, or ssh, has printed as errors."""
        return text(self._errors)

    def kill(self) -> None:
        """At once, whatever it does. Its output is still to be read."""
        kill(self._process)

    def end(self) -> None:
        """As ``kill``, when nobody uses any of it."""
        end(self._process)
        self._errors.close()


def text(errors: IO[bytes]) -> str:
    # Where the file is read next is where the client writes next.
    size = os.fstat(errors.fileno()).st_size
    found = os.pread(errors.fileno(), 16384, max(0, size - 16384))
    lines = found.decode("utf-8", "replace").splitlines()
    return "; ".join(line.strip() for line in lines if line.strip())[-400:]


def kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def end(process: subprocess.Popen[bytes]) -> None:
    kill(process)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):  # of what was not sent yet
                pipe.close()
