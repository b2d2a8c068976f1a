"""HTCondor: known by cluster and process, and the directory of its submission."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from GangaCore.GPIDev.Base.Proxy import stripProxy

from gangamon.adapter.handover.condor_files import extra, schedd_host
from gangamon.adapter.handover.kinds.kind import Handed, Kind
from gangamon.adapter.watch.watched import Watched


def endpoint(backend: Any) -> str:
    """By the bindings with which Ganga has submitted the job: they are loaded."""
    module = import_module("GangaCore.Lib.Condor.Condor")  # its package has a class of that name
    bindings = getattr(module, "htcondor", None)
    return schedd_host(os.environ, lambda name: bindings and bindings.param.get(name))


def hand(watched: Watched, master: Any, job: Any, sub: int, attempt: int) -> Handed | None:
    """Ganga describes all jobs of a submission by the options of its master."""
    return Handed(str(job.backend.id), extra(dict(stripProxy(master.backend).cdf_options)))


KIND = Kind(endpoint=endpoint, hand=hand)
