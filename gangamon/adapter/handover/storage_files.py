"""Which outputs of a job that lie on storage the service is to bring home, and how."""

from __future__ import annotations

import json
import os
from typing import Any

from GangaCore.GPIDev.Base.Proxy import getName
from GangaCore.Utility.Config import getConfig

from gangamon.adapter.handover import grid_files
from gangamon.adapter.options import SECTION
from gangamon.domain.observation import Scalar

#: Ganga's files whose places its wrapper notes as ``massstorage PATTERN LOCATION``.
CLASSES = ("MassStorageFile", "SharedFile")


def extra(job: Any) -> dict[str, Scalar]:
    """For ``fetchers.stored``; {} unless ``[Gangamon]BringHome`` names something and the job has
    such files."""
    patterns = str(getConfig(SECTION)["BringHome"]).split()
    if not patterns:
        return {}
    found = {str(getName(file)) for file in job.outputfiles}.intersection(CLASSES)
    if not found:
        return {}
    protocols = [str(getConfig("Output")[name].get("defaultProtocol", "")) for name in found]
    credential = grid_files.credential(os.environ, os.getuid(), None)
    return {
        "storage_files": json.dumps(patterns),
        "storage_protocol": next((p for p in protocols if not p.startswith("file:")), ""),
        "storage_credential": credential if os.path.isfile(credential) else "",
    }
