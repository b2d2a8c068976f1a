"""Where the service has put a job's output files, as Ganga's ``put`` would have noted it."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import Any

from gangamon.adapter.handover import puts
from gangamon.adapter.show.verdicts import Verdict
from gangamon.domain.observation import Put


def verdicts_of(job: Any, found: Sequence[Put]) -> list[tuple[Any, Verdict]]:
    """For the ``put`` of each of its output files that the service has put."""
    return [(file, Verdict(True, put=put.files)) for file, put in _files(job, found)]


def failed(job: Any, found: Sequence[Put]) -> None:
    """Of a job that has failed for it: what is there, and why the rest is not. Ganga's hook for
    outputs is not called for it."""
    for file, put in _files(job, found):
        show(file, put.files)
        if put.reason:
            file.failureReason = put.reason


def _files(job: Any, found: Sequence[Put]) -> list[tuple[Any, Put]]:
    """Without those that are no such files any more: the user may have changed the list."""
    wanted = {put.number: put for put in found}
    if not wanted:
        return []
    return [
        (file, wanted[number])
        for number, file in enumerate(job.outputfiles)
        if number in wanted and puts.is_ours(file)
    ]


def show(file: Any, put: Sequence[tuple[str, str]]) -> None:
    """The fields that ``MassStorageFile.put`` sets (MassStorageFile.py:320, 8.7.12)."""
    if not file.containsWildcards():
        for _, location in put:
            if location not in file.locations:
                file.locations.append(location)
        return
    folder = os.path.dirname(os.path.join(file.getJobObject().outputdir, "_"))
    for name, location in put:
        one = copy.deepcopy(file)
        one.namePattern, one.localDir, one.compressed = name, folder, file.compressed
        one.locations = [location]
        file.subfiles.append(one)
