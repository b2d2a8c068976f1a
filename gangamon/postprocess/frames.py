"""What a TextMerger writes: the files one after the other, each with a line above it."""

from __future__ import annotations

import gzip
import hashlib
import os
import time
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any, Protocol

from gangamon.errors import MergeFailed
from gangamon.postprocess import manifest

_CHUNK = 1 << 18

#: Chunks that may wait for their checksum; a smaller one is not worth another thread.
_AHEAD, _SMALL = 8, 1 << 16

#: Threads that read small files ahead, files read at once, and the most bytes of these.
_READERS, _GROUP, _BLOCK = 2, 32, 1 << 19


class Frames:
    """One output, written from where ``file`` stands on, which is ``size`` bytes from its start.
    ``digest``: of these, None: not known.

    ``compress``: what is written between ``begin`` or the first ``add`` and ``edge`` or ``end`` is
    a gzip member. Memory is bounded. Methods raise OSError.
    """

    def __init__(
        self, file: IO[bytes], compress: bool, size: int = 0, digest: Any | None = None
    ) -> None:
        self.sink = Sink(file, size, digest if size else checksum())
        self._compress = compress
        self._out: Sink | gzip.GzipFile | None = None if compress else self.sink
        self._buffer = bytearray(_CHUNK)
        self._view = memoryview(self._buffer)
        self._filled = 0

    def begin(self) -> None:
        """The first line; its time is that of the merge's begin."""
        self._put(f"# Ganga TextMergeTool - {time.asctime()} #\n".encode())

    def add(self, path: str) -> os.stat_result:
        """One input; what it was when it was read. MergeFailed if it is no gzip file though its
        name says so."""
        self._put(_start(path))
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            facts = os.fstat(file)
            if is_gzip(path):
                self._unpacked(path, file)
            else:
                self._plain(file, facts.st_size)
        finally:
            os.close(file)
        self._put(b"\n")
        return facts

    def add_all(self, paths: Sequence[str]) -> None:
        """Each of them. Most of the time of small files goes into opening them: that is done
        ahead, in threads."""
        groups = [paths[first : first + _GROUP] for first in range(0, len(paths), _GROUP)]
        with ThreadPoolExecutor(_READERS, "read") as readers:
            ahead: deque[Future[tuple[memoryview, int]]] = deque()
            for n, group in enumerate(groups):
                while len(ahead) <= _READERS and n + len(ahead) < len(groups):
                    ahead.append(readers.submit(_block, groups[n + len(ahead)]))
                block, done = ahead.popleft().result()
                self._flush()
                if block:
                    self._write(block)
                for path in group[done:]:
                    self.add(path)

    def edge(self) -> int:
        """What was written may be cut off after this; the output's size so far."""
        self._flush()
        if self._compress and self._out is not None:
            self._out.close()
            self._out = None
        return self.sink.size

    def at(self) -> int | None:
        """The output's size so far, None where it cannot be cut off."""
        return None if self._compress else self.sink.size + self._filled

    def end(self) -> None:
        self._put(b"# Ganga Merge Ended Successfully #\n")
        self.edge()

    def _plain(self, file: int, left: int) -> None:
        while left > 0:
            if self._filled == len(self._buffer):
                self._flush()
            count = os.readv(file, [self._view[self._filled :]])
            if not count:
                return
            left -= count
            if self._buffer.find(b"\r", self._filled, self._filled + count) >= 0:
                os.lseek(file, -count, os.SEEK_CUR)  # before this one there is none
                with open(file, "rb", buffering=0, closefd=False) as rest:
                    for chunk in translated(rest):
                        self._put(chunk)
                return
            self._filled += count

    def _unpacked(self, path: str, file: int) -> None:
        try:
            with open(file, "rb", closefd=False) as packed:
                for chunk in translated(gzip.GzipFile(fileobj=packed)):
                    self._put(chunk)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise MergeFailed(f"The input file {path} is not in gzip format: {error}") from error

    def _put(self, data: bytes) -> None:
        if self._filled + len(data) > len(self._buffer):
            self._flush()
        if len(data) > len(self._buffer):
            self._write(data)
            return
        self._view[self._filled : self._filled + len(data)] = data
        self._filled += len(data)

    def _flush(self) -> None:
        if self._filled:
            self._write(self._view[: self._filled])
            self._filled = 0

    def _write(self, data: bytes | memoryview) -> None:
        if self._out is None:
            # Without a name and a time in it: the same text gives the same bytes.
            self._out = gzip.GzipFile("", "wb", fileobj=self.sink, mtime=0)
        self._out.write(data)


def checksum() -> Any:
    """The manifest's, of nothing."""
    return hashlib.blake2b(digest_size=16)


def _start(path: str) -> bytes:
    return b"# Start of file " + os.fsencode(path) + b" #\n"


def _block(paths: Sequence[str]) -> tuple[memoryview, int]:
    """The frames of the first of these, and of how many: up to one that does not fit, or that is
    more work than to be read."""
    buffer = bytearray(_BLOCK)
    view = memoryview(buffer)
    filled = 0
    for n, path in enumerate(paths):
        start = _start(path)
        if is_gzip(path):
            return view[:filled], n
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            left = os.fstat(file).st_size
            at = filled + len(start)
            if at + left >= _BLOCK:
                return view[:filled], n
            view[filled:at] = start
            begin = at
            while left > 0 and (count := os.readv(file, [view[at : at + left]])):
                at, left = at + count, left - count
        finally:
            os.close(file)
        if buffer.find(b"\r", begin, at) >= 0:
            return view[:filled], n
        view[at : at + 1] = b"\n"
        filled = at + 1
    return view[:filled], len(paths)


class Sink:
    """Counts and checksums what is written, as it is on disk. The checksum, which takes as long as
    all else, is made aside, in a thread."""

    def __init__(self, file: IO[bytes], size: int, digest: Any | None) -> None:
        self.file = file
        self.size = size
        self._digest = digest
        self._aside: ThreadPoolExecutor | None = None
        self._begun: deque[Future[None]] = deque()

    @property
    def digest(self) -> Any:
        """Of all that was written so far; None: not known."""
        while self._begun:
            self._begun.popleft().result()
        if self._aside is not None:
            self._aside.shutdown()
            self._aside = None
        return self._digest

    def write(self, data: bytes | memoryview) -> int:
        manifest.write_all(self.file.fileno(), data)
        if self._digest is not None and len(data) < _SMALL and not self._begun:
            self._digest.update(data)
        elif self._digest is not None:
            self._aside = self._aside or ThreadPoolExecutor(1, "checksum")
            self._begun.append(self._aside.submit(self._digest.update, bytes(data)))
            if len(self._begun) > _AHEAD:
                self._begun.popleft().result()
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """As a GzipFile's, which leaves its file open too."""


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def translated(file: Readable) -> Iterator[bytes]:
    """The bytes of a file with line ends as in Python's text mode, some at a time."""
    held = b""
    while chunk := file.read(_CHUNK):
        chunk = held + chunk
        # Whether a \n follows, the next chunk will tell.
        held = b"\r" if chunk.endswith(b"\r") else b""
        chunk = chunk[: len(chunk) - len(held)]
        yield chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if held:
        yield b"\n"


def is_gzip(name: str) -> bool:
    return name[-3:].lower() == ".gz"


def output_name(name: str, compress: bool) -> str:
    """What an output is called that Ganga would give this name."""
    return f"{name}.gz" if compress and not is_gzip(name) else name
