"""What the user may call jobs by: objects, ids, texts, slices, lists of these."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from GangaCore.Core.exceptions import GangaTypeError
from GangaCore.GPIDev.Base.Proxy import stripProxy

_ACCEPTED = 'a job, an id, a slice of jobs, a text like "42" or "42.7", or a list of these'
_TEXT = re.compile(r"(\d+)(?:\.(\d+))?", re.ASCII)


def named(jobs: Any, asked: str) -> list[tuple[int, int | None]]:
    """(master's id, subjob's id or None) of each job that the user named; no job is loaded to find
    out. GangaTypeError, which begins with ``asked``, says what is accepted."""
    if isinstance(jobs, int) and not isinstance(jobs, bool) and jobs >= 0:
        return [(jobs, None)]
    if isinstance(jobs, str) and (match := _TEXT.fullmatch(jobs)):
        return [(int(match[1]), None if match[2] is None else int(match[2]))]
    raw = stripProxy(jobs)
    if hasattr(raw, "master") and hasattr(raw, "subjobs"):
        master = raw.master
        return [(int(raw.id), None) if master is None else (int(master.id), int(raw.id))]
    if hasattr(raw, "ids"):
        return _of_slice(raw)
    if isinstance(jobs, Iterable) and not isinstance(jobs, (str, bytes)):
        return [found for job in jobs for found in named(job, asked)]
    raise GangaTypeError(f"{asked}: jobs: got {jobs!r}; accepted: {_ACCEPTED}")


def _of_slice(found: Any) -> list[tuple[int, int | None]]:
    ids = [int(id_) for id_ in found.ids()]
    parents = [getattr(stripProxy(found.objects[i]), "master", None) for i in ids[:1]]
    if parents and parents[0] is not None:
        return [(int(parents[0].id), sub) for sub in ids]
    return [(id_, None) for id_ in ids]
