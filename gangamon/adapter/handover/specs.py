"""What the service must know of a job: lane, native id, attempt, mergers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from GangaCore.GPIDev.Base.Proxy import getName, stripProxy
from GangaCore.Utility.Config import getConfig
from GangaCore.Utility.util import hostname as ganga_hostname

from gangamon.adapter.handover import endpoints
from gangamon.adapter.watch.reader import text_mergers
from gangamon.adapter.watch.watched import Watched
from gangamon.domain.command import UNSPLIT, JobSpec, MergerSpec
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Scalar
from gangamon.domain.status import JobStatus
from gangamon.settings import hostname


def lane(watched: Watched, master: Any, first: Any) -> Lane:
    """``first``: one of its subjobs, or the job itself. A backend that has an attribute
    ``endpoint``, and not an empty one, names the endpoint by it; a batch system may have a way of
    its own; else it is a host."""
    name = str(getName(master.backend))
    for backend in (first.backend, master.backend):
        if endpoint := getattr(backend, "endpoint", ""):
            return Lane(name, str(endpoint))
    if name in endpoints.BATCH:
        return Lane(name, endpoints.BATCH[name](first.backend) or hostname())
    host = str(getattr(first.backend, "actualCE", "") or getattr(master.backend, "actualCE", ""))
    # Ganga writes the full name of the host; a lane has the name that the workers know it by. A
    # host that cannot resolve itself is "localhost": another session's may be any node of a
    # shared home, and whose processes they are is then not to be judged.
    if not watched.here and host.partition(".")[0] == "localhost":
        return Lane(name, host)
    return Lane(name, hostname() if host in ("", ganga_hostname()) else host)


def merger_specs(master: Any) -> list[MergerSpec | None]:
    """One for each text merger, in Ganga's order; None: gangamon cannot run it, Ganga will."""
    return [_merger_spec(merger) for merger in text_mergers(master)]


def _merger_spec(merger: Any) -> MergerSpec | None:
    files = tuple(str(name) for name in merger.files)
    if any(not f or f.startswith("/") or ".." in f.split("/") for f in files):
        return None
    return MergerSpec(
        "TextMerger",
        files,
        ignorefailed=bool(merger.ignorefailed),
        overwrite=bool(merger.overwrite),
        compress=bool(merger.compress),
    )


def job_spec(watched: Watched, master: Any, job: Any, sub: int, attempt: int) -> JobSpec | None:
    """None: the backend is not yet done with handing it over; look again."""
    status = JobStatus(job.status)
    native, extra = str(job.backend.id), dict[str, Scalar]()
    if getName(master.backend) == "Local":
        found = _local(watched, master, job, sub, attempt)
        if found is None:
            return None
        extra.update(found)
        if status is JobStatus.SUBMITTED:
            native = "-1"  # the process id, if any, is that of an earlier attempt
    elif getName(master.backend) == "Slurm":
        extra.update(_slurm(job))
    return JobSpec(sub, attempt, status, native, extra)


def _local(
    watched: Watched, master: Any, job: Any, sub: int, attempt: int
) -> Mapping[str, Scalar] | None:
    """Local sets statuses to submitted *before* it starts the wrapper process, and keeps the
    wrappers of earlier attempts in a list: a wrapper that an earlier attempt was sent with is
    therefore not this attempt's."""
    own = sub == UNSPLIT or isinstance(_plain(job.backend.wrapper_pid), list)
    pid = _last(job.backend.wrapper_pid if own else master.backend.wrapper_pid)
    before = watched.pids.get(sub)
    stale = before is not None and before[0] < attempt and before[1] == pid
    if job.status == "submitted" and (pid <= 0 or stale):
        return None
    watched.pids[sub] = (attempt, pid)
    extra: dict[str, Scalar] = {"wrapper_pid": pid}
    if getConfig("Local")["remove_workdir"] and job.backend.workdir:
        extra["workdir"] = str(job.backend.workdir)
    return extra


def _slurm(job: Any) -> Mapping[str, Scalar]:
    """By the directory in which it is submitted a job is known from another with its number; unless
    the site, or the user, has it submitted elsewhere."""
    elsewhere = re.search(r"(^|\s)(-D|--chdir)", str(job.backend.extraopts or ""))
    stock = str(getConfig("Slurm")["submit_str"]).startswith("cd %s;")
    return {"submitted_in": "input"} if stock and not elsewhere else {}


def _plain(value: Any) -> Any:
    value = stripProxy(value)
    return value if isinstance(value, int) else list(value)


def _last(value: Any) -> int:
    plain = _plain(value)
    if isinstance(plain, list):
        return int(plain[-1]) if plain else -1
    return int(plain)


def chunks(items: Sequence[JobSpec], size: int) -> list[tuple[JobSpec, ...]]:
    return [tuple(items[i : i + size]) for i in range(0, len(items), size)]
