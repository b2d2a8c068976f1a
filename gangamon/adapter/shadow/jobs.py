"""What the session shows of its jobs, read so that nothing changes: no lock is taken, and a job is
loaded by Ganga's own code only, as Ganga's monitoring does it."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Iterator
from typing import Any

from GangaCore.GPIDev.Base.Proxy import stripProxy

from gangamon.adapter.watch.reader import Gone, Reader, postprocessors
from gangamon.adapter.watch.watched import ENDED
from gangamon.domain.command import UNSPLIT
from gangamon.domain.status import JobStatus

#: Subjobs read between two hand-overs of the GIL, and seconds of each.
SLICE, PAUSE = 200, 0.001

_KNOWN = {status.value: status for status in JobStatus} | {
    shown: JobStatus(status) for shown, status in ENDED.items()
}


def status_of(shown: str) -> JobStatus | None:
    """Ganga's status as gangamon calls it; None: one that no monitor sets (``new``)."""
    return _KNOWN.get(shown)


def load(reader: Reader, master: int) -> Any:
    """The job, loaded as Ganga loads it. Raises Gone."""
    job = reader.plain(master)
    try:
        job._loadObject()
    except Exception as error:
        raise Gone(str(error)) from error
    return job


def statuses(master: Any) -> Iterator[tuple[int, str]]:
    """(sub id, Ganga's status) of all subjobs, or of the job itself. Of what is not in memory by
    the index."""
    subjobs = stripProxy(master.subjobs)
    total = len(subjobs)
    if not total:
        yield UNSPLIT, str(master.status)
        return
    index = getattr(subjobs, "_subjobIndexData", None)
    for sub in range(total):
        if sub % SLICE == SLICE - 1:
            time.sleep(PAUSE)
        if index is not None and sub in index and not subjobs.isLoaded(sub):
            yield sub, str(index[sub]["status"])
        else:
            yield sub, str(stripProxy(subjobs[sub])._data["status"])


def job(master: Any, sub: int) -> Any:
    """A subjob, or the job itself."""
    return master if sub == UNSPLIT else stripProxy(master.subjobs[sub])


def may_fail(master: Any, sub: int) -> bool:
    """Whether Ganga itself may fail what the backend has completed: it has checkers, or output
    files that may be missing."""
    return any(hasattr(p, "check") for p in postprocessors(master)) or bool(
        len(stripProxy(job(master, sub).outputfiles))
    )


def held_elsewhere(reader: Reader) -> frozenset[int]:
    """The masters that other sessions have locked: they change them, and here they stand still.
    Ganga's files (SessionLock.py ``session_read``, 8.7.12) are read without its locks: one that is
    being written names nothing."""
    lock = reader.repository.sessionlock
    held: set[int] = set()
    try:
        names = os.listdir(lock.sdir)
    except OSError:
        return frozenset()
    for name in names:
        path = os.path.join(lock.sdir, name)
        if not name.endswith(f"{lock.name}.locks") or path == lock.fn:
            continue
        try:
            with open(path, "rb") as file:
                held.update(int(one) for one in pickle.load(file))
        except (OSError, EOFError, ValueError, TypeError, pickle.UnpicklingError):
            continue
    return frozenset(held)
