"""One thread at a time on a disk of this host: more that write small files take turns at the
interpreter after each call of the system, and take twice as long together."""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager, nullcontext

_turns: dict[int, threading.Lock] = {}


def of(device: int) -> threading.Lock:
    return _turns.setdefault(device, threading.Lock())


def one(path: str) -> AbstractContextManager[object]:
    """The turn at the disk on which the path lies. Where a file system has no disk of its own (NFS,
    ...) its answers take time, and there is no need to take turns. OSError."""
    device = os.stat(path).st_dev
    return of(device) if os.major(device) else nullcontext()
