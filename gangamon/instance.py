"""The instance file: which host runs a state directory's services, and how to reach them.

Written by ``gangamon up`` when everything runs, removed by ``down``. It lies in the state
directory, which several login nodes may share, so it names the host.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from gangamon.settings import Settings


@dataclass(frozen=True)
class Instance:
    """A running instance. ``id``: random, in the environment (GANGAMON_INSTANCE) of each of its
    processes. ``pid``: supervisord's; ``supervisor``: the path of its socket. ``started``: seconds
    since the epoch."""

    id: str
    host: str
    pid: int
    redis_url: str
    flower_url: str
    local_dir: str
    started: float
    supervisor: str = ""
    web_url: str = ""

    def save(self, path: Path) -> None:
        """Appears whole or not at all, readable by its owner only."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)


def read(path: Path) -> Instance | None:
    """The instance of a file; None if there is none, or it is not one of ours."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        # A later version may say more.
        known = {field.name for field in fields(Instance)}
        return Instance(**{key: value for key, value in found.items() if key in known})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def redis_url(settings: Settings) -> str:
    """Where Redis is: as configured, else the running instance's socket; '' if none runs."""
    if settings.redis_url:
        return settings.redis_url
    instance = read(settings.instance_file)
    return instance.redis_url if instance else ""


def ended_mark(settings: Settings) -> Path:
    """Left by ``gangamon down`` and removed by ``up``: the user wants nothing to run here."""
    return settings.state_dir / "ended"


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """For a process in another directory: paths that are relative are made absolute."""
    found = dict(environ)
    if path := found.get("PYTHONPATH"):
        found["PYTHONPATH"] = os.pathsep.join(os.path.abspath(p) for p in path.split(os.pathsep))
    if path := found.get("GANGAMON_CONFIG"):
        found["GANGAMON_CONFIG"] = os.path.abspath(os.path.expanduser(path))
    return found
