"""Files that are mounted here: cloned if the file system can, else copied inside the kernel.

Never linked: the copy is the user's, and a change of the one must not be a change of the other.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import zlib
from urllib.parse import unquote, urlsplit

from gangamon.errors import BackendUnreachable, TransientError
from gangamon.fetchers import manifest
from gangamon.protocols import Source

#: Copy-on-write clone of a whole file (linux/fs.h, ioctl_ficlone(2)).
FICLONE = 0x40049409

#: Bytes that are read at once: a smaller file costs no more calls than it must.
_CHUNK = 1 << 20

#: The file systems, the kernel or a limit do not have it: another way is taken.
_UNABLE = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM)


class FileStorage:
    """Also what is on a shared file system: NFS copies on the server where it can."""

    schemes = ("file",)

    def bring(self, source: Source, path: str) -> str:
        """See Storage. Raises BackendUnreachable for a file system that refuses now."""
        place = source.url if source.url.startswith("/") else unquote(urlsplit(source.url).path)
        try:
            # A pipe must not hold us up.
            descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise TransientError(f"{place}: not there") from error
        except OSError as error:
            raise BackendUnreachable(f"{place}: {error.strerror}") from error
        try:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise TransientError(f"{place}: not a regular file")
            temporary = manifest.temporary(path)
            with manifest.cleared(temporary, path):
                return _copied(descriptor, before, place, temporary, path)
        finally:
            os.close(descriptor)


def _copied(source: int, before: os.stat_result, place: str, temporary: str, path: str) -> str:
    target = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        if before.st_size < _CHUNK:
            size, checksum = _through(source, target, place)
        else:
            size = _cloned(source, target, before.st_size, place)
            if size:
                checksum = _read(target)
            else:
                size, checksum = _through(source, target, place)
        after = os.fstat(source)
    finally:
        os.close(target)
    if _facts(after) != _facts(before) or size != before.st_size:
        raise TransientError(f"{place}: changed while it was copied")
    os.rename(temporary, path)
    return f"adler32:{checksum:08x}"


def _facts(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns


def _through(source: int, target: int, place: str) -> tuple[int, int]:
    size, checksum = 0, 1
    while True:
        try:
            chunk = os.read(source, _CHUNK)
        except OSError as error:
            raise BackendUnreachable(f"{place}: {error.strerror}") from error
        if not chunk:
            return size, checksum
        checksum = zlib.adler32(chunk, checksum)
        size += len(chunk)
        view = memoryview(chunk)
        while view:
            view = view[os.write(target, view) :]


def _cloned(source: int, target: int, size: int, place: str) -> int:
    """Bytes; 0: neither can be done here, and nothing was."""
    with contextlib.suppress(OSError):
        fcntl.ioctl(target, FICLONE, source)
        return os.fstat(target).st_size
    done = 0
    while done < size:
        try:
            count = os.copy_file_range(source, target, min(size - done, 64 << 20))
        except OSError as error:
            if error.errno in _UNABLE and not done:
                return 0
            raise
        if not count:
            break
        done += count
    return done


def _read(target: int) -> int:
    """What was written: it is in memory still."""
    os.lseek(target, 0, os.SEEK_SET)
    checksum = 1
    while chunk := os.read(target, _CHUNK):
        checksum = zlib.adler32(chunk, checksum)
    return checksum
