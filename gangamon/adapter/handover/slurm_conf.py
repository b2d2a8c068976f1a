"""Which endpoint a batch job's lane has: the instance of the batch system, not the node it runs on.

``backend.actualCE`` names that node (Lib/Batch/Batch.py:578, 8.7.12), so it tells nothing here.
Nothing is asked: what is not in a file of this host is not known.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

#: Where slurm.conf lies unless SLURM_CONF says where: as built by most, by Debian's older packages,
#: and where slurmd and sackd keep it that have it from slurmctld ("configless").
SLURM_CONFS = (
    "/etc/slurm/slurm.conf",
    "/etc/slurm-llnl/slurm.conf",
    "/run/slurm/conf/slurm.conf",
)

#: Includes in includes that are followed.
DEPTH = 3


def endpoint(backend: Any) -> str:
    """The cluster that ``extraopts`` name, else this host's, in slurm.conf; '' if there is none.

    Of several named clusters sbatch takes one and Ganga does not note which: their list is then the
    endpoint, at which nothing can be asked."""
    words = str(getattr(backend, "extraopts", "") or "")
    named = re.search(r"(?:^|\s)(?:-M\s*|--clusters?[=\s]\s*)([^\s'\"]+)", words)
    if named:
        return named[1]
    if cluster := os.environ.get("SLURM_CLUSTERS", "").strip():
        return cluster
    for path in filter(None, (os.environ.get("SLURM_CONF"), *SLURM_CONFS)):
        if found := cluster_name(Path(path)):
            return found
    return ""


def cluster_name(path: Path, depth: int = DEPTH) -> str:
    """``ClusterName`` in a slurm.conf, which includes others; '' if it is not there."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        if match := re.match(r"ClusterName\s*=\s*(\S+)", line, re.IGNORECASE):
            return match[1].lower()
        match = re.match(r"Include\s+(\S+)", line, re.IGNORECASE)
        if match and depth and (found := cluster_name(path.parent / match[1], depth - 1)):
            return found
    return ""
