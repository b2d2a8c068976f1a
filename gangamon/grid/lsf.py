"""Which LSF cluster this host's commands ask: from its files, for nothing is asked."""

from __future__ import annotations

import os
from pathlib import Path

#: Where lsf.conf is unless LSF_ENVDIR says where (lsf.conf(5)).
DEFAULT = "/etc"


def cluster() -> str:
    """Its name, which the file ``lsf.cluster.NAME`` beside lsf.conf has; '' if there is none, or
    several."""
    folder = Path(os.environ.get("LSF_ENVDIR") or DEFAULT)
    prefix = "lsf.cluster."
    try:
        names = {path.name[len(prefix) :] for path in folder.glob(f"{prefix}*")}
    except OSError:
        return ""
    names = {name for name in names if name and not name.endswith(("~", ".bak", ".orig"))}
    return names.pop() if len(names) == 1 else ""
