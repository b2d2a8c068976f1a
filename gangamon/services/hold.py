"""Master jobs that must not be merged while failed subjobs may be resubmitted by their session.

``<gangadir>/gangamon/hold/MASTER``, an empty file: made by a session before it hands over a job
with ``do_auto_resubmit``, removed when it has found that nothing is to be resubmitted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from gangamon.errors import DiskFull
from gangamon.services.mode import FOLDER

NAME = "hold"


def hold(place: Path, master: int) -> None:
    """``place``: ``<gangadir>/gangamon``. Raises DiskFull."""
    path = _path(place, master)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    except OSError as error:
        raise DiskFull(f"{path}: {error.strerror}") from error


def let_go(place: Path, master: int) -> None:
    with suppress(NotADirectoryError):
        _path(place, master).unlink(missing_ok=True)


def is_held(place: Path, master: int) -> bool:
    return _path(place, master).exists()


def held(roots: Iterable[str], master: int) -> bool:
    """The same, by the roots that the repository's session registered."""
    return any(is_held(Path(root) / FOLDER, master) for root in roots)


def _path(place: Path, master: int) -> Path:
    return place / NAME / str(master)
