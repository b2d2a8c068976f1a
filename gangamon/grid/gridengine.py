"""Which cell of Grid Engine this host's commands ask: from its files, for nothing is asked."""

from __future__ import annotations

import os
import re
from pathlib import Path

#: Where SGE_ROOT is unless the environment, or Debian's wrappers of the commands (which read
#: /etc/default/gridengine), say where: Debian's, Fedora's.
ROOTS = ("/var/lib/gridengine", "/usr/share/gridengine")

DEBIAN = Path("/etc/default/gridengine")


def common() -> Path | None:
    """The directory ``common`` of the cell (sge_intro(1), FILES); None: there is none."""
    cell = os.environ.get("SGE_CELL") or _debian("SGE_CELL") or "default"
    for root in filter(None, (os.environ.get("SGE_ROOT"), _debian("SGE_ROOT"), *ROOTS)):
        if (found := Path(root, cell, "common")).is_dir():
            return found
    return None


def cluster() -> str:
    """The cluster's name, else the host of its qmaster; '' if neither is known. Whoever sets a
    cluster up gives it a name (sge_intro(1), SGE_CLUSTER_NAME): ``p6444`` if nothing else."""
    if (folder := common()) is None:
        return ""
    return _line(folder / "cluster_name") or qmaster()


def qmaster() -> str:
    """The host of the qmaster that answers now; '' if that is not known."""
    folder = common()
    return _line(folder / "act_qmaster") if folder else ""


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip().partition("\n")[0]
    except OSError:
        return ""


def _debian(name: str) -> str:
    try:
        text = DEBIAN.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    match = re.search(rf"^\s*(?:export\s+)?{name}=[\"']?([^\"'\s#]+)", text, re.M)
    return match[1] if match else ""
