"""Which outputs of a job stock Ganga would put on mass storage from the session, and how."""

from __future__ import annotations

import json
import os
from typing import Any

from GangaCore.GPIDev.Base.Proxy import getName
from GangaCore.Utility.Config import getConfig

from gangamon.adapter.show.verdicts import takers
from gangamon.domain.observation import Scalar

#: Ganga's files whose ``put`` runs the commands of their section of ``[Output]``.
CLASSES = ("MassStorageFile", "SharedFile")

#: Whose ``put`` and ``cleanUpClient`` leave all as it is.
_STAYS = "LocalFile"

_COMMANDS = {"ls": "ls_cmd", "mkdir": "mkdir_cmd", "cp": "cp_cmd"}


def is_ours(file: Any) -> bool:
    return str(getName(file)) in CLASSES


def extra(job: Any) -> dict[str, Scalar]:
    """For ``fetchers.putting``: those up to the first that the session must put, for what that
    takes away is not there for the next; {} if there are none."""
    if "put" not in takers or not len(job.outputfiles):
        return {}
    backend = str(getName(job.backend))
    found = []
    for number, file in enumerate(job.outputfiles):
        name = str(getName(file))
        if not _from_session(name, backend):
            continue
        if name not in CLASSES or _packed_here(file, backend):
            break
        one = _put(number, file, job, getConfig("Output")[name]["uploadOptions"])
        if one is None:
            break
        found.append(one)
    return {"puts": json.dumps(found)} if found else {}


def _from_session(name: str, backend: str) -> bool:
    if name == _STAYS:
        return False
    try:
        return bool(getConfig("Output")[name]["backendPostprocess"].get(backend) == "client")
    except Exception:  # noqa: BLE001 - a class without a section, or with another one, is not put
        return False


def _packed_here(file: Any, backend: str) -> bool:
    """What Ganga packs in the session first (Job.postprocessoutput)."""
    return backend == "LSF" and file.compressed and file.namePattern in ("stdout", "stderr")


def _put(number: int, file: Any, job: Any, options: Any) -> dict[str, Scalar] | None:
    """None for what is not as it should be: Ganga says that in its own way."""
    texts = [options.get(key) for key in ("path", *_COMMANDS.values())]
    if not file.namePattern or not all(text and isinstance(text, str) for text in texts):
        return None
    master, _, sub = job.getFQID(".").partition(".")
    form = str(file.outputfilenameformat or "")
    if not form:
        form = os.path.join(master, sub, "{fname}") if sub else os.path.join(master, "{fname}")
    # Ganga expands both parts of it by themselves: in the directories {fname} is the pattern.
    form = form.replace("{jid}", master).replace("{sjid}", sub)
    folder, name = os.path.split(form)
    if not name or ".." in folder.split("/"):
        return None
    return {
        "number": number,
        "pattern": str(file.namePattern) + (".gz" if file.compressed else ""),
        "path": os.path.expanduser(os.path.expandvars(options["path"])),
        "folder": folder.replace("{fname}", os.path.basename(str(file.namePattern))),
        "name": name,
        **{what: options[key] for what, key in _COMMANDS.items()},
    }
