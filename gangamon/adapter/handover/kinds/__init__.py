"""How the jobs of each of Ganga's backends are handed over: a module for each, by Ganga's name."""

from __future__ import annotations

from collections.abc import Mapping

from gangamon.adapter.handover.kinds import (
    arc,
    condor,
    dirac,
    diracx,
    local,
    lsf,
    pbs,
    remote,
    sge,
    slurm,
)
from gangamon.adapter.handover.kinds.kind import Kind

KINDS: Mapping[str, Kind] = {
    "ARC": arc.KIND,
    "Condor": condor.KIND,
    "Dirac": dirac.KIND,
    "DiracX": diracx.KIND,
    "LSF": lsf.KIND,
    "Local": local.KIND,
    "PBS": pbs.KIND,
    "Remote": remote.KIND,
    "SGE": sge.KIND,
    "Slurm": slurm.KIND,
}
