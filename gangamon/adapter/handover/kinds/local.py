"""Ganga's Local: the wrapper processes of a host."""

from __future__ import annotations

from typing import Any

from GangaCore.GPIDev.Base.Proxy import stripProxy
from GangaCore.Utility.Config import getConfig

from gangamon.adapter.handover.kinds.kind import Handed, Kind
from gangamon.adapter.watch.watched import Watched
from gangamon.domain.command import UNSPLIT
from gangamon.domain.observation import Scalar


def hand(watched: Watched, master: Any, job: Any, sub: int, attempt: int) -> Handed | None:
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
    # Of a submitted one the process id, if any, is that of an earlier attempt.
    return Handed("-1" if job.status == "submitted" else str(job.backend.id), extra)


def _plain(value: Any) -> Any:
    value = stripProxy(value)
    return value if isinstance(value, int) else list(value)


def _last(value: Any) -> int:
    plain = _plain(value)
    if isinstance(plain, list):
        return int(plain[-1]) if plain else -1
    return int(plain)


KIND = Kind(hand=hand)
