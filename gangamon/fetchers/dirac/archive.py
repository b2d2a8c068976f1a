"""Unpacking an archive that a job has made: nothing leaves the directory, all is bounded."""

from __future__ import annotations

import bz2
import contextlib
import errno
import glob
import gzip
import io
import lzma
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

from gangamon.errors import OutputMissing, TransientError
from gangamon.fetchers import manifest, members

#: Bytes and files of a whole archive: a sandbox of DIRAC has 10 MiB packed, an oversized one more.
MOST_BYTES = 2 * 1024**3
MOST_FILES = 100_000

#: Bytes of one header (of long names and the like): these are read at once.
MOST_HEADER = 1024**2

_CHUNK = 1 << 20


@contextlib.contextmanager
def _zstandard(path: str, mode: str) -> Iterator[IO[bytes]]:
    import zstandard  # only DiracX's come so: those of DIRAC are unpacked in its environment

    try:
        with zstandard.open(path, mode) as source:
            yield cast("IO[bytes]", source)
    except zstandard.ZstdError as error:
        raise EOFError(str(error)) from error


_PACKERS: tuple[tuple[bytes, Callable[..., Any]], ...] = (
    (b"BZh", bz2.open),
    (b"\x1f\x8b", gzip.open),
    (b"\xfd7zXZ", lzma.open),
    (b"\x28\xb5\x2f\xfd", _zstandard),
    (b"", open),
)


def unpack(path: str, target: str) -> list[str]:
    """Put the files of a tar archive (plain, or by bzip2, gzip, xz, zstandard) under ``target``
    (without links in it), each whole or not at all; what was left out (``manifest.left_out``):
    links, devices, names that lead elsewhere, and our own.

    Raises OutputMissing if there is too much in it, TransientError if it is damaged (it may have
    been cut off on its way), DiskFull, OSError. Writes a plain copy beside ``path``.
    """
    left_out: list[str] = []
    try:
        plain = _plain(path)
        with _opened(plain) as tar:
            for _ in _members(tar):
                pass  # too many are known before the first is put
        with _opened(plain) as tar:
            for member in _members(tar):
                if why := _put(tar, member, target):
                    left_out.append(manifest.left_out(member.name, why))
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise TransientError(f"output sandbox: {error}") from error
    return left_out


def name_stdout(target: str) -> None:
    """A link to the application's log, as Ganga makes one (DiracCommands.py ``getOutputSandbox``):
    DIRAC's stdout has another name."""
    link = os.path.join(target, "stdout")
    logs = sorted(glob.glob(os.path.join(glob.escape(target), "*Ganga_*.log")))
    if logs and not os.path.lexists(link):
        os.symlink(os.path.basename(logs[0]), link)


@contextlib.contextmanager
def _opened(plain: str) -> Iterator[tarfile.TarFile]:
    with (
        open(plain, "rb") as file,
        tarfile.open(fileobj=cast("IO[bytes]", _Bounded(file)), mode="r:") as tar,
    ):
        yield tar


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for number, member in enumerate(tar):
        if number >= MOST_FILES:
            raise OutputMissing(f"output sandbox: it has more than {MOST_FILES} files")
        tar.members = []  # type: ignore[attr-defined]  # else it keeps them all
        yield member


def _put(tar: tarfile.TarFile, member: tarfile.TarInfo, target: str) -> str:
    """Why it was not, '' if it was."""
    parts = [part for part in member.name.split("/") if part not in ("", ".")]
    if why := members.unfit(member, parts):
        return why
    if not parts:
        return "" if member.isdir() else "a file without a name"
    folder = os.path.join(target, *(parts if member.isdir() else parts[:-1]))
    if os.path.realpath(folder) != folder:
        return "" if member.isdir() else "there is a link in its way, which may lead elsewhere"
    if member.isreg() and os.path.isdir(os.path.join(folder, parts[-1])):
        return "a directory has its name"
    try:
        os.makedirs(folder, exist_ok=True)
        if member.isreg():
            content = tar.extractfile(member)
            assert content is not None
            place = os.path.join(folder, parts[-1])
            manifest.put(place, content)
            if member.mode & 0o100:
                os.chmod(place, os.stat(place).st_mode | 0o100)
    except (FileExistsError, NotADirectoryError):
        return "a file is where its directory would be"
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL):
            raise
        return f"the file system does not take its name: {error.strerror}"
    return ""


def _plain(path: str) -> str:
    """A copy that is not packed. Raises OutputMissing if it is too large, before it is made: a
    bomb takes no room."""
    with open(path, "rb") as file:
        start = file.read(6)
    opened = next(packer for magic, packer in _PACKERS if start.startswith(magic))
    copy, size = f"{path}.plain", 0
    try:
        with opened(path, "rb") as source:
            while chunk := source.read(_CHUNK):
                size += len(chunk)
                if size > MOST_BYTES:
                    raise OutputMissing(f"output sandbox: it has more than {MOST_BYTES} bytes")
        with opened(path, "rb") as source, open(copy, "wb") as file:
            shutil.copyfileobj(source, file, _CHUNK)
    except (zlib.error, lzma.LZMAError, EOFError) as error:
        raise TransientError(f"output sandbox: {error}") from error
    except OSError as error:
        if error.errno is None:  # bz2 and gzip: no archive of theirs
            raise TransientError(f"output sandbox: {error}") from error
        raise
    return copy


class _Bounded(io.RawIOBase):
    """A file of which nobody reads too much at once."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MOST_HEADER:
            raise tarfile.ReadError("a header in it is too large")
        return self._file.read(size)
