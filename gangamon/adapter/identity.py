"""Which repository this is: an id and a spool kept in the user's gangadir."""

from __future__ import annotations

import json
import os
import re
import uuid
from pathlib import Path

from gangamon.errors import BadSettings
from gangamon.services.mode import FOLDER

_ID = re.compile(r"[0-9a-f]{32}")

#: The file that holds the id.
NAME = "repository.json"


def directory(gangadir: str) -> Path:
    """Where gangamon keeps what belongs to one repository."""
    return Path(gangadir).expanduser().absolute() / FOLDER


def repository_id(place: Path) -> str:
    """The repository's id: made once, by whichever session comes first, and never changed."""
    path = place / NAME
    if not path.exists():
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        _create(path, json.dumps({"id": uuid.uuid4().hex}) + "\n")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["id"]
    except (OSError, ValueError, KeyError, TypeError):
        found = None
    if not isinstance(found, str) or not _ID.fullmatch(found):
        raise BadSettings([f'{path}: not readable; accepted: {{"id": 32 lower case hex digits}}'])
    return found


def _create(path: Path, text: str) -> None:
    """The file appears whole, or is left as another session made it meanwhile."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
