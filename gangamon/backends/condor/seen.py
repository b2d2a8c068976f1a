"""From ads and event logs to observations."""

from __future__ import annotations

import os
import re
import stat
import time
from dataclasses import dataclass

from gangamon.backends.condor import states
from gangamon.backends.condor.ads import Ad, number, seconds, text
from gangamon.backends.condor.eventlog import Story
from gangamon.domain.observation import Observation, Scalar, Seen, Unreachable
from gangamon.domain.status import JobStatus
from gangamon.protocols import PollItem

#: In ``extra``: names of the event log and, of Ganga's jobs, of the file with the wrapper's last
#: line, both in the output directory; the directory beside it in which the job was submitted.
LOG, WRAPPER, SUBMITTED_IN = "log", "wrapper_stdout", "submitted_in"

#: Seconds for which the wrapper's last line is waited for, as Ganga does (Condor.py:562, 8.7.12).
PATIENCE = 600.0

_LAST = re.compile(rb"Exit code: (\d{1,9})\s*\Z")


@dataclass(frozen=True)
class End:
    """How HTCondor says a job ended. ``code``, ``signal``: of one that it did not remove. ``cpu``:
    seconds, user time; ``memory``: the most, MiB."""

    source: str
    native: str
    removed: bool
    code: int | None
    signal: int | None
    reason: str
    host: str
    began: float | None
    ended: float | None
    restarts: int
    cpu: float | None
    memory: float | None


def beside(item: PollItem, which: str) -> str:
    """The path of a file of the output directory that ``extra`` names; '' if it names none."""
    name = item.extra.get(which)
    plain = isinstance(name, str) and name not in ("", ".", "..") and "/" not in name
    return os.path.join(item.output, str(name)) if plain else ""


def restarts(starts: int, known: int) -> int:
    """How often a job that runs, or ran to its end, was started over, from how often it was
    started: that number may be one behind while it runs (the shadow tells it a quarter of an hour
    later, or at the end). ``known``: what was seen before."""
    return max(starts - 1, min(known, starts), 0)


def from_ad(item: PollItem, ad: Ad, source: str, queued: bool) -> Observation:
    """``queued``: from the queue; else from the history, where everything is over."""
    code = ad.get("JobStatus")
    if type(code) is not int or (not queued and code not in (states.COMPLETED, states.REMOVED)):
        return Unreachable(f"{source}: JobStatus {code!r}")
    starts = number(ad, "NumJobStarts") or 0
    if code == states.COMPLETED or not queued:
        return _over(item, _end(item, ad, source, starts))
    status = states.QUEUED.get(code)
    native = states.NAMES.get(code, str(code))
    running = status is JobStatus.RUNNING
    why = text(ad, "HoldReason") if code == states.HELD else ""
    # It is there during the attempts only.
    if running and number(ad, "JobCurrentReconnectAttempt"):
        why = states.DISCONNECTED
    host = _host(ad) if running else ""
    waits = code in (0, states.IDLE, states.HELD)
    return Seen(
        f"{native}: {why}"[:300] if why else native,
        status,
        source,
        site=_machine(host),
        started_at=number(ad, "JobCurrentStartDate") if running else None,
        reason=why,
        # What waits after n starts will be started over for the n-th time.
        restarts=starts if waits else restarts(starts, item.restarts),
        attributes=_attributes(native, host, seconds(ad, "RemoteUserCpu")),
    )


def _host(ad: Ad) -> str:
    """The slot in which it runs, or ran last."""
    return text(ad, "RemoteHost") or text(ad, "LastRemoteHost")


def _end(item: PollItem, ad: Ad, source: str, starts: int) -> End:
    removed = ad.get("JobStatus") == states.REMOVED
    by_signal = ad.get("ExitBySignal") is True
    code, signal = ad.get("ExitCode"), number(ad, "ExitSignal")
    known = type(code) is int and -(2**31) <= code < 2**32 and not by_signal
    resident = number(ad, "ResidentSetSize_RAW")
    ended = number(ad, "CompletionDate") or number(ad, "EnteredCurrentStatus")
    began = number(ad, "JobCurrentStartDate")
    began = began if began and ended and began <= ended else None
    return End(
        source,
        states.NAMES[states.REMOVED if removed else states.COMPLETED],
        removed,
        code if known else None,
        signal if by_signal else None,
        text(ad, "RemoveReason"),
        _host(ad),
        float(began) if began else None,
        float(ended) if ended else None,
        # Starts that were cut short are not all counted; there is one record of a job's end.
        max(starts - 1, item.restarts),
        seconds(ad, "RemoteUserCpu"),
        resident / 1024 if resident else None,
    )


def from_story(item: PollItem, story: Story) -> Observation:
    """What the event log tells."""
    if story.over:
        end = End(
            "event log",
            states.NAMES[story.state],
            story.state == states.REMOVED,
            story.code,
            story.signal,
            story.reason,
            story.host,
            story.began if story.ended else None,
            story.ended,
            restarts(story.starts, item.restarts),
            story.cpu,
            story.memory,
        )
        return _over(item, end)
    native, status = states.NAMES[story.state], states.QUEUED[story.state]
    running = status is JobStatus.RUNNING
    return Seen(
        f"{native}: {story.reason}"[:300] if story.reason else native,
        status,
        "event log",
        site=_machine(story.host) if running else "",
        started_at=story.began if running else None,
        reason=story.reason,
        restarts=restarts(story.starts, item.restarts) if running else story.starts,
        attributes=_attributes(native, story.host if running else "", None),
    )


def unmaterialized(item: PollItem) -> Seen:
    """Its cluster will make it later."""
    return Seen("Unmaterialized", JobStatus.SUBMITTED, "condor_q", restarts=item.restarts,
                attributes={"status": "Unmaterialized"})  # fmt: skip


def _over(item: PollItem, end: End) -> Observation:
    code, signal = end.code, end.signal
    if end.removed:
        rule = states.by_rule(end.reason)
        status = JobStatus.FAILED if rule else JobStatus.KILLED
        why = f"removed from the queue: {end.reason or 'no reason is given'}"
        return _final(end, status, None, why + (_used(end) if rule else ""))
    if code is None and signal is None:
        return Unreachable(f"{end.source}: it ended, but not how")
    if code == 0 and WRAPPER in item.extra:
        status_ = _last_line(beside(item, WRAPPER))
        if status_ is None:
            if time.time() - (end.ended or 0.0) < PATIENCE:
                return Unreachable("it ended; the last line of Ganga's wrapper is yet to come")
            why = "HTCondor's exit code is 0, but Ganga's wrapper did not write how the job ended"
            return _final(end, JobStatus.FAILED, None, why)
        # As os.system gives it (Condor.py:388, 8.7.12).
        signal, code = (status_ & 0x7F) or None, status_ >> 8
    if signal is not None:
        why = f"the job was ended by signal {signal}"
        return _final(end, JobStatus.FAILED, None, why + _used(end))
    if code:
        why = f"the job ended with exit code {code}"
        return _final(end, JobStatus.FAILED, code, why + _used(end))
    return _final(end, JobStatus.COMPLETED, 0, "")


def _final(end: End, status: JobStatus, code: int | None, why: str) -> Seen:
    return Seen(
        end.native,
        status,
        end.source,
        site=_machine(end.host),
        started_at=end.began,
        ended_at=end.ended,
        exit_code=code,
        reason=why,
        restarts=end.restarts,
        attributes=_attributes(end.native, end.host, end.cpu),
    )


def _attributes(status: str, host: str, cpu: float | None) -> dict[str, Scalar]:
    """As Ganga fills them (Condor.py:516)."""
    found: dict[str, Scalar] = {"status": status}
    if host:
        found["actualCE"] = host
    if cpu:
        found["cputime"] = cpu
    return found


def _used(end: End) -> str:
    """What a failed job used: often the reason behind the reason."""
    parts = [f"{end.cpu:.0f} s of CPU"] if end.cpu is not None else []
    parts += [f"at most {end.memory:.0f} MiB"] if end.memory else []
    return f"; used {', '.join(parts)}" if parts else ""


def _machine(host: str) -> str:
    """Of ``slot1_2@node``: the node."""
    return host.rpartition("@")[2]


def _last_line(path: str) -> int | None:
    """The wait status that Ganga's wrapper prints last; None: it is not there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            return None
        found = _LAST.search(os.pread(descriptor, 256, max(0, facts.st_size - 256)))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return int(found[1]) if found else None
