"""From what a session left to figures."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import linear_regression
from typing import Any

from benchmarks import figures
from benchmarks.vs_ganga.sides import GANGAMON, INTERVAL, Played
from gangamon.client import Update
from gangamon.domain.status import FINAL, JobStatus

#: Polls that the backend's schedule must span for a pace that the polls' steps do not decide.
POLLS = 5


def measure(played: Played, rate: float) -> dict[str, Any]:
    """All figures of one session; times in seconds."""
    session = played.session
    shown = {int(sub): at for sub, at in session["shown"].items()}
    begun, submitted, ended = (session["cpu"][at] for at in ("begun", "submitted", "ended"))
    seconds = session["ended"] - session["t0"]
    found: dict[str, Any] = {
        "side": played.side,
        "subjobs": played.subjobs,
        "completed": len(shown),
        "master": session["status"],
        "seconds": seconds,
        "submit_s": session["submit_s"],
        "shown": lag(played.ended, shown, session["ended"]),
        "rate": rates(played.ended, shown, rate, session["ended"]),
        "cpu": {
            "submit": submitted["session"] - begun["session"],
            "session": ended["session"] - submitted["session"],
        },
        "memory_mb": session["memory"] / 2**20,
        "calls": {name: figures.summary(values) for name, values in session["calls"].items()},
        "asked": played.stats,
    }
    service = ended["service"] - begun["service"]
    found["cpu"]["watching"] = found["cpu"]["session"] + service
    if played.side == GANGAMON:
        found["cpu"]["service"] = service
        detected = first(played.updates, (JobStatus.COMPLETING, *FINAL))
        committed = first(played.updates, FINAL)
        found["detected"] = lag(played.ended, detected, session["ended"])
        found["committed"] = lag(played.ended, committed, session["ended"])
        found["committed_rate"] = rates(played.ended, committed, rate, session["ended"])
        found["component_lags"] = figures.summary(session["lags"])
    return found


def lag(ended: Mapping[int, float], seen: Mapping[int, float], now: float) -> dict[str, float]:
    """From the end at the backend until it was seen. For a job not seen until ``now`` the lag is
    that at least: ``censored`` counts them, and percentiles up to ``exact`` s are exact."""
    missing = [now - at for job, at in ended.items() if job not in seen]
    lags = [seen[job] - at for job, at in ended.items() if job in seen]
    summary = figures.summary(lags + missing)
    return {**summary, "censored": len(missing), **({"exact": min(missing)} if missing else {})}


def first(updates: Sequence[Update], statuses: Collection[JobStatus]) -> dict[int, float]:
    """When each subjob had one of these statuses, for the first time, in the update stream."""
    found: dict[int, float] = {}
    for update in updates:
        for job in update.jobs:
            if job.status in statuses:
                found.setdefault(job.sub, update.at)
    return found


def rates(
    ended: Mapping[int, float], seen: Mapping[int, float], rate: float, now: float
) -> dict[str, float]:
    """Jobs a second: ``while_ending``, as long as the backend ends jobs; ``to_end``, until the
    last was seen. ``pace``: jobs seen for each that the backend ended, by a straight line through
    the curve of ends; without the wait for the next poll, which the other two include."""
    if not ended:
        return {}
    begun, times = min(ended.values()), sorted(seen.values())
    span = len(ended) / rate
    until = times[-1] if len(times) == len(ended) else now
    found = {
        "while_ending": sum(at <= begun + span for at in times) / span,
        "to_end": len(times) / (until - begun),
    }
    if span >= POLLS * INTERVAL and len(times) > 1:
        found["pace"] = 1.0 / linear_regression(sorted(ended.values())[: len(times)], times).slope
    return found
