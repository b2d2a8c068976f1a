"""Our processes, known by their environment, and the end of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import psutil

Gone = (psutil.NoSuchProcess, psutil.AccessDenied)


def carries(pid: int, instance: str) -> bool:
    """Whether a process lives and is of this instance: a pid alone may be somebody else's."""
    try:
        process = psutil.Process(pid)
        return (
            process.status() != psutil.STATUS_ZOMBIE
            and process.environ().get("GANGAMON_INSTANCE") == instance
        )
    except Gone:
        return False


def of_state(state: Path) -> list[psutil.Process]:
    """Every process of this user, on this host, that an instance of a state directory started."""
    found = []
    spared = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        try:
            if process.pid in spared or process.uids().real != os.getuid():
                continue
            environment = process.environ()
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
        except (*Gone, OSError):
            continue
        if environment.get("GANGAMON_STATE_DIR") == str(state) and environment.get(
            "GANGAMON_INSTANCE"
        ):
            found.append(process)
    return found


def end(processes: Iterable[psutil.Process], patience: float) -> None:
    """TERM, and KILL for what is still there after ``patience`` seconds."""
    left = list(processes)
    for process in left:
        _signal(process.terminate)
    left = _wait(left, patience)
    for process in left:
        _signal(process.kill)
    _wait(left, patience)


def _wait(processes: Iterable[psutil.Process], patience: float) -> list[psutil.Process]:
    """Those that still run after ``patience`` seconds. A zombie has ended, whoever reaps it."""
    deadline = time.monotonic() + patience
    while (left := [p for p in processes if _runs(p)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except Gone:
        return False


def sweep(state: Path, patience: float = 10.0) -> int:
    """End all that an instance of a state directory left on this host; how many there were."""
    ended = 0
    # A process may have forked while the list was made.
    for _ in range(5):
        found = of_state(state)
        if not found:
            break
        ended += len(found)
        end(found, patience)
    return ended


def _signal(send: Callable[[], None]) -> None:
    with suppress(psutil.NoSuchProcess):
        send()
