"""How a schedd is asked: by HTCondor's commands, or by its Python bindings where a host has no
commands.

The commands come first. They are of the same version as the pool's daemons and know its ways to
authenticate, which bindings from PyPI need not; a command is a process of its own, which is killed
where it hangs; and it takes 15 ms, where Python with the bindings takes ten times as long to start.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from importlib.util import find_spec
from itertools import pairwise

from gangamon.backends.command import Commands, Dialect
from gangamon.backends.condor import ads
from gangamon.backends.condor.ads import Ad, JobId
from gangamon.backends.processes import is_this_host
from gangamon.errors import BackendUnreachable, CredentialMissing

#: Runs of cluster numbers in one constraint: with more, clusters of others are asked for, too.
MOST_RUNS = 100

#: Jobs of one condor_history, which reads its files from the end until it has found so many.
CHUNK = 500

DIALECT = Dialect(
    # "AUTHENTICATE:1003:Failed to authenticate with any method": no token, ticket or proxy.
    faults=((re.compile(r"AUTHENTICATE:100[34]|Failed to authenticate", re.I), CredentialMissing),),
    despite=re.compile(r"Failed to fetch ads|Failed to connect|communication error", re.I),
    # Which schedd is asked is the lane's to say; and what the user has made of the commands.
    without=("_CONDOR_SCHEDD_HOST", "_condor_SCHEDD_HOST", "_CONDOR_Q_", "_condor_Q_"),
)


class Schedd:
    """``endpoint``: its name, or this host, whose configuration says which it is."""

    def __init__(self, endpoint: str, commands: Commands) -> None:
        local = endpoint == "localhost" or is_this_host(endpoint)
        self._name = "" if local else endpoint
        self._commands = commands

    def queue(self, clusters: Collection[int]) -> Mapping[JobId, Ad]:
        """All jobs of these clusters, and perhaps of others."""
        return ads.by_job(self._ask("QUEUE", of_clusters(clusters), ads.ATTRIBUTES))

    def factories(self, clusters: Collection[int]) -> Mapping[int | None, Ad]:
        """Those of the clusters that make their jobs bit by bit, by their numbers."""
        found = self._ask("FACTORIES", of_clusters(clusters), ads.FACTORY)
        return {ads.number(ad, "ClusterId"): ad for ad in found}

    def history(self, jobs: Iterable[JobId]) -> Mapping[JobId, Ad]:
        """What has left the queue."""
        found: dict[JobId, Ad] = {}
        wanted = sorted(set(jobs))
        for n in range(0, len(wanted), CHUNK):
            chunk = wanted[n : n + CHUNK]
            answer = self._ask("HISTORY", of_jobs(chunk), ads.ATTRIBUTES, len(chunk))
            found.update(ads.by_job(answer))
        return found

    def _ask(
        self, what: str, constraint: str, attributes: tuple[str, ...], match: int = 0
    ) -> list[dict[str, object]]:
        program = "condor_history" if what == "HISTORY" else "condor_q"
        if shutil.which(program):
            words = [program, *(("-name", self._name) if self._name else ())]
            words += {
                "QUEUE": ["-allusers"],
                "FACTORIES": ["-allusers", "-factory"],
                "HISTORY": ["-match", str(match)],
            }[what]
            words += ["-constraint", constraint, "-json", "-attributes", ",".join(attributes)]
        elif find_spec("htcondor2"):
            words = [sys.executable, "-m", "gangamon.backends.condor.bindings"]
            words += [what, self._name, constraint, str(match), *attributes]
        else:
            raise BackendUnreachable(
                f"no {program} in PATH, and no bindings (pip install gangamon[htcondor])"
            )
        return ads.read(self._commands.run(*words))


def of_clusters(clusters: Collection[int]) -> str:
    """A constraint. Ganga's own lacks parentheses, and finds jobs of other clusters
    (Condor.py:480, 8.7.12)."""
    runs: list[tuple[int, int]] = []
    for cluster in sorted(clusters):
        if runs and cluster <= runs[-1][1] + 1:
            runs[-1] = runs[-1][0], cluster
        else:
            runs.append((cluster, cluster))
    if len(runs) > MOST_RUNS:
        # The smallest gaps are filled.
        gaps = sorted(range(1, len(runs)), key=lambda n: runs[n][0] - runs[n - 1][1])
        cuts = sorted(gaps[len(runs) - MOST_RUNS :])
        edges = [0, *cuts, len(runs)]
        runs = [(runs[a][0], runs[b - 1][1]) for a, b in pairwise(edges)]
    terms = (
        f"(ClusterId == {first})"
        if first == last
        else f"(ClusterId >= {first} && ClusterId <= {last})"
        for first, last in runs
    )
    return f"({' || '.join(terms)})"


def of_jobs(jobs: Iterable[JobId]) -> str:
    """The same for single jobs."""
    clusters: dict[int, list[int]] = defaultdict(list)
    for job in jobs:
        clusters[job.cluster].append(job.proc)
    terms = (
        f"(ClusterId == {cluster} && ({' || '.join(f'ProcId == {proc}' for proc in procs)}))"
        for cluster, procs in clusters.items()
    )
    return f"({' || '.join(terms)})"
