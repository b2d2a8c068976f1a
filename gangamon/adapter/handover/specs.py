"""What the service must know of a job: lane, native id, attempt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from GangaCore.GPIDev.Base.Proxy import getName
from GangaCore.Utility.util import hostname as ganga_hostname

from gangamon.adapter.handover import puts, storage_files
from gangamon.adapter.handover.kinds import KINDS, Kind
from gangamon.adapter.watch.reader import workspace
from gangamon.adapter.watch.watched import Watched
from gangamon.domain.command import JobSpec
from gangamon.domain.lane import NO_CREDENTIAL, Lane
from gangamon.domain.status import JobStatus
from gangamon.settings import hostname


def lane(watched: Watched, master: Any, first: Any) -> Lane:
    """``first``: one of its subjobs, or the job itself. A backend that has an attribute
    ``endpoint``, and not an empty one, names the endpoint by it, and the credential's file by
    ``credential``; a batch system may have a way of its own; else it is a host."""
    name = str(getName(master.backend))
    kind = KINDS.get(name, Kind())
    credential = str(getattr(first.backend, "credential", "") or "")
    if not credential and kind.credential:
        credential = kind.credential(first.backend)
    credential = credential or NO_CREDENTIAL
    for backend in (first.backend, master.backend):
        if endpoint := getattr(backend, "endpoint", ""):
            return Lane(name, str(endpoint), credential)
    if kind.endpoint:
        return Lane(name, kind.endpoint(first.backend) or hostname(), credential)
    host = str(getattr(first.backend, "actualCE", "") or getattr(master.backend, "actualCE", ""))
    # Ganga writes the full name of the host; a lane has the name that the workers know it by. A
    # host that cannot resolve itself is "localhost": another session's may be any node of a
    # shared home, and whose processes they are is then not to be judged.
    if not watched.here and host.partition(".")[0] == "localhost":
        return Lane(name, host, credential)
    return Lane(name, hostname() if host in ("", ganga_hostname()) else host, credential)


def job_spec(watched: Watched, master: Any, job: Any, sub: int, attempt: int) -> JobSpec | None:
    """None: the backend is not yet done with handing it over; look again."""
    kind = KINDS.get(str(getName(master.backend)), Kind())
    handed = kind.hand(watched, master, job, sub, attempt)
    if handed is None:
        return None
    extra = {**handed.extra, **storage_files.extra(job), **puts.extra(job)}
    return JobSpec(sub, attempt, JobStatus(job.status), handed.native_id, extra)


def head(watched: Watched, master: Any, total: int, lane: Lane) -> dict[str, Any]:
    """What every enqueue command says of the master. ``total``: its subjobs."""
    return {
        "master": watched.id,
        "total": total or 1,
        "name": str(master.name)[:255],
        "lane": lane,
        "workspace": workspace(master),
    }


def chunks(items: Sequence[JobSpec], size: int) -> list[tuple[JobSpec, ...]]:
    return [tuple(items[i : i + size]) for i in range(0, len(items), size)]
