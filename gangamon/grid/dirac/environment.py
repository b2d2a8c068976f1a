"""Where DIRAC is: what Ganga's ``[DIRAC]`` says, by reference, as the endpoint of a lane.

An endpoint is one of::

    /cvmfs/dirac.egi.eu/dirac/bashrc_egi ARG...   DiracEnvSource: a file to source, with arguments
    json:/home/u/dirac-env.json                   DiracEnvJSON: an object, name -> value
    anything else                                 the worker's own environment, with DIRACOS in it

Whoever sends jobs chooses it, and it is run: so the file must be one that only this user, or the
administrator, can change.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gangamon.errors import BackendUnreachable

JSON = "json:"

#: Sources ($@), and becomes DIRAC's Python, which runs the program ($0) with $PROXY and $MOST.
_SOURCE = """
proxy=$1 most=$2; shift 2
source "$@" >&2 || exit
exec "$(command -v python || command -v python3)" -u "$0" "$proxy" "$most"
"""

#: Variables of ours that would lead another Python astray.
_OURS = ("PYTHON", "VIRTUAL_ENV", "__PYVENV")


@dataclass(frozen=True)
class Start:
    """How to start the program: ``words`` with ``environ``."""

    words: tuple[str, ...]
    environ: Mapping[str, str]


def start(endpoint: str, program: str, proxy: str, most: int) -> Start:
    """To run ``program`` by DIRAC's Python. Raises BackendUnreachable where there is none, or where
    the file is not to be believed."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(_OURS)}
    if endpoint.startswith("/"):
        words = _words(endpoint)
        _believed(words[0])
        return Start(("bash", "-c", _SOURCE, program, proxy, str(most), *words), ours)
    if endpoint.startswith(JSON):
        ours |= _variables(endpoint[len(JSON) :])
    home = ours.get("DIRACOS", "")
    path = os.pathsep.join((f"{home}/bin", ours.get("PATH", ""))) if home else ours.get("PATH", "")
    python = shutil.which("python", path=path) or shutil.which("python3", path=path)
    if python is None or not (home or endpoint.startswith(JSON)):
        raise BackendUnreachable(
            f"DIRAC: {endpoint} names no environment, and the worker has none (DIRACOS); accepted: "
            "[DIRAC] DiracEnvSource or DiracEnvJSON in Ganga"
        )
    return Start((python, "-u", program, proxy, str(most)), ours)


def _words(endpoint: str) -> list[str]:
    try:
        return shlex.split(endpoint)
    except ValueError as error:
        raise BackendUnreachable(f"DIRAC: DiracEnvSource: got {endpoint!r}: {error}") from error


def _variables(path: str) -> dict[str, str]:
    _believed(path)
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BackendUnreachable(f"DIRAC: {path}: {error}") from error
    if not isinstance(found, dict):
        raise BackendUnreachable(f"DIRAC: {path}: accepted: a JSON object, name -> value")
    return {str(name): str(value) for name, value in found.items()}


def _believed(path: str) -> None:
    """Ours or root's and written by nobody else; or where nobody can write, as on CVMFS."""
    try:
        facts, system = os.stat(path), os.statvfs(path)
    except OSError as error:
        raise BackendUnreachable(f"DIRAC: {path}: {error.strerror}") from error
    if not stat.S_ISREG(facts.st_mode):
        raise BackendUnreachable(f"DIRAC: {path}: not a regular file")
    if system.f_flag & os.ST_RDONLY:
        return
    if facts.st_uid not in (0, os.getuid()) or facts.st_mode & 0o022:
        raise BackendUnreachable(
            f"DIRAC: {path}: others can change it; accepted: a file of this user's or root's, "
            "without write permission for group and others, or one on a read-only file system"
        )
