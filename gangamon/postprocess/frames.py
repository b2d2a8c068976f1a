"""What a TextMerger writes: the files one after the other, each with a line above it."""

from __future__ import annotations

import gzip
import os
import resource
import stat
import time
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any, Protocol

from gangamon.errors import MergeFailed, TransientError
from gangamon.postprocess import manifest
from gangamon.postprocess.plan import Facts

_CHUNK = 1 << 18

#: Bytes that are gathered before they are written; such blocks that may be under way.
_BLOCK, _AHEAD = 1 << 19, 16

#: Bytes after which they are sent on to the disk.
_PIECE = 8 << 20

#: Small files that are read in one go; where half of them made us wait for the storage, and one
#: took so many seconds, the rest is read ahead by so many threads.
_GROUP, _SLOW, _READERS = 64, 0.0005, 8

#: As gzip(1) does it; zlib's best takes up to three times as long for a hundredth less.
_LEVEL = 6

_NOTHING: Mapping[str, Facts] = {}

#: As ``looked``, but nothing was looked at before: it is given what each file was when it was read.
Learnt = MutableMapping[str, Facts]


class Frames:
    """One output, written from where ``file`` stands on, which is ``size`` bytes from its start.
    ``digest``: of these, None: not known.

    ``compress``: what is written between ``begin`` or the first ``add`` and ``edge`` or ``end`` is
    a gzip member. Memory is bounded. Methods raise OSError. A context manager: nothing is written
    to the file behind it.
    """

    def __init__(
        self, file: IO[bytes], compress: bool, size: int = 0, digest: Any | None = None
    ) -> None:
        self.sink = Sink(file, size, digest if size else manifest.checksum())
        self._compress = compress
        self._packed: gzip.GzipFile | None = None
        self._buffer = self.sink.spare()
        self._filled = 0

    def __enter__(self) -> Frames:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait for what is under way, whatever becomes of it."""
        self.sink.stop()

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

    def add_all(
        self,
        paths: Sequence[str],
        looked: Mapping[str, Facts] = _NOTHING,
        learnt: Learnt | None = None,
    ) -> None:
        """Each of them. ``looked``: what is known of some; TransientError if one has changed.
        ``learnt``: see there; TransientError for what is no regular file."""
        first, slow = 0, False
        while first < len(paths) and not slow:
            began, waited = time.monotonic(), _waits()
            last = min(first + _GROUP, len(paths))
            group = paths[first:last]
            upto, self._filled = _gather(self._buffer, self._filled, group, looked, learnt)
            late = time.monotonic() - began > _SLOW * _GROUP
            slow = late and _waits() - waited > _GROUP // 2
            first += upto
            if first < last:
                self._one(paths[first], looked, learnt)
                first += 1
        if first < len(paths):
            self._ahead(paths[first:], looked, learnt)

    def _ahead(
        self, paths: Sequence[str], looked: Mapping[str, Facts], learnt: Learnt | None
    ) -> None:
        groups = [paths[first : first + _GROUP] for first in range(0, len(paths), _GROUP)]
        with ThreadPoolExecutor(_READERS, "read") as readers:
            ahead: deque[Future[tuple[bytearray, int, int]]] = deque()
            for n, group in enumerate(groups):
                while len(ahead) < _READERS and n + len(ahead) < len(groups):
                    ahead.append(readers.submit(_gathered, groups[n + len(ahead)], looked, learnt))
                block, filled, upto = ahead.popleft().result()
                self._put(memoryview(block)[:filled])
                for path in group[upto:]:
                    self._one(path, looked, learnt)

    def _one(self, path: str, looked: Mapping[str, Facts], learnt: Learnt | None) -> None:
        if learnt is not None and not stat.S_ISREG(os.stat(path).st_mode):
            raise TransientError(f"{path}: is not a regular file")  # a pipe would hold us up
        facts = self.add(path)
        if learnt is not None:
            learnt[path] = (facts.st_size, facts.st_mtime_ns)
        if looked.get(path, now := (facts.st_size, facts.st_mtime_ns)) != now:
            raise TransientError(f"{path}: changed meanwhile")

    def edge(self) -> int:
        """What was written may be cut off after this; the output's size so far."""
        self._flush()
        if self._packed is not None:
            self._packed.close()
            self._packed = None
        self.sink.drain()
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
            filled = self._filled
            with memoryview(self._buffer) as view:
                count = os.readv(file, [view[filled : filled + left]])
            if not count:
                return
            left -= count
            if self._buffer.find(b"\r", filled, filled + count) >= 0:
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

    def _put(self, data: bytes | memoryview) -> None:
        while data:
            room = len(self._buffer) - self._filled
            if not room:
                self._flush()
                continue
            count = min(room, len(data))
            self._buffer[self._filled : self._filled + count] = data[:count]
            self._filled += count
            data = data[count:]

    def _flush(self) -> None:
        if not self._filled:
            return
        if self._compress:
            if self._packed is None:
                # Without a name and a time in it: the same text gives the same bytes.
                self._packed = gzip.GzipFile("", "wb", _LEVEL, self.sink, mtime=0)
            with memoryview(self._buffer) as view:
                self._packed.write(view[: self._filled])
        else:
            self.sink.take(self._buffer, self._filled)
            self._buffer = self.sink.spare()
        self._filled = 0


def _waits() -> int:
    """How often this thread gave up its core by itself: not when others took it, on a busy host."""
    return resource.getrusage(getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)).ru_nvcsw


def _start(path: str) -> bytes:
    return b"# Start of file " + os.fsencode(path) + b" #\n"


def _gathered(
    paths: Sequence[str], looked: Mapping[str, Facts], learnt: Learnt | None
) -> tuple[bytearray, int, int]:
    """A block, how much of it is filled, and with how many of these."""
    block = bytearray(_BLOCK)
    upto, filled = _gather(block, 0, paths, looked, learnt)
    return block, filled, upto


def _gather(
    block: bytearray,
    filled: int,
    paths: Sequence[str],
    looked: Mapping[str, Facts],
    learnt: Learnt | None,
) -> tuple[int, int]:
    """The frames of the first of these, behind what is filled: (of how many, filled then). Up to
    one of which nothing is known or learnt, that does not fit, or is more work than to be read."""
    with memoryview(block) as view:
        for n, path in enumerate(paths):
            facts = looked.get(path)
            start = _start(path)
            at = filled + len(start)
            room = len(block) - at - 1
            if is_gzip(path) or (learnt is None if facts is None else facts[0] > room):
                return n, filled
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                if facts is None:
                    found = os.fstat(file)
                    facts = found.st_size, found.st_mtime_ns
                    if facts[0] > room or not stat.S_ISREG(found.st_mode):
                        return n, filled
                end = at + facts[0]
                view[filled:at] = start
                count = os.readv(file, [view[at : end + 1]])  # one more: nothing is to be there
            finally:
                os.close(file)
            if count != facts[0]:
                return n, filled  # read in parts, or changed: that is seen there
            if learnt is not None:
                learnt[path] = facts
            if block.find(b"\r", at, end) >= 0:
                text = _translated(bytes(view[at:end]))
                end = at + len(text)
                view[at:end] = text
            view[end] = 10
            filled = end + 1
    return len(paths), filled


class Sink:
    """Writes, counts and checksums, in the order given, in a thread of its own: the reader has the
    other core meanwhile."""

    def __init__(self, file: IO[bytes], size: int, digest: Any | None) -> None:
        self.file = file
        self.size = size
        self._digest = digest
        self._aside: ThreadPoolExecutor | None = None
        self._begun: deque[Future[bytearray]] = deque()
        self._behind = 0

    @property
    def digest(self) -> Any:
        """Of all that was written so far; None: not known."""
        self.drain()
        return self._digest

    def spare(self) -> bytearray:
        """A buffer to be filled and given to ``take``."""
        if len(self._begun) < _AHEAD:
            return bytearray(_BLOCK)
        return self._begun.popleft().result()

    def take(self, buffer: bytearray, count: int) -> None:
        """Write the first so many bytes of it, which is the sink's then. OSError: of this, or of an
        earlier one."""
        self._aside = self._aside or ThreadPoolExecutor(1, "write")
        self._begun.append(self._aside.submit(self._work, buffer, count))
        self.size += count

    def write(self, data: bytes | memoryview) -> int:
        """For a GzipFile."""
        self._write(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def drain(self) -> None:
        """All that was taken is written."""
        while self._begun:
            self._begun.popleft().result()

    def stop(self) -> None:
        """Nothing is written any more when this comes back."""
        if self._aside is not None:
            self._aside.shutdown(cancel_futures=True)
            self._aside = None

    def _work(self, buffer: bytearray, count: int) -> bytearray:
        with memoryview(buffer) as view:
            self._write(view[:count])
        return buffer

    def _write(self, data: bytes | memoryview) -> None:
        manifest.write_all(self.file.fileno(), data)
        self._behind += len(data)
        if self._behind >= _PIECE:
            manifest.begin_to_settle(self.file.fileno())
            self._behind = 0
        if self._digest is not None:
            self._digest.update(data)


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
        yield _translated(chunk)
    if held:
        yield b"\n"


def _translated(text: bytes) -> bytes:
    if b"\r" not in text:
        return text
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def is_gzip(name: str) -> bool:
    return name[-3:].lower() == ".gz"


def output_name(name: str, compress: bool) -> str:
    """What an output is called that Ganga would give this name."""
    return f"{name}.gz" if compress and not is_gzip(name) else name
