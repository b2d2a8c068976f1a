"""Files that are mounted here: cloned if the file system can, else copied by the kernel, else read
and written.

Never linked: the copy is the user's, and a change of the one must not be a change of the other. A
large one is copied by the kernel, as ``cp`` does it, and then read for its checksum: that takes a
third of the time of writing it from here (Linux 6.18, ext4).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from urllib.parse import unquote, urlsplit

from gangamon.errors import BackendUnreachable
from gangamon.outdir.checksum import adler32
from gangamon.outdir.small import opened, unchanged
from gangamon.outdir.tree import cleared, create, temporary
from gangamon.protocols import Source

#: Copy-on-write clone of a whole file (linux/fs.h, ioctl_ficlone(2)).
FICLONE = 0x40049409

#: Bytes that the kernel copies at once, and why it may not: copy_file_range(2).
_PIECE = 1 << 26
_UNABLE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)

#: Bytes that are read at once: what the cache of a processor holds until they are written.
_CHUNK = 1 << 18


class FileStorage:
    """Also what is on a shared file system: NFS copies on the server where it can."""

    schemes = ("file",)

    def bring(self, source: Source, path: str) -> str:
        """See Storage. Raises BackendUnreachable for a file system that refuses now."""
        place = path_of(source.url)
        descriptor, before = opened(place)
        try:
            hidden = temporary(path)
            with cleared(hidden, path):
                return _copied(descriptor, before, place, hidden, path)
        finally:
            os.close(descriptor)


def path_of(url: str) -> str:
    """Of a URL, or a path, that is mounted here."""
    return url if url.startswith("/") else unquote(urlsplit(url).path)


def _copied(source: int, before: os.stat_result, place: str, hidden: str, path: str) -> str:
    target = create(hidden)
    try:
        large = before.st_size > _CHUNK
        if large and (_cloned(source, target) or _moved(source, target, before.st_size)):
            size, checksum = _through(target, -1, place)
        else:
            size, checksum = _through(source, target, place, before.st_size)
        unchanged(source, before, size, place)
    finally:
        os.close(target)
    os.rename(hidden, path)
    return f"adler32:{checksum:08x}"


def _cloned(source: int, target: int) -> bool:
    with contextlib.suppress(OSError):
        fcntl.ioctl(target, FICLONE, source)
        return True
    return False


def _moved(source: int, target: int, size: int) -> bool:
    """Copied by the kernel; where the two stand in their files they stay. False: it cannot, and
    nothing is written. OSError."""
    done = 0
    try:
        while done < size:
            count = os.copy_file_range(source, target, min(_PIECE, size - done), done, done)
            if not count:
                break  # it was cut off meanwhile, or is of a kind that says nothing: see there
            done += count
    except (AttributeError, OSError) as error:
        if not done and (not isinstance(error, OSError) or error.errno in _UNABLE):
            return False
        raise
    return done > 0


def _through(source: int, target: int, place: str, size: int = _CHUNK) -> tuple[int, int]:
    """Bytes and checksum of all that is there, written to ``target`` (-1: only read)."""
    done, checksum = 0, 1
    buffer = memoryview(bytearray(min(size + 1, _CHUNK)))
    while True:
        try:
            count = os.readv(source, [buffer])
        except OSError as error:
            raise BackendUnreachable(f"{place}: {error.strerror}") from error
        chunk = buffer[:count]
        checksum = adler32(chunk, checksum)
        while target >= 0 and chunk:
            chunk = chunk[os.write(target, chunk) :]
        done += count
        # One byte more than there is was asked for: less is the end.
        if not count or done == size < len(buffer):
            return done, checksum
