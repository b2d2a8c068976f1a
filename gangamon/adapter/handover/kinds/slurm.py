"""Slurm: known by sbatch's number and the directory of its submission."""

from __future__ import annotations

import re
from typing import Any

from GangaCore.Utility.Config import getConfig

from gangamon.adapter.handover.kinds.kind import Handed, Kind
from gangamon.adapter.handover.slurm_conf import endpoint
from gangamon.adapter.watch.watched import Watched


def hand(watched: Watched, master: Any, job: Any, sub: int, attempt: int) -> Handed | None:
    """By the directory in which it is submitted a job is known from another with its number; unless
    the site, or the user, has it submitted elsewhere."""
    elsewhere = re.search(r"(^|\s)(-D|--chdir)", str(job.backend.extraopts or ""))
    stock = str(getConfig("Slurm")["submit_str"]).startswith("cd %s;")
    submitted = {"submitted_in": "input"} if stock and not elsewhere else {}
    return Handed(str(job.backend.id), submitted)


KIND = Kind(endpoint=endpoint, hand=hand)
