"""The files of an archive that comes from another host, placed below an output directory.

Small ones are kept until some have come, and written one job at a time: threads that write many
take turns at the interpreter after each call of the system, and take twice as long together.
"""

from __future__ import annotations

import os
import tarfile
from contextlib import nullcontext
from dataclasses import dataclass, field

from gangamon.fetchers import manifest, members, turns
from gangamon.fetchers.tarstream import Source, Tar
from gangamon.outdir.checksum import adler32
from gangamon.protocols import FetchOrder, Manifest

#: Bytes of a small file, and of those that are kept; bytes that are written at once.
SMALL, HELD, CHUNK = 1 << 16, 1 << 20, 1 << 18


@dataclass
class Unpacked:
    """``sums``: (bytes, checksum) by path; ``left_out``: what was not brought, and why."""

    sums: dict[str, tuple[int, str]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def unpack(source: Source, target: str) -> Unpacked:
    """Each file appears whole or not at all; those that came before a fault stay.

    Raises what the source does, NoArchive, DiskFull, OSError."""
    tar, writer = Tar(source), Writer(target)
    while (member := tar.next()) is not None:
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        if parts:
            writer.take(member, parts, tar)
    writer.flush()
    return writer.done


def note(order: FetchOrder, target: str, done: Unpacked) -> Manifest:
    """Of what lies there then. What has another length than came is read again. OSError."""
    found = manifest.listing(target, order.roots)
    sums = {
        one.path: done.sums[one.path][1]
        for one in found
        if one.path in done.sums and done.sums[one.path][0] == one.size
    }
    # Nobody waits while others' files are read.
    with turns.one(target) if len(sums) == len(found) else nullcontext():
        return manifest.write(
            target, order.fqid, order.attempt, found, sums, left_out=done.left_out
        )


class Writer:
    """Of one job. ``done``: what has been written, when it was flushed."""

    def __init__(self, target: str) -> None:
        self._target, self.done = target, Unpacked()
        self._hidden = manifest.temporary(os.path.join(target, ""))  # of one after the other
        self._held: list[tuple[list[str], bytes]] = []
        self._bytes = 0
        self._folders: dict[tuple[str, ...], str] = {}

    def take(self, member: tarfile.TarInfo, parts: list[str], tar: Tar) -> None:
        """The member that ``tar`` is at. ``parts``: of its name, at least one. Raises as
        ``unpack``."""
        if member.isdir():
            return
        if why := members.unfit(member, parts):
            self.done.left_out.append(manifest.left_out(member.name, why))
        elif member.size <= SMALL:
            self._keep(parts, tar.content())
        else:
            self.flush()
            self._stream(parts, tar)

    def _keep(self, parts: list[str], content: bytes) -> None:
        self._held.append((parts, content))
        self._bytes += len(content) + 512
        if self._bytes > HELD:
            self.flush()

    def flush(self) -> None:
        if not self._held:
            return
        with turns.one(self._target):
            for parts, content in self._held:
                path = self._spot(parts)
                with manifest.cleared(self._hidden, path):
                    _write(self._hidden, content)
                    os.rename(self._hidden, path)
                checksum = f"adler32:{adler32(content, 1):08x}"
                self.done.sums["/".join(parts)] = (len(content), checksum)
        self._held, self._bytes = [], 0

    def _stream(self, parts: list[str], tar: Tar) -> None:
        path, size, checksum = self._spot(parts), 0, 1
        with manifest.cleared(self._hidden, path):
            file = _made(self._hidden)
            try:
                for chunk in tar.chunks(CHUNK):
                    checksum = adler32(chunk, checksum)
                    size += len(chunk)
                    _all(file, chunk)
            finally:
                os.close(file)
            os.rename(self._hidden, path)
        self.done.sums["/".join(parts)] = (size, f"adler32:{checksum:08x}")

    def _spot(self, parts: list[str]) -> str:
        folder = tuple(parts[:-1])
        if folder not in self._folders:
            self._folders[folder] = os.path.dirname(manifest.spot(self._target, parts))
        return f"{self._folders[folder]}/{parts[-1]}"


def _made(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def _write(path: str, content: bytes) -> None:
    file = _made(path)
    try:
        _all(file, content)
    finally:
        os.close(file)


def _all(file: int, content: bytes | memoryview) -> None:
    done = os.write(file, content) if content else 0
    while done < len(content):
        done += os.write(file, memoryview(content)[done:])
