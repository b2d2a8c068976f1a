"""Updates that a session leaves to the next one: a file per master job, json.

``jobs.clean()`` gives numbers anew: the file says when the job was made, too. (Ganga's "globally
unique job identifier", ``job.info.uuid``, is empty for a master; JobInfo.py, 8.7.12.)
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from GangaCore.Utility.logging import getLogger

from gangamon.adapter.repository.files import replace

logger = getLogger("gangamon")


class Records:
    """``folder/MASTER.json``: {"made": ..., "updates": [{...}, ...]}. ``make(**fields)``: an
    update."""

    def __init__(self, folder: Path, make: Callable[..., Any]) -> None:
        self._folder, self._make = folder, make

    def write(self, master: int, made: str, updates: Sequence[Any]) -> None:
        """Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        replace(str(self._path(master)), _parts(made, updates))

    def read(self) -> Iterator[tuple[int, str | None, list[Any]]]:
        """(master, when it was made, its updates) of each file, None for one that does not say;
        what cannot be read is named and left alone."""
        for path in sorted(self._folder.glob("*.json")):
            try:
                found = json.loads(path.read_bytes())
                updates = [self._make(**fields) for fields in found["updates"]]
                yield int(path.stem), found.get("made"), updates
            except (OSError, ValueError, TypeError, KeyError) as error:
                logger.warning("gangamon: %s cannot be read: %s", path, error)

    def remove(self, master: int) -> None:
        if self._path(master).exists():
            os.unlink(self._path(master))

    def _path(self, master: int) -> Path:
        return self._folder / f"{master}.json"


def _parts(made: str, updates: Sequence[Any]) -> Iterator[bytes]:
    """One by one: in one call for 10,000 of them ``json`` keeps the GIL."""
    yield b'{"made": %s, "updates": [' % json.dumps(made).encode()
    for n, update in enumerate(updates):
        yield (b", " if n else b"") + json.dumps(asdict(update)).encode()
    yield b"]}"
