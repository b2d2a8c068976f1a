"""When a job ran: ``job.time``, of a job by its backend, of a master by its subjobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

#: Of a master these are the latest of its subjobs', all others the earliest; and these are its own
#: (JobTime.py:115-205, 8.7.12).
_LATEST, _OWN = ("backend_final", "final"), ("new", "submitting", "killed")


def stamp(job: Any, update: Any) -> None:
    """To be called before the status changes: ``job.time.timenow`` then puts what the backend class
    itself reads (``getStateTime`` of Local, Batch and Condor; JobTime.py, Ganga 8.7.12) in its
    place. Others asked in Ganga's monitoring (DiracBase.py:998). Ganga's times are UTC, no zone.
    """
    job.time.timestamps.update(_by_backend(update))


@contextmanager
def master_times(master: Any, subjobs: Any, updates: Mapping[int, Any]) -> Iterator[None]:
    """While a master's status changes: its times as Ganga rolls them up (JobTime.py:176-225,
    8.7.12), who loads each subjob for it: half a minute for 10,000 that are not in memory. Of
    those the backend's times are known, by ``updates``: sub -> its last.

    Nothing differs if all are loaded."""
    times, total = master.time, len(subjobs)
    if all(subjobs.loaded(sub) for sub in range(total)):
        yield
        return
    known = times.sj_statlist
    times.sj_statlist = []
    try:
        yield
    finally:
        times.sj_statlist = known
    found = defaultdict(list)
    for sub in range(total):
        here = {}
        if subjobs.loaded(sub):
            here = subjobs[sub].time.timestamps
        elif sub in updates:
            here = _by_backend(updates[sub])
        for name, at in here.items():
            if isinstance(at, datetime) and name not in _OWN:
                found[name].append(at)
    stamps = {name: max(ats) if name in _LATEST else min(ats) for name, ats in found.items()}
    if master.status in _FINAL:
        stamps["final"] = datetime.now(timezone.utc).replace(tzinfo=None)
    times.timestamps.update(stamps)


_FINAL = ("completed", "failed", "killed")


def _by_backend(update: Any) -> dict[str, datetime]:
    pairs = (("backend_running", update.started_at), ("backend_final", update.ended_at))
    return {
        name: datetime.fromtimestamp(at, timezone.utc).replace(tzinfo=None)
        for name, at in pairs
        if at is not None
    }
