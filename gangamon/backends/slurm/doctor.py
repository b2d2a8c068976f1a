"""What `gangamon doctor backend Slurm` looks at."""

from __future__ import annotations

from collections.abc import Iterator

from gangamon.backends.batch import myself
from gangamon.backends.command import Commands
from gangamon.backends.examine import commands, fault
from gangamon.backends.slurm.cluster import Cluster, Clusters
from gangamon.domain.cadence import Cadence
from gangamon.errors import TransientError
from gangamon.protocols import FAIL, OK, WARN, Finding


def findings(
    ask: Commands, clusters: Clusters, endpoint: str, cadence: Cadence
) -> Iterator[Finding]:
    """Commands, version, cluster, memory of ended jobs, accounting, what this user may see."""
    found = list(commands(("squeue", "scontrol"), ("sacct",)))
    yield from found
    if any(finding.level == FAIL for finding in found):
        return
    try:
        yield Finding("version", OK, ask.run("squeue", "--version").strip())
        cluster = clusters.get(endpoint, ask)
    except TransientError as error:
        yield fault("cluster", error)
        return
    yield Finding("cluster", OK, cluster.name)
    yield _memory(cluster, cadence)
    yield _accounting(ask, cluster)
    yield _sight(cluster)


def _memory(cluster: Cluster, cadence: Cadence) -> Finding:
    if not cluster.memory:
        return Finding("memory", OK, "ended jobs are not forgotten (MinJobAge 0)")
    text = f"ended jobs are remembered for {cluster.memory:g} s (MinJobAge)"
    if cluster.memory < 2 * cadence.floor:
        fix = "then ends are known from the accounting or the wrapper's file; ask for a larger one"
        return Finding("memory", WARN, text, fix)
    return Finding("memory", OK, text)


def _accounting(ask: Commands, cluster: Cluster) -> Finding:
    if not cluster.accounting:
        text = "none: of a job that Slurm has forgotten only its wrapper's exit code is known"
        return Finding("accounting", WARN, text)
    try:
        ask.run("sacct", *cluster.options, "--noheader", "--parsable2", "--jobs", "1")
    except TransientError as error:
        return fault("accounting", error)
    return Finding("accounting", OK, "sacct answers")


def _sight(cluster: Cluster) -> Finding:
    who = myself() or "a user without a name"
    if cluster.sees_all:
        return Finding("credential", OK, f"asked as {who}, who sees the jobs of every user")
    text = f"asked as {who}, who sees no other user's jobs (PrivateData)"
    return Finding("credential", WARN, text, "a worker of each user, or one as Slurm's operator")
