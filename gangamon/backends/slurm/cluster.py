"""How to ask a cluster, and what it says of itself: from ``scontrol show config``."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass

from gangamon.backends.batch import myself
from gangamon.backends.command import Commands
from gangamon.backends.processes import is_this_host
from gangamon.backends.slurm import answers
from gangamon.errors import BackendUnreachable

#: Seconds for which an answer is believed: a configuration changes with a restart of slurmctld.
FRESH = 3600.0


@dataclass(frozen=True)
class Cluster:
    """``options``: of each command, to reach it. ``memory``: seconds for which it remembers ended
    jobs (MinJobAge; 0: for ever). ``accounting``: whether sacct can be asked. ``sees_all``:
    whether it shows us the jobs of every user (PrivateData)."""

    name: str
    options: tuple[str, ...]
    memory: float
    accounting: bool
    sees_all: bool


class Clusters:
    """The clusters that this process has asked, by the endpoint of their lanes."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, Cluster]] = {}
        self._lock = threading.Lock()

    def get(self, endpoint: str, commands: Commands) -> Cluster:
        """The cluster of an endpoint: of that name, or the one that this host's commands ask by
        themselves where the endpoint is this host. Raises BackendUnreachable."""
        with self._lock:
            read_at, known = self._known.get(endpoint, (0.0, None))
        if known is not None and time.monotonic() - read_at < FRESH:
            return known
        found = _read(commands, ())
        wanted = endpoint.lower()  # as Slurm has names of clusters
        if wanted not in (found.name, "localhost") and not is_this_host(endpoint):
            # To be reached by its name it must be in the accounting database of this one.
            found = _read(commands, ("-M", endpoint))
            if found.name != wanted:
                raise BackendUnreachable(
                    f"the cluster {endpoint!r} was asked for, {found.name!r} answered"
                )
        with self._lock:
            self._known[endpoint] = (time.monotonic(), found)
        return found


def _read(commands: Commands, options: tuple[str, ...]) -> Cluster:
    found = answers.config(commands.run("scontrol", *options, "show", "config"))
    name, age = found.get("ClusterName", ""), found.get("MinJobAge", "").split(" ")[0]
    if not name or not age.isdecimal():
        raise BackendUnreachable(
            f"scontrol show config: ClusterName {name!r}, MinJobAge {age!r}: not readable"
        )
    private = found.get("PrivateData", "").split(",")
    store = found.get("AccountingStorageType", "")
    return Cluster(
        name.lower(),
        options,
        float(age),
        accounting=bool(store) and not store.endswith("/none"),
        sees_all=not {"jobs", "all"}.intersection(private) or _administers(found),
    )


def _administers(found: dict[str, str]) -> bool:
    user = found.get("SlurmUser", "").partition("(")[0]
    return os.geteuid() == 0 or user == myself()
