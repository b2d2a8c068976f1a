"""Which jobs' statuses may change in this session, and what ``runMonitoring`` may be given."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from GangaCore.Core.exceptions import GangaTypeError
from GangaCore.GPIDev.Base.Proxy import stripProxy

_ACCEPTED = "a job, an id, a slice of jobs, or a list of jobs and ids"


class Following:
    """All master jobs, some of them, or none. For several threads."""

    def __init__(self) -> None:
        self._chosen: frozenset[int] | None = frozenset()
        self._lock = threading.Lock()

    def __contains__(self, master: int) -> bool:
        return self._chosen is None or master in self._chosen

    def __bool__(self) -> bool:
        return self._chosen is None or bool(self._chosen)

    @property
    def chosen(self) -> frozenset[int] | None:
        """None: all."""
        return self._chosen

    def everything(self) -> None:
        self._chosen = None

    def nothing(self) -> None:
        self._chosen = frozenset()

    def these(self, masters: Iterable[int]) -> None:
        """These, too; all stays all."""
        with self._lock:
            if self._chosen is not None:
                self._chosen |= frozenset(masters)

    def over(self, chosen: frozenset[int]) -> None:
        """All of these are over: nothing is followed any more, unless the user has said other."""
        with self._lock:
            if self._chosen == chosen:
                self._chosen = frozenset()


def masters(jobs: Any) -> set[int]:
    """The ids of the master jobs of what the user named. GangaTypeError says what is accepted."""
    if isinstance(jobs, int) and not isinstance(jobs, bool):
        return {jobs}
    raw = stripProxy(jobs)
    if hasattr(raw, "master") and hasattr(raw, "subjobs"):
        return {int(raw.id if raw.master is None else raw.master.id)}
    if hasattr(raw, "ids"):
        return _of_slice(raw)
    if isinstance(jobs, Iterable) and not isinstance(jobs, (str, bytes)):
        return set().union(*(masters(job) for job in jobs))
    raise GangaTypeError(f"runMonitoring: jobs: got {jobs!r}; accepted: {_ACCEPTED}")


def _of_slice(found: Any) -> set[int]:
    """Subjobs stand for their master; no job is loaded to find out."""
    ids = found.ids()
    parents = {getattr(stripProxy(found.objects[i]), "master", None) for i in list(ids)[:1]}
    return {int(parent.id) for parent in parents if parent is not None} or set(map(int, ids))
