"""``... workers.supervisor.launch [--lock FILE] [--starts FILE] [--kill] -- CMD...``: become CMD.

- ``--lock``: an exclusive lock that CMD holds as long as it or a child of it lives, so that two
  servers never open the same files, even after the supervisor was killed. Exit code 3 if another
  process holds it.
- ``--starts``: a line is added for each start, so that restarts can be counted.
- CMD gets SIGTERM when its parent dies (Linux), so that nothing outlives the supervisor; with
  ``--kill`` SIGKILL, for a program that would first end what it is at.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

LOCKED = 3
_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    parser = argparse.ArgumentParser(prog="python -m workers.supervisor.launch")
    parser.add_argument("--lock", type=Path)
    parser.add_argument("--starts", type=Path)
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("command", nargs="+", metavar="CMD")
    options = parser.parse_args(arguments)
    _die_with_parent(signal.SIGKILL if options.kill else signal.SIGTERM)
    if options.lock and not _take(options.lock):
        sys.stderr.write(f"{options.lock}: locked by another process; not started\n")
        sys.exit(LOCKED)
    if options.starts:
        with options.starts.open("a", encoding="ascii") as file:
            file.write(f"{time.time():.0f}\n")
    try:
        os.execvp(options.command[0], options.command)
    except OSError as error:
        sys.stderr.write(f"{options.command[0]}: {error.strerror}\n")
        sys.exit(127)


def _take(lock: Path) -> bool:
    """The descriptor stays open, and is inherited: the lock ends with the last that has it."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(descriptor, True)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _die_with_parent(number: signal.Signals) -> None:
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # The parent may have died before the call. It carries the same id in its environment.
    instance = os.environ.get("GANGAMON_INSTANCE")
    if not instance:
        return
    try:
        environment = Path(f"/proc/{os.getppid()}/environ").read_bytes()
    except OSError:
        environment = b""
    if f"GANGAMON_INSTANCE={instance}".encode() not in environment.split(b"\0"):
        sys.stderr.write("the supervisor is gone; not started\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
