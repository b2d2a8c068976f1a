"""Whether a process of this host still lives, and still is the one that was meant."""

from __future__ import annotations

import os
import socket
import time
from functools import cache

#: A process that began this much later (seconds) than it should have is another one. The kernel
#: counts start times from boot, and the clock of the host may have been set since.
SLACK = 5.0


def is_this_host(name: str) -> bool:
    """Whether this is a name of this host alone. Ganga notes ``socket.getfqdn()`` (Utility/util.py
    ``hostname``, 8.7.12), which is ``localhost`` on any host that cannot resolve itself: two
    login nodes with one home would take each other's processes for their own."""
    if name.partition(".")[0] == "localhost":
        return False
    return name == socket.gethostname() or name == _full_name()


@cache
def _full_name() -> str:
    """Once: it may ask a name server."""
    return socket.getfqdn()


def alive(pid: int, script: str, began: float | None = None) -> bool:
    """Whether ``pid`` is a live process of this host, and not a later one with the same number.

    ``script``: a part of the command line that only the process meant has. ``began``: when it had
    begun at the latest (seconds since the epoch), if that is known: then only a process which both
    began too late and runs something else is another one. A zombie is dead. Where the system
    hides other users' processes (``hidepid``) only its existence is known, and counts.
    """
    if pid <= 0 or not _exists(pid):
        return False
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name (field 2, in brackets) may itself hold brackets and blanks.
            fields = file.read().rpartition(b")")[2].split()
        if fields[0] in (b"Z", b"X"):
            return False
        if began is not None and _start(int(fields[19])) <= began + SLACK:
            return True
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return os.fsencode(script) in file.read()
    except OSError:
        return _exists(pid)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _start(ticks: int) -> float:
    """Field 22 of /proc/PID/stat (proc(5)) as seconds since the epoch."""
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return booted + ticks / os.sysconf("SC_CLK_TCK")
