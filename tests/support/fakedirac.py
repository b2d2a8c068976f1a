"""A faithful fake of what the program in DIRAC's environment calls of DIRAC's client API, for what
no real service here can do: files on the grid, and calls that hang.

Signatures and answers are those of DIRAC 9.1.22. What it knows is in ``world.json`` beside it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

MODULES = {
    "DIRAC/__init__.py": """
import json, os
version = "9.9.9"
def S_OK(value=None): return {"OK": True, "Value": value}
def S_ERROR(message, errno=0): return {"OK": False, "Errno": errno, "Message": message}
def world():
    with open(os.path.join(os.path.dirname(__file__), "..", "world.json")) as file:
        return json.load(file)
""",
    "DIRAC/Core/Base/Script.py": """
import os, sys, time
from DIRAC import world
def parseCommandLine():
    print("a banner on stdout")
    if world().get("start") == "dies":
        sys.exit("no configuration")
    if world().get("start") == "babbles":
        os.write(2, b"x" * 300000)
""",
    "DIRAC/Core/Base/Client.py": """
from DIRAC import S_OK, world
class Client:
    def __init__(self, url): self.url = url
    def getSandboxesAssignedToEntity(self, entity):
        found = world().get("sandboxes", {}).get(entity.split(":")[1])
        return S_OK({"Output": [found]} if found else {})
""",
    "DIRAC/Core/Security/ProxyInfo.py": """
from DIRAC import S_OK
def getProxyInfo(proxy=False, disableVOMS=False): return S_OK({"username": "tester"})
""",
    "DIRAC/WorkloadManagementSystem/Client/JobMonitoringClient.py": """
import os, time
from DIRAC import S_OK, S_ERROR, world
class JobMonitoringClient:
    def getJobsSummary(self, ids):
        print("logged to stdout")
        known = world()
        if known.get("hangs"): time.sleep(3600)
        if known.get("exits"): os._exit(3)
        if "error" in known: return S_ERROR(*known["error"])
        return S_OK({str(i): known["jobs"][str(i)] for i in ids if str(i) in known["jobs"]})
    def getJobLoggingInfo(self, job):
        return S_ERROR("No Logging information for job %d" % job)
    def getJobParameters(self, ids, parName=None):
        ids = ids if isinstance(ids, list) else [ids]
        if world().get("no parameters"): return S_ERROR("OpenSearch is down")
        of = world().get("parameters", {})
        return S_OK({i: {parName: v for k, v in of.get(str(i), {}).items() if k == parName}
                     for i in ids})
""",
    "DIRAC/WorkloadManagementSystem/Client/SandboxStoreClient.py": """
from DIRAC import S_ERROR
class SandboxStoreClient:
    def downloadSandboxForJob(self, job, kind, path="", inMemory=False, unpack=True):
        return S_ERROR("no real store")
""",
    "DIRAC/Interfaces/API/Dirac.py": """
import json, os, shutil
from DIRAC import S_OK, S_ERROR, world
import DIRAC
class Dirac:
    def getFile(self, lfn, destDir=""):
        grid = world()["grid"]
        if lfn not in grid: return S_ERROR("Failed to get " + lfn)
        target = os.path.join(destDir, os.path.basename(lfn))
        try:
            shutil.copy(grid[lfn], target)
        except OSError as error:
            return S_ERROR(str(error))
        return S_OK({"Successful": {lfn: target}, "Failed": {}})
    def removeFile(self, lfn):
        with open(os.path.join(os.path.dirname(DIRAC.__file__), "..", "removed"), "a") as file:
            file.write(lfn + chr(10))
        return S_OK({"Successful": {lfn: True}, "Failed": {}})
    def getLfnMetadata(self, lfns):
        about = world()["metadata"]
        return S_OK({"Successful": {l: about[l] for l in lfns if l in about},
                     "Failed": {l: "No such file" for l in lfns if l not in about}})
    def getReplicas(self, lfns):
        known = world()["replicas"]
        return S_OK({"Successful": {l: dict.fromkeys(known[l], "url") for l in lfns if l in known},
                     "Failed": {l: "No such file" for l in lfns if l not in known}})
""",
}


class FakeDirac:
    """``source``: what a user would source."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in MODULES.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.source = folder / "diracosrc"
        self.source.write_text(
            f'export PYTHONPATH={folder} FROM=source ARGS="$*"\n'
            f"export PATH={Path(sys.executable).parent}:$PATH\n"
        )
        self.knows(jobs={})

    def knows(self, **world: Any) -> None:
        (self.folder / "world.json").write_text(json.dumps({"jobs": {}, **world}))

    @property
    def removed(self) -> list[str]:
        path = self.folder / "removed"
        return path.read_text().split() if path.exists() else []
