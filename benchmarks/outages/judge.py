"""What was said of jobs, held against what their server has on record of them. Pure.

Times are seconds since the epoch, of one host: the server's, the service's and ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gangamon.domain.status import FINAL, RANK, JobStatus

#: Servers count whole seconds.
SLACK = 1.0

#: Intervals after a server's return in which everything has to be right.
BOUND = 2.0


@dataclass(frozen=True)
class Run:
    """One run of a job, as its server recorded it. ``started``: None for one that never began.
    ``ended``: infinite for one that goes on, by the server. ``status``: the end in Ganga's word;
    None for a run that goes on, or was no end (the server began anew). ``lost``: the server has
    lost whose it is, and will never tell its end."""

    started: float | None
    ended: float
    status: JobStatus | None
    lost: bool = False


@dataclass(frozen=True)
class Said:
    """One transition of a job in the update stream."""

    at: float
    status: JobStatus


@dataclass(frozen=True)
class Outage:
    """``begun``, ``back``: when. ``interval``: of the lane, in force when it began."""

    name: str
    begun: float
    back: float
    interval: float


def untruths(said: Mapping[str, Sequence[Said]], record: Mapping[str, Sequence[Run]]) -> list[str]:
    """One line for each thing that was said of a job and was not so when it was said. Only of
    ends: when a job that is being sent to its node has begun is a matter of words, see early."""
    return [
        f"{job}: said {one.status} at {one.at:.1f}, on record: {list(record.get(job, ()))}"
        for job, story in said.items()
        for one in story
        if not any(_bears_out(run, one) for run in record.get(job, ()))
    ]


def early(said: Mapping[str, Sequence[Said]], record: Mapping[str, Sequence[Run]]) -> float:
    """Seconds before its start on record when a job was first said to run; the most of all."""
    found = [0.0]
    for job, runs in record.items():
        begun = [run.started for run in runs if run.started is not None]
        told = [one.at for one in said.get(job, ()) if one.status is JobStatus.RUNNING]
        if begun and told:
            found.append(min(begun) - min(told))
    return max(found)


def unsaid(said: Mapping[str, Sequence[Said]], record: Mapping[str, Sequence[Run]]) -> list[str]:
    """Jobs whose end is on record, and whose last word is another, or no end."""
    found = []
    for job, runs in record.items():
        end, story = _end(runs), said.get(job, ())
        if end is not None and (not story or story[-1].status is not end.status):
            last = story[-1].status if story else None
            found.append(f"{job}: ended {end.status}, last said: {last}")
    return found


def going(record: Mapping[str, Sequence[Run]]) -> int:
    """Jobs that the server has no end of: nothing was shown of how they end."""
    return sum(_end(runs) is None for runs in record.values())


def lost(record: Mapping[str, Sequence[Run]]) -> int:
    """Jobs of which no end will ever come: there is nothing to wait for."""
    return sum(bool(runs) and runs[-1].lost for runs in record.values())


def settled(
    outage: Outage, said: Mapping[str, Sequence[Said]], record: Mapping[str, Sequence[Run]]
) -> float:
    """Seconds after the server was back until everything was right that had happened until then:
    who had ended by then has that status, who had begun is at least running, but for a run that the
    server gave up before it had to be seen (its job waits again). Infinite: never."""
    return max((at - outage.back for at, _ in _righted(outage, said, record)), default=0.0)


def last(
    outage: Outage, said: Mapping[str, Sequence[Said]], record: Mapping[str, Sequence[Run]]
) -> str:
    """The job that was right last of all, what was said of it, and its record; '' without any."""
    _, job = max(_righted(outage, said, record), default=(0.0, ""))
    if not job:
        return ""
    story = ", ".join(f"{one.status} at {one.at - outage.back:.1f}" for one in said.get(job, ()))
    return f"{job}: after the return {story}; on record: {list(record[job])}, {outage.back:.1f}"


def hidden(outage: Outage, record: Mapping[str, Sequence[Run]]) -> int:
    """Jobs that ended during the outage: without any it showed little."""
    ends = (_end(runs) for runs in record.values())
    return sum(end is not None and outage.begun <= end.ended <= outage.back for end in ends)


def _righted(
    outage: Outage, said: Mapping[str, Sequence[Said]], record: Mapping[str, Sequence[Run]]
) -> Iterator[tuple[float, str]]:
    """When each was right, and which."""
    for job, runs in record.items():
        story = said.get(job, ())
        end = _end(runs)
        if end is not None and end.ended <= outage.back:
            yield _first(one.at for one in story if one.status is end.status), job
        elif any(_in_force(run, outage) for run in runs):
            begun = RANK[JobStatus.RUNNING]
            yield _first(one.at for one in story if RANK[one.status] >= begun), job


def _in_force(run: Run, outage: Outage) -> bool:
    lasted = run.status is not None or run.ended > outage.back + BOUND * outage.interval
    return run.started is not None and run.started <= outage.back and lasted


def _first(times: Iterable[float]) -> float:
    return min(times, default=float("inf"))


def _end(runs: Sequence[Run]) -> Run | None:
    last = runs[-1] if runs else None
    return last if last is not None and last.status is not None else None


def _bears_out(run: Run, said: Said) -> bool:
    if said.status in FINAL:
        return run.status is said.status and said.at >= run.ended - SLACK
    if said.status is JobStatus.COMPLETING:
        return run.status in FINAL and said.at >= run.ended - SLACK
    if said.status is JobStatus.RUNNING:
        return run.started is not None
    return True
