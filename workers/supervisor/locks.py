"""One `up`, `down` or `restart` at a time; and waiting, never for ever."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gangamon.errors import TransientError
from workers.supervisor.places import Places

#: Seconds that a second `up` or `down` waits for the first.
PATIENCE = 120.0


class NotInTime(TransientError):
    """Something that was waited for did not come."""


@contextmanager
def held(places: Places) -> Iterator[None]:
    """One `up` or `down` at a time. On a shared home it holds between hosts where flock does."""
    try:
        descriptor = _locked(places.up_lock)
    except OSError:  # a file system that has no locks
        descriptor = _locked(places.local / "up.lock")
    try:
        yield
    finally:
        os.close(descriptor)


def _locked(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + PATIENCE
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pause(deadline, f"another gangamon up or down is at work ({path} is locked)")
                continue
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise


def pause(deadline: float, fault: str) -> None:
    """One beat of a loop that waits for something, until the deadline (monotonic)."""
    if time.monotonic() > deadline:
        raise NotInTime(fault)
    time.sleep(0.1)
