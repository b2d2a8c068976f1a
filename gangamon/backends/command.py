"""Running the commands of a batch system: in time, bounded, and believed only where they succeed.

All commands of one query share its time-out. What a command says counts only if it ends with exit
code 0 and reports no error; anything else is an exception, so that nothing is read from it.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gangamon.errors import BackendUnreachable, TransientError

#: Bytes of an answer: some hundred for each of 100,000 jobs. More is no answer.
MOST_OUTPUT = 64 * 1024 * 1024

#: Bytes kept of what a command complains about.
MOST_ERRORS = 16 * 1024


class CommandFailed(BackendUnreachable):
    """It ended with an error of its own. ``code``: its exit code, negative: the signal that ended
    it. ``complaint``: what it wrote to stderr. A backend may know what that means."""

    def __init__(self, program: str, code: int, complaint: str) -> None:
        how = f"ended by signal {-code}" if code < 0 else f"exit code {code}"
        super().__init__(f"{program}: {how}: {_brief(complaint) or 'no message'}")
        self.code, self.complaint = code, complaint


@dataclass(frozen=True)
class Dialect:
    """What is peculiar to the commands of one batch system.

    ``faults``: patterns of complaints and what they mean, the first that is found counts; where
    none is, it is CommandFailed. ``despite``: a complaint that makes an answer worthless though
    the exit code is 0. ``variables``: set for the commands. ``without``: beginnings of the names of
    variables that change what the commands print, and that must not reach them.
    """

    faults: Sequence[tuple[re.Pattern[str], type[TransientError]]] = ()
    despite: re.Pattern[str] | None = None
    variables: Mapping[str, str] | None = None
    without: tuple[str, ...] = ()

    def environ(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(self.without)}
        # English without translation, whatever the locale of the worker.
        return {**kept, "LC_ALL": "C", **(self.variables or {})}


class Commands:
    """The commands of one query, which together may take ``timeout`` seconds."""

    def __init__(self, dialect: Dialect, timeout: float, most: int = MOST_OUTPUT) -> None:
        self._dialect, self._timeout, self._most = dialect, timeout, most
        self._deadline = time.monotonic() + timeout

    def run(self, *words: str) -> str:
        """What the command printed. Raises as ``outcome``, and CommandFailed if it fails."""
        printed, error = self.outcome(*words)
        if error is not None:
            raise error
        return printed

    def outcome(self, *words: str) -> tuple[str, CommandFailed | None]:
        """What the command printed, and its failure: for a command that fails where it could not
        answer in part. Raises BackendUnreachable if it cannot be started, does not end in time or
        prints too much, or what the dialect says of its failure."""
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._dialect.environ(),
                # A group of its own, to be killed with all that it started.
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise BackendUnreachable(f"{words[0]}: there is no such command") from error
        except OSError as error:
            raise BackendUnreachable(f"{words[0]}: {error.strerror}") from error
        try:
            out, errors = self._read(process, words[0])
            code = self._ended(process, words[0])
        finally:
            _end(process)
        complaint = errors.decode("utf-8", "replace").strip()
        despite = self._dialect.despite
        if code == 0 and not (despite is not None and despite.search(complaint)):
            return out.decode("utf-8", "replace"), None
        for pattern, kind in self._dialect.faults:
            if pattern.search(complaint):
                raise kind(f"{words[0]}: {_brief(complaint)}")
        return out.decode("utf-8", "replace"), CommandFailed(words[0], code, complaint)

    def _read(self, process: subprocess.Popen[bytes], name: str) -> tuple[bytes, bytes]:
        """Both outputs to their ends."""
        assert process.stdout is not None and process.stderr is not None
        out, errors = bytearray(), bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ, out)
            selector.register(process.stderr, selectors.EVENT_READ, errors)
            while selector.get_map():
                ready = selector.select(self._left(name))
                for key, _ in ready:
                    chunk = os.read(key.fd, 65536)
                    if not chunk:
                        selector.unregister(key.fileobj)
                    elif key.data is out or len(errors) < MOST_ERRORS:
                        key.data.extend(chunk)
                if len(out) > self._most:
                    raise BackendUnreachable(f"{name}: it printed more than {self._most} bytes")
        return bytes(out), bytes(errors)

    def _ended(self, process: subprocess.Popen[bytes], name: str) -> int:
        try:
            return process.wait(self._left(name))
        except subprocess.TimeoutExpired:
            raise self._late(name) from None

    def _left(self, name: str) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise self._late(name)
        return left

    def _late(self, name: str) -> BackendUnreachable:
        return BackendUnreachable(f"{name}: no answer within {self._timeout:g} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the group of a command that still runs. Before it is waited for: until then its number
    cannot be another's."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _brief(complaint: str) -> str:
    """On one line, for a log and for people."""
    text = "; ".join(line.strip() for line in complaint.splitlines() if line.strip())
    return text if len(text) <= 300 else f"{text[:300]}..."
