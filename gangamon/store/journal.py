"""The journal: one json line for each command taken in, on disk before it is applied."""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from gangamon.errors import DiskFull

#: Days after which nobody appends to a day's file any more, whatever the clocks of hosts say.
CLOSED = 2


class FileJournal:
    """One file a day in ``folder``; several processes of a host may append side by side.

    A line that a crash cut off is the last of its file and was never applied: replay skips it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def append(self, records: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        if not records:
            return
        now = datetime.now(timezone.utc)
        lines = "".join(
            json.dumps({"at": now.timestamp(), "owner": owner, "command": command}) + "\n"
            for owner, command in records
        ).encode()
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._name()
            self._write(self._folder / f"{now:%Y-%m-%d}.jsonl", lines)
        except OSError as error:
            raise DiskFull(f"journal {self._folder}: {error.strerror}") from error

    def identity(self) -> str:
        """Made with the first record, kept beside the records."""
        try:
            return (self._folder / "id").read_text(encoding="ascii")
        except FileNotFoundError:
            return ""

    def tail(self) -> str:
        """The last file's name and size."""
        last = max(self._folder.glob("*.jsonl"), default=None)
        return f"{last.name}:{last.stat().st_size}" if last else ""

    def replay(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        for path in sorted(self._folder.glob("*.jsonl")):
            yield from self._read(path)

    def compact(self, without: Collection[str]) -> int:
        """Each closed file is replaced by a whole one, or not at all. The last file, whose name and
        size are the mark, is never touched; a command that stands in an open file too is kept."""
        paths = sorted(self._folder.glob("*.jsonl"))
        limit = f"{datetime.now(timezone.utc) - timedelta(days=CLOSED):%Y-%m-%d}.jsonl"
        closed = [path for path in paths[:-1] if path.name < limit]
        still = {
            str(command.get("id")) for p in paths if p not in closed for _, command in self._read(p)
        }
        drop = set(without) - still
        try:
            return sum(self._rewrite(path, drop) for path in closed) if drop else 0
        except OSError as error:
            raise DiskFull(f"journal {self._folder}: {error.strerror}") from error

    def _rewrite(self, path: Path, drop: Collection[str]) -> int:
        with _locked(path), path.open("rb") as old:
            kept = self._folder / f".{path.name}.compact"  # one left by a crash is begun anew
            count = left = 0
            with kept.open("wb") as new:
                for line in old:
                    if _id(line) in drop:
                        count += 1
                    else:
                        left += new.write(line)
                new.flush()
                os.fsync(new.fileno())
            if not count:
                kept.unlink()
                return 0
            kept.chmod(0o600)
            if left:
                kept.replace(path)
            else:
                kept.unlink()
                path.unlink()
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return count

    def _name(self) -> None:
        path = self._folder / "id"
        if path.exists():
            return
        mine = self._folder / f".id.{os.getpid()}"
        try:
            mine.write_text(uuid.uuid4().hex, encoding="ascii")
            with suppress(FileExistsError):  # another was first
                os.link(mine, path)
        finally:
            mine.unlink(missing_ok=True)

    def _write(self, path: Path, lines: bytes) -> None:
        with _locked(path) as descriptor:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                lines = b"\n" + lines  # a crash left half a line: end it
            view = memoryview(lines)
            try:
                while view:
                    view = view[os.write(descriptor, view) :]
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)
                raise

    def _read(self, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
        try:
            file = path.open(encoding="utf-8", errors="replace")
        except FileNotFoundError:  # a compaction left nothing of it
            return
        with file:
            for line in file:
                try:
                    record = json.loads(line)
                    yield record["owner"], record["command"]
                except (ValueError, KeyError, TypeError):
                    continue


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """A descriptor of a day's file, locked; of the one that is there, not of one replaced while
    its lock was waited for."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    yield descriptor
                    return
        finally:
            os.close(descriptor)


def _id(line: bytes) -> str:
    try:
        return str(json.loads(line)["command"]["id"])
    except (ValueError, KeyError, TypeError):
        return ""
