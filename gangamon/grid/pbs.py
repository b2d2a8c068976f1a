"""Which PBS server this host's commands ask by default: from its files, for nothing is asked."""

from __future__ import annotations

import os
import re
from pathlib import Path

#: PBS Professional and OpenPBS (pbs.conf; PBS Professional Reference Guide, "The PBS Configuration
#: File"), unless PBS_CONF_FILE says where.
CONF = "/etc/pbs.conf"

#: Torque's, as built and as packaged (TORQUE Administrator Guide, "Server name configuration").
SERVER_NAMES = ("/var/spool/torque/server_name", "/var/lib/torque/server_name",
                "/etc/torque/server_name")  # fmt: skip


def server() -> str:
    """Its name; '' if none is known. PBS_DEFAULT of the environment stands above the files in both
    families (qstat(1B)), PBS_SERVER in PBS Professional."""
    for name in ("PBS_DEFAULT", "PBS_SERVER"):
        if found := os.environ.get(name, "").strip():
            return _first(found)
    if match := re.search(r"^\s*PBS_SERVER\s*=\s*(\S+)", _text(_conf()), re.M):
        return _first(match[1])
    for path in SERVER_NAMES:
        if lines := _text(path).split():
            return _first(lines[0])
    return ""


def _conf() -> str:
    return os.environ.get("PBS_CONF_FILE") or CONF


def _first(names: str) -> str:
    """Torque takes several, for a server that may fail over."""
    return names.split(",")[0].partition(":")[0]


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
