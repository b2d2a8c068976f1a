"""Who watches a repository's jobs, gangamon or Ganga: the flag in the user's gangadir.

``<gangadir>/gangamon/mode.json``: ``{"mode": "ganga", "by": TEXT, "at": SECONDS}`` (since the
epoch). Without the file gangamon does. Sessions that have the adapter obey it within some seconds;
the service fetches and merges nothing for a repository whose flag says ``ganga``. Nothing can hold
a session that does not have the adapter.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gangamon.errors import BadInput, DiskFull

GANGAMON, GANGA = "gangamon", "ganga"
MODES = (GANGAMON, GANGA)

NAME = "mode.json"

#: The directory beside Ganga's own in a gangadir.
FOLDER = "gangamon"


@dataclass(frozen=True)
class Mode:
    """``by``: who set it, for people. ``at``: seconds since the epoch, 0 if it was never set."""

    mode: str = GANGAMON
    by: str = ""
    at: float = 0.0


def read(place: Path) -> Mode:
    """The mode of a repository by its directory ``<gangadir>/gangamon``. A file that is not one of
    ours counts as ``ganga``: then nobody of ours touches the jobs. Raises OSError (stale mount)."""
    try:
        text = (place / NAME).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return Mode()
    try:
        body = json.loads(text)
        mode, by, at = body["mode"], str(body["by"]), float(body["at"])
    except (ValueError, KeyError, TypeError):
        return Mode(GANGA, f"{place / NAME}, which is not readable")
    return Mode(mode, by, at) if mode in MODES else Mode(GANGA, f"an unknown mode {mode!r}")


def write(place: Path, mode: str, by: str) -> Mode:
    """Set it; it appears whole or not at all. BadInput, DiskFull."""
    if mode not in MODES:
        raise BadInput([f"mode: got {mode!r}; accepted: {', '.join(MODES)}"])
    found = Mode(mode, by, time.time())
    temporary = place / f".{NAME}.{uuid.uuid4().hex}"
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        with temporary.open("x", encoding="utf-8") as file:
            json.dump({"mode": found.mode, "by": found.by, "at": found.at}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, place / NAME)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise DiskFull(f"{place / NAME}: {error.strerror}") from error
    return found


def given_back(roots: Iterable[str]) -> bool:
    """Whether Ganga's own monitoring has a repository's jobs, by the roots that its session
    registered (the gangadir is one of them). Where it cannot be read, nothing is known: no."""
    for root in roots:
        try:
            if read(Path(root) / FOLDER).mode == GANGA:
                return True
        except OSError:
            continue
    return False
