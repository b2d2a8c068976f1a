"""Rows of DiracX's job search as observations. Whatever is in an answer, a job has an end only
where ``Status`` is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gangamon.backends.dirac import answers as dirac
from gangamon.domain.observation import Absent, Observation, Unreachable
from gangamon.grid.diracx import seconds

SOURCE = "DiracX"

#: The columns of JobDB that are asked for (diracx-db 0.7.0, sql/job/schema.py).
COLUMNS = (
    *("Status", "MinorStatus", "ApplicationStatus", "Site", "Owner", "VO"),
    *("StartExecTime", "EndExecTime", "RescheduleCounter"),
)


def states(
    rows: Sequence[Mapping[str, Any]], ids: Sequence[int], user: str, vo: str
) -> dict[int, Observation]:
    """``user`` and ``vo``: whose token it was, '' if it does not say. A job that is named twice,
    in two ways, is not believed."""
    found: dict[int, Mapping[str, Any]] = {}
    doubled = set()
    unreadable = False
    for row in rows:
        number = row.get("JobID")
        if not isinstance(number, int) or isinstance(number, bool):
            unreadable = True
        elif number in found and found[number] != row:
            doubled.add(number)
        else:
            found[number] = row
    missing: Observation = Absent(SOURCE)
    if unreadable:  # it may be that of any job
        missing = Unreachable("DiracX: an answer with a job without a number")
    answer: dict[int, Observation] = {}
    for number in ids:
        if number in doubled:
            answer[number] = Unreachable(f"DiracX: job {number} is named twice")
        elif number in found:
            answer[number] = _state(number, found[number], user, vo)
        else:
            answer[number] = missing
    return answer


def _state(number: int, row: Mapping[str, Any], user: str, vo: str) -> Observation:
    status = dirac.text(row, "Status")
    if not status:
        return Unreachable(f"DiracX: job {number}: unreadable: {str(row)[:200]}")
    whose = (dirac.text(row, "Owner"), dirac.text(row, "VO"))
    for theirs, ours in zip(whose, (user, vo), strict=True):
        if theirs and ours and theirs != ours:
            # Numbers begin anew where a DiracX is set up anew.
            return Unreachable(f"DiracX: job {number} is of {theirs}, and the token of {ours}")
    site = dirac.text(row, "Site")
    return dirac.seen(
        SOURCE,
        status,
        dirac.text(row, "MinorStatus"),
        dirac.text(row, "ApplicationStatus"),
        site="" if site in dirac.NOWHERE else site,
        started=seconds(row.get("StartExecTime")),
        ended=seconds(row.get("EndExecTime")),
        restarts=dirac.count(row.get("RescheduleCounter")),
        extra={"actualCE": site},
    )
