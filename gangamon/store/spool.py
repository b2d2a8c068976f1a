"""The client's spool: commands on disk until the service has acknowledged them."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gangamon.errors import DiskFull

_NAME = re.compile(r"\d{20}-.+\.json")


class Spool:
    """One file for each command, named so that their order is the order of submission.

    Sessions of several hosts may share a folder: no two names are the same, and a command is
    sent after those that were there before it, also where the clocks of the hosts differ.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._last = 0

    def put(self, command_id: str, body: Mapping[str, Any]) -> None:
        """On disk (fsync) when this returns; appears whole or not at all."""
        pending = self.pending()
        newest = int(pending[-1][1].name[:20]) if pending else 0
        self._last = max(self._last + 1, newest + 1, time.time_ns())
        path = self.folder / f"{self._last:020d}-{command_id}.json"
        temporary = path.with_suffix(f".tmp{os.getpid()}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(body, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise DiskFull(f"spool {self.folder}: {error.strerror}") from error

    def pending(self) -> list[tuple[str, Path]]:
        """(command id, file) of each, oldest first."""
        try:
            names = sorted(n for n in os.listdir(self.folder) if _NAME.fullmatch(n))
        except FileNotFoundError:
            return []
        return [(name[21:-5], self.folder / name) for name in names]

    def remove(self, command_id: str) -> None:
        for found, path in self.pending():
            if found == command_id:
                path.unlink(missing_ok=True)
