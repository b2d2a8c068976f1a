"""What condor_q and condor_history print with ``-json``, as ads by job."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from gangamon.errors import BackendUnreachable

Ad = Mapping[str, Any]

#: What is asked of each job. "Job ClassAd Attributes" in the manual says what they are.
ATTRIBUTES = (
    *("ClusterId", "ProcId", "JobStatus", "NumJobStarts", "Iwd", "HoldReason", "RemoveReason"),
    *("ExitBySignal", "ExitCode", "ExitSignal", "CompletionDate", "EnteredCurrentStatus"),
    *("JobCurrentStartDate", "RemoteHost", "LastRemoteHost", "RemoteUserCpu"),
    *("ResidentSetSize_RAW", "JobCurrentReconnectAttempt"),
)

#: Of a cluster that makes its jobs bit by bit (late materialization).
FACTORY = ("ClusterId", "JobMaterializeNextProcId", "TotalSubmitProcs", "Iwd")

_ID = re.compile(r"(\d{1,9})\.(\d{1,9})", re.ASCII)


class JobId(NamedTuple):
    """``cluster.proc``."""

    cluster: int
    proc: int

    @classmethod
    def parse(cls, text: str) -> JobId | None:
        """None: no id of HTCondor's."""
        match = _ID.fullmatch(text)
        return cls(int(match[1]), int(match[2])) if match else None


def read(text: str) -> list[dict[str, Any]]:
    """All ads of an answer. Where none matches, the commands print nothing at all, or an empty
    list. Raises BackendUnreachable where it is not what they print."""
    if not text.strip():
        return []
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BackendUnreachable(f"unreadable ads: {error}: {text[:200]!r}") from error
    if not isinstance(found, list) or not all(isinstance(ad, dict) for ad in found):
        raise BackendUnreachable(f"unreadable ads: no list of ads: {text[:200]!r}")
    return found


def by_job(found: list[dict[str, Any]]) -> dict[JobId, Ad]:
    """The first ad of each id: the history begins with the newest. Without those that have none."""
    jobs: dict[JobId, Ad] = {}
    for ad in found:
        cluster, proc = number(ad, "ClusterId"), number(ad, "ProcId")
        if cluster is not None and proc is not None:
            jobs.setdefault(JobId(cluster, proc), ad)
    return jobs


def number(ad: Ad, name: str) -> int | None:
    """A whole number from 0; None: it is not there, or is an expression."""
    value = ad.get(name)
    return value if type(value) is int and 0 <= value < 2**53 else None


def seconds(ad: Ad, name: str) -> float | None:
    """A duration; None: it is not there, or is none."""
    value = ad.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value < 2**53 else None  # so no NaN


def text(ad: Ad, name: str) -> str:
    """'' where it is not there. On one line: it is shown to people."""
    value = ad.get(name)
    return " ".join(value.split()) if isinstance(value, str) else ""
