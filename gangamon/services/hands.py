"""Whose hands a claim is in: the process that has begun it, so that its death can be seen.

A lease alone tells of a dead worker only when it ends. A process of the same host and the same
process namespace can look: its number is taken by nobody, or by one that began at another time.
"""

from __future__ import annotations

import os
import re
import socket
from functools import cache

_MARK = re.compile(r"(\S+) (\d+) (\d+)")


def mark() -> str:
    """This process: "SPACE PID START", START in clock ticks after boot (proc(5), stat, field 22);
    '' where the system does not tell."""
    start = _start(os.getpid())
    return f"{_space()} {os.getpid()} {start}" if _space() and start is not None else ""


def is_dead(by: str) -> bool:
    """Whether the process whose mark ends ``by`` is known to be dead. False for what cannot be
    known from here: another host or namespace, no mark, a process that is hidden."""
    found = _MARK.fullmatch(" ".join(by.split()[-3:]))
    if found is None or not _space() or found[1] != _space():
        return False
    pid, start = int(found[2]), int(found[3])
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass
    return _start(pid) not in (None, start)


@cache
def _space() -> str:
    """The host's name, this life of its kernel and the process namespace."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        return f"{socket.gethostname()}/{boot}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""


def _start(pid: int) -> int | None:
    """None: there is no such process, or it is hidden. A zombie has begun at no time: -1."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name (field 2, in brackets) may itself hold brackets and blanks.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return -1 if fields[0] in (b"Z", b"X") else int(fields[19])
