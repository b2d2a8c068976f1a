"""What the program in DIRAC's environment answers (grid/dirac/program.py), as observations.

Whatever is in an answer, a job is Absent only where a well-formed one does not name it, and has an
end only where ``status`` is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gangamon.backends.dirac import states as table
from gangamon.domain.observation import Absent, Observation, Scalar, Seen, Unreachable
from gangamon.domain.status import FINAL, JobStatus
from gangamon.errors import BackendUnreachable

MONITORING, LOGGING = "JobMonitoring", "JobLoggingDB"

#: What DIRAC has for the site of a job that is nowhere yet.
NOWHERE = frozenset({"ANY", "Multiple", "Unknown", "None"})


def states(answer: Mapping[str, Any], ids: Sequence[int]) -> dict[int, Observation]:
    """Of ``states``. Raises BackendUnreachable for what is no answer."""
    jobs, user = _mapping(answer, "jobs"), answer.get("user")
    return {number: _state(jobs.get(str(number)), str(number), user) for number in ids}


def stories(answer: Mapping[str, Any], ids: Sequence[int]) -> dict[int, Observation]:
    """Of ``stories``. Raises BackendUnreachable for what is no answer."""
    found, untold = _mapping(answer, "stories"), answer.get("untold")
    why = untold if isinstance(untold, dict) else {}
    return {
        number: Unreachable(f"DIRAC: job {number}: {str(why[str(number)])[:200]}")
        if str(number) in why
        else _story(found.get(str(number)), str(number))
        for number in ids
    }


def _mapping(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = answer.get(name)
    if not isinstance(found, dict):
        raise BackendUnreachable(f"DIRAC: an answer without {name}: {str(answer)[:200]}")
    return found


def _state(job: Any, number: str, user: object) -> Observation:
    if job is None:
        return Absent(MONITORING)
    if not isinstance(job, dict) or not text(job, "status"):
        return Unreachable(f"DIRAC: job {number}: unreadable: {str(job)[:200]}")
    owner = text(job, "owner")
    if owner and isinstance(user, str) and user and owner != user:
        # Numbers begin anew where a DIRAC is set up anew.
        return Unreachable(f"DIRAC: job {number} is of {owner}, and the proxy of {user}")
    site = text(job, "site")
    extra: dict[str, Scalar] = {"normCPUTime": cpu} if (cpu := text(job, "cpu")) else {}
    return seen(
        MONITORING,
        text(job, "status"),
        text(job, "minor"),
        text(job, "application"),
        site="" if site in NOWHERE else site,
        started=_seconds(job.get("started")),
        ended=_seconds(job.get("ended")),
        restarts=count(job.get("restarts")),
        extra={"actualCE": site, **extra},
    )


def _story(records: Any, number: str) -> Observation:
    """The last record. That it was started over is not told from it: JobDB counts that."""
    if records == []:
        return Absent(LOGGING, second=True)
    try:
        (status, minor, application, _), times = records[-1], [r[3] for r in records]
        begun = [_seconds(r[3]) for r in records if r[0] == "Running"]
        words = [status, minor, application]
        if not status or not all(isinstance(word, str) for word in words):
            raise ValueError
    except (TypeError, ValueError, IndexError, KeyError):
        return Unreachable(f"DIRAC: job {number}: its story is unreadable, or was not told")
    return seen(
        LOGGING,
        status,
        minor,
        application,
        started=begun[-1] if begun else None,
        ended=_seconds(times[-1]),
    )


def seen(
    source: str,
    status: str,
    minor: str,
    application: str,
    site: str = "",
    started: float | None = None,
    ended: float | None = None,
    restarts: int = 0,
    extra: Mapping[str, Scalar] | None = None,
) -> Seen:
    """A job of DIRAC or DiracX, by its states. Times: seconds since the epoch."""
    means = table.meaning(status, minor)
    over = means in FINAL
    if started is not None and ended is not None and started > ended:
        started = None  # of a run after the one that ended
    code = table.exit_code(application) if over else None
    shown = dict(table.attributes(status, minor, application, site))
    if not site:
        del shown["actualCE"]
    return Seen(
        status,
        means,
        source,
        site=site,
        started_at=started,
        ended_at=ended if over else None,
        # A job that DIRAC calls Done has ended well, whatever its application last said.
        exit_code=None if means is JobStatus.COMPLETED else code,
        reason=table.why(status, minor, application),
        restarts=restarts,
        attributes={**shown, **(extra or {})},
    )


def text(job: Mapping[str, Any], name: str) -> str:
    """'' for what is none."""
    found = job.get(name)
    return found if isinstance(found, str) else ""


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e11:
        return None
    return float(value)


def count(value: object) -> int:
    """0 for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
