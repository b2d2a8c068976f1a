"""When a job ran, by its backend: ``job.time``'s backend_running and backend_final."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any


def stamp(job: Any, update: Any) -> None:
    """To be called before the status changes: ``job.time.timenow`` then puts what the backend class
    itself reads (``getStateTime`` of Local, Batch and Condor; JobTime.py, Ganga 8.7.12) in its
    place. Others asked in Ganga's monitoring (DiracBase.py:998). Ganga's times are UTC, no zone.
    """
    for name, at in (("backend_running", update.started_at), ("backend_final", update.ended_at)):
        if at is not None:
            job.time.timestamps[name] = datetime.fromtimestamp(at, timezone.utc).replace(
                tzinfo=None
            )
