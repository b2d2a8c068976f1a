"""How the jobs of each of Ganga's backends are handed over: a module for each, by Ganga's name."""

from __future__ import annotations

from collections.abc import Mapping

from gangamon.adapter.handover.kinds import condor, dirac, local, remote, slurm
from gangamon.adapter.handover.kinds.kind import Kind

KINDS: Mapping[str, Kind] = {
    "Condor": condor.KIND,
    "Dirac": dirac.KIND,
    "Local": local.KIND,
    "Remote": remote.KIND,
    "Slurm": slurm.KIND,
}
