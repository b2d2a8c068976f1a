"""DIRAC: asked within the environment that Ganga uses, with the proxy that Ganga has."""

from __future__ import annotations

import json
import os
from typing import Any

from GangaCore.GPIDev.Base.Proxy import getName
from GangaCore.Utility.Config import getConfig

from gangamon.adapter.handover import dirac_env
from gangamon.adapter.handover.kinds.kind import Handed, Kind
from gangamon.adapter.watch.watched import Watched
from gangamon.domain.observation import Scalar


def endpoint(backend: Any) -> str:
    config = getConfig("DIRAC")
    own = getattr(backend.credential_requirements, "dirac_env", None)
    names = ("DiracEnvJSON", "DiracEnvSource", "DiracEnvFile")
    return dirac_env.endpoint(own, *(config[name] for name in names))


def credential(backend: Any) -> str:
    """Not by the store of Ganga's credentials, which would start DIRAC's commands to look at it."""
    encoded = backend.credential_requirements.encoded()
    return dirac_env.proxy(os.environ.get("X509_USER_PROXY"), os.getuid(), encoded)


def hand(watched: Watched, master: Any, job: Any, sub: int, attempt: int) -> Handed | None:
    """Of what the fetcher must know, that which differs from Ganga's defaults."""
    flags = {
        "sandbox": bool(job.backend.downloadSandbox),
        "unpack": bool(job.backend.unpackOutputSandbox),
        "failed": bool(getConfig("DIRAC")["failed_sandbox_download"]),
    }
    extra: dict[str, Scalar] = {name: False for name, wanted in flags.items() if not wanted}
    files = [str(file.namePattern) for file in job.outputfiles if getName(file) == "DiracFile"]
    if files:
        extra["dirac_files"] = json.dumps(files)
    return Handed(str(job.backend.id), extra)


KIND = Kind(endpoint=endpoint, credential=credential, hand=hand)
