"""Which session may change a master job, where Ganga itself does not say.

Ganga locks each master job for one session (Registry.py:569, 8.7.12), but not when sessions share
their jobs: with GANGA_SWAN_INTEGRATION in the environment every session gets every lock
(SessionLock.py:587, 756). Then a range lock of one byte, at the job's number, in a file beside
the repository id takes its place; it ends with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class Ownership:
    """One per process: the file is opened once, since closing it anywhere would end all locks."""

    def __init__(self, path: Path, shared: bool) -> None:
        self._held: set[int] = set()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) if shared else -1

    def take(self, master: int) -> bool:
        """Whether this session may change the job. Does not wait."""
        if self._file < 0 or master in self._held:
            return True
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, master)
        except OSError:
            return False
        self._held.add(master)
        return True

    def release(self, master: int) -> None:
        if master in self._held:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, master)
            self._held.discard(master)
