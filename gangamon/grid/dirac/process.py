"""The program in DIRAC's environment, kept alive: asked by one at a time, killed where it hangs."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gangamon.errors import BackendUnreachable, CredentialMissing, TransientError
from gangamon.grid.dirac import environment

PROGRAM = os.path.join(os.path.dirname(__file__), "program.py")

#: Programs at the same time in one worker: each has some 100 MB.
MOST = 4

#: Seconds after which one that nobody asks is ended.
IDLE = 300.0

#: Bytes of an answer, and of a file that DIRAC may write for us.
MOST_ANSWER = 64 * 1024 * 1024
MOST_FILE = 2 * 1024**3

#: Bytes kept of what DIRAC logs, to be told with an error.
_LOG = 4096

_KINDS: Mapping[object, type[TransientError]] = {
    "credential": CredentialMissing,
    "refused": TransientError,
}


class Program:
    """One process, with a temporary folder of its own. ``used``: when last, time.monotonic()."""

    def __init__(self, endpoint: str, proxy: str) -> None:
        self.used = time.monotonic()
        self._log: deque[int] = deque(maxlen=_LOG)
        self.folder = tempfile.mkdtemp(prefix="gangamon-dirac-")
        try:
            start = environment.start(endpoint, PROGRAM, proxy, MOST_FILE)
            self._process = subprocess.Popen(
                start.words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**start.environ, "TMPDIR": self.folder},
                cwd=self.folder,
                # A group of its own, to be killed with all that it started.
                start_new_session=True,
            )
        except OSError as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise BackendUnreachable(f"DIRAC: {error.filename}: {error.strerror}") from error
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def ask(self, deadline: float, do: str, **given: Any) -> dict[str, Any]:
        """Its answer, by ``deadline`` (time.monotonic()). Raises CredentialMissing,
        BackendUnreachable, or TransientError where DIRAC was asked and refuses; ``alive`` says
        whether it may be asked again."""
        try:
            line = self._exchange(json.dumps({"do": do, **given}).encode() + b"\n", deadline)
            answer = json.loads(line)
            if not isinstance(answer, dict):
                raise ValueError("not an object")
        except (OSError, ValueError, RecursionError) as error:
            self.end()
            raise BackendUnreachable(f"DIRAC: {do}: {error}{self._told()}") from error
        except BaseException:
            self.end()  # its answer would be taken for that to another request
            raise
        self.used = time.monotonic()
        if (kind := answer.get("error")) is None:
            return answer
        words = f"DIRAC: {do}: {answer.get('text')}"
        raise _KINDS.get(kind, BackendUnreachable)(words)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        """Kill it, with all that it started, and remove its folder."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _exchange(self, request: bytes, deadline: float) -> bytes:
        """Write the request while reading: neither side waits for the other."""
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin is not None and stdout is not None and stderr is not None
        os.set_blocking(stdin.fileno(), False)
        answer = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE)
            selector.register(stdout, selectors.EVENT_READ)
            selector.register(stderr, selectors.EVENT_READ)
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise ValueError("no answer in time")
                for key, _ in selector.select(left):
                    if key.fileobj is stdin:
                        request = request[os.write(stdin.fileno(), request[:65536]) :]
                        if not request:
                            selector.unregister(stdin)
                        continue
                    chunk = os.read(key.fd, 65536)
                    if key.fileobj is stderr:
                        self._log.extend(chunk)
                        if not chunk:
                            selector.unregister(stderr)
                        continue
                    answer += chunk
                    if not chunk:
                        self._last_words()
                        raise ValueError("DIRAC's Python ended")
                    if len(answer) > MOST_ANSWER:
                        raise ValueError(f"it answered more than {MOST_ANSWER} bytes")
                if answer.endswith(b"\n"):
                    return bytes(answer)

    def _last_words(self) -> None:
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)
        with contextlib.suppress(BlockingIOError):
            self._log.extend(os.read(self._process.stderr.fileno(), 65536))

    def _told(self) -> str:
        lines = bytes(self._log).decode("utf-8", "replace").strip().splitlines()
        return f": {'; '.join(line.strip() for line in lines[-3:])[-300:]}" if lines else ""


class Programs:
    """Those of this process, by endpoint and proxy."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._idle: dict[tuple[str, str], list[Program]] = defaultdict(list)
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(MOST)
        self._pid = os.getpid()

    @contextlib.contextmanager
    def lent(self, endpoint: str, proxy: str, deadline: float) -> Iterator[Program]:
        """One for the time of a ``with``. Raises BackendUnreachable, also where all are busy until
        the deadline."""
        if self._pid != os.getpid():
            self._begin()  # forked: what there is belongs to the parent
        if not self._places.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise BackendUnreachable(f"DIRAC: {MOST} programs are busy")
        try:
            program = self._take((endpoint, proxy)) or Program(endpoint, proxy)
            try:
                yield program
            finally:
                if program.alive:
                    with self._lock:
                        self._idle[endpoint, proxy].append(program)
                else:
                    program.end()
        finally:
            self._places.release()

    def close(self) -> None:
        """End those that are idle."""
        for program in self._gone(lambda _: True):
            program.end()

    def _take(self, key: tuple[str, str]) -> Program | None:
        old = time.monotonic() - IDLE
        for program in self._gone(lambda p: p.used < old or not p.alive):
            program.end()
        with self._lock:
            if self._idle[key]:
                return self._idle[key].pop()
            # Room for a new one, with those that others have under way.
            rest = [(p.used, k, p) for k, programs in self._idle.items() for p in programs]
            surplus = sorted(rest, key=lambda found: found[0])[: max(0, len(rest) - MOST + 1)]
            for _, place, program in surplus:
                self._idle[place].remove(program)
        for _, _, program in surplus:
            program.end()
        return None

    def _gone(self, condition: Callable[[Program], bool]) -> list[Program]:
        with self._lock:
            found = [p for programs in self._idle.values() for p in programs if condition(p)]
            for programs in self._idle.values():
                programs[:] = [p for p in programs if p not in found]
        return found


PROGRAMS = Programs()
atexit.register(PROGRAMS.close)
