"""inotify(7) of the C library: which directories had a file of one name written."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

#: IN_MODIFY, IN_CLOSE_WRITE, IN_MOVED_TO, IN_ONLYDIR; IN_NONBLOCK, IN_CLOEXEC; IN_Q_OVERFLOW,
#: IN_IGNORED (sys/inotify.h).
_WRITTEN, _ONLYDIR = 0x2 | 0x8 | 0x80, 0x01000000
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_OVERFLOW, _IGNORED = 0x4000, 0x8000
_HEAD = struct.Struct("iIII")

#: File systems of which the kernel sees every write: nobody else writes them.
# fmt: off
LOCAL = frozenset({
    "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay",
    "reiserfs", "tmpfs", "xfs", "zfs",
})
# fmt: on


class Inotify:
    """Watches of one process. Not for several threads at once, nor over a fork."""

    def __init__(self, name: str) -> None:
        """``name``: of the files that count. OSError where the system has no inotify."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        try:
            self._fd: int = self._libc.inotify_init1(_NONBLOCK_CLOEXEC)
        except AttributeError as error:
            raise OSError(errno.ENOSYS, "no inotify") from error
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._name = os.fsencode(name)
        self._paths: dict[int, str] = {}
        self._watches: dict[str, int] = {}

    def __contains__(self, directory: str) -> bool:
        return directory in self._watches

    def watch(self, directory: str) -> None:
        """OSError: ENOSPC where the user has no more watches, ENOENT where it is not there."""
        path = os.fsencode(directory)
        number: int = self._libc.inotify_add_watch(self._fd, path, _WRITTEN | _ONLYDIR)
        if number < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), directory)
        self._paths[number], self._watches[directory] = directory, number

    def forget(self, directory: str) -> None:
        number = self._watches.pop(directory, None)
        if number is not None:
            self._paths.pop(number, None)
            self._libc.inotify_rm_watch(self._fd, number)

    def written(self) -> set[str]:
        """The directories since the last call; all, if the kernel has lost count. Those that are
        gone are watched no longer, and among them."""
        found: set[str] = set()
        while events := self._read():
            at = 0
            while at < len(events):
                number, mask, _, length = _HEAD.unpack_from(events, at)
                name = events[at + _HEAD.size : at + _HEAD.size + length].rstrip(b"\0")
                at += _HEAD.size + length
                if mask & _OVERFLOW:
                    found.update(self._watches)
                elif mask & _IGNORED and (gone := self._paths.pop(number, None)):
                    self._watches.pop(gone, None)
                    found.add(gone)
                elif name == self._name and number in self._paths:
                    found.add(self._paths[number])
        return found

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        os.close(self._fd)


def is_local(path: str) -> bool:
    """Whether ``path`` lies on a file system of this host alone; proc_pid_mountinfo(5)."""
    real, best, kind = os.path.realpath(path), -1, ""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                left, _, right = line.partition(" - ")
                mount = left.split()[4].encode().decode("unicode_escape")
                inside = real == mount or real.startswith(mount.rstrip("/") + "/")
                if inside and len(mount) >= best:
                    best, kind = len(mount), right.split()[0]
    except (OSError, IndexError):
        return False
    return kind in LOCAL
