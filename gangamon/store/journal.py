"""The journal: one json line for each command taken in, on disk before it is applied."""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from gangamon.errors import DiskFull


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
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
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
        finally:
            os.close(descriptor)

    def _read(self, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    record = json.loads(line)
                    yield record["owner"], record["command"]
                except (ValueError, KeyError, TypeError):
                    continue
