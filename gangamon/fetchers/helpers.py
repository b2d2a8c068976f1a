"""The helper processes of this worker (gangamon/outdir/helper.py): one for each core, from the
first order on that is for them, ended with the worker, however that ends."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import queue
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from gangamon import errors
from gangamon.outdir import helper, tree

_log = logging.getLogger(__name__)

#: Helpers of a worker, at most: each has some 16 MB, of which 6 its own.
MOST = 4

#: So many that ended before they had ever answered: there is something wrong, and no more is tried.
VAIN = 3

#: Seconds that one may take to end when its worker does.
_END = 10.0

_CODE = "import sys; sys.path = sys.argv[1:]; from gangamon.outdir import helper; helper.main()"


class Gone(Exception):
    """It ended, or could not be started; its order may be half done."""


class Helper:
    """One process. Nothing of this worker is open in it but its two pipes."""

    #: Whether it ever has.
    answered = False

    def __init__(self) -> None:
        # As if it were this interpreter: what is imported is what is imported here.
        words = [sys.executable, "-X", f"utf8={sys.flags.utf8_mode}", "-c", _CODE, *sys.path]
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            # What a terminal sends to its worker is not for it.
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """See small.complete, whose errors it raises; Gone."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            tree.write(stdin.fileno(), helper.packed(request))
            answer = b""
            while len(answer) < helper.HEAD or len(answer) < helper.HEAD + helper.length(
                answer[: helper.HEAD]
            ):
                chunk = os.read(stdout.fileno(), 1 << 16)
                if not chunk:
                    raise Gone("it ended")
                answer += chunk
        except OSError as error:
            raise Gone(str(error)) from error
        self.answered = True
        try:
            return helper.taken(answer[helper.HEAD :])
        except (ValueError, KeyError) as error:
            raise Gone(f"its answer: {error}") from error

    def end(self, kill: bool = True) -> None:
        """Close its pipes, which ends it when it has done, or end it now; wait for it."""
        if kill:
            self._process.kill()
        self.leave()
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def leave(self) -> None:
        """Close its pipes."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def disown(self) -> None:
        """It is that of the process that forked this one, which alone may hold its pipes."""
        self.leave()
        self._process.returncode = 0


class Helpers:
    """Those of this process."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._begin()

    def _begin(self) -> None:
        self._all: set[Helper] = set()
        # One place for each; None: it is yet to be started.
        self._idle: queue.SimpleQueue[Helper | None] = queue.SimpleQueue()
        for _ in range(self._most):
            self._idle.put(None)
        self._vain = 0

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """See Helper.ask; waits while all are busy. One that is gone is replaced by the next
        call."""
        one = self._idle.get()
        try:
            if one is None:
                one = self._started()
            return one.ask(request)
        except (errors.GangamonError, OSError):
            raise
        except BaseException as error:
            # If it lives its answer would be taken for that to another request.
            if one is not None:
                _log.warning("helper process %d: %s", one.pid, error)
                self._vain += not one.answered
                self._all.discard(one)
                one.end()
                one = None
            raise
        finally:
            self._idle.put(one)

    def close(self) -> None:
        """End those that are idle."""
        for _ in range(self._idle.qsize()):
            with contextlib.suppress(queue.Empty):
                if one := self._idle.get_nowait():
                    self._all.discard(one)
                    one.end(kill=False)
                self._idle.put(None)

    def forked(self) -> None:
        """In the child: they are its parent's."""
        old = self._all
        self._begin()
        for one in old:
            one.disown()

    def _started(self) -> Helper:
        if self._vain >= VAIN:
            raise Gone("none has ever answered")
        try:
            one = Helper()
        except OSError as error:
            raise Gone(f"{sys.executable}: {error.strerror}") from error
        self._all.add(one)
        return one


def _cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


HELPERS = Helpers(min(MOST, _cores()))
atexit.register(lambda: HELPERS.close())
os.register_at_fork(after_in_child=lambda: HELPERS.forked())
