"""The job event log (user log): what has become of each job of a file, read as it grows.

The format is that of "Job Event Log Codes" in the manual: events that begin with
``005 (012.003.000) 2026-11-23 11:37:54 Job terminated.`` and end with a line ``...``. Times are
those of the schedd's host, without a zone; only that of ``Job terminated of its own accord at`` is
UTC.
Logs in XML or JSON (``log_xml``) say nothing here: their jobs are known from the queue.
"""

from __future__ import annotations

import calendar
import os
import re
import stat
import threading
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from gangamon.backends.condor import states
from gangamon.backends.condor.ads import JobId

#: Bytes that are read of a log at a time, and the longest event: what is longer is no log.
_CHUNK, _LONGEST = 1 << 20, 4 << 20

#: Logs that are remembered: one for each job, with Ganga.
_LOGS = 50_000

#: What logs are called that were moved away for new ones, the latest first.
ROTATED = (".old", ".1")

_HEAD = re.compile(
    rb"(\d{3}) \((\d{1,9})\.(\d{1,9})\.\d+\) "
    rb"(?:(\d{4})-(\d\d)-(\d\d)[ T]|\d\d/\d\d )(\d\d):(\d\d):(\d\d)(?:\.\d+)?(Z?) "
)
_END = re.compile(rb"at (\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z with ")
_CODE = re.compile(rb"\(1\) Normal termination \(return value (-?\d{1,10})\)")
_SIGNAL = re.compile(rb"\(0\) Abnormal termination \(signal (\d{1,4})\)")
_CPU = re.compile(rb"\tUsr (\d{1,6}) (\d\d):(\d\d):(\d\d), Sys [^\n]{1,40} -  Total Remote Usage")
_MEMORY = re.compile(rb"\n\t *Memory \(MB\) +: +(\d{1,9}) ")
_SLOT = re.compile(rb"\n\tSlotName: (\S{1,255})")

SUBMIT, EXECUTE, EVICTED, TERMINATED, SHADOW, ABORTED = (
    b"000",
    b"001",
    b"004",
    b"005",
    b"007",
    b"009",
)
SUSPENDED, UNSUSPENDED, HELD, RELEASED = b"010", b"011", b"012", b"013"
DISCONNECTED, RECONNECTED, LOST = b"022", b"023", b"024"

#: Event -> JobStatus after it. Others change none.
_AFTER = {
    EXECUTE: states.RUNNING,
    EVICTED: states.IDLE,
    SHADOW: states.IDLE,
    LOST: states.IDLE,
    SUSPENDED: 7,
    UNSUSPENDED: states.RUNNING,
    DISCONNECTED: states.RUNNING,
    RECONNECTED: states.RUNNING,
    HELD: states.HELD,
    RELEASED: states.IDLE,
}


@dataclass(frozen=True)
class Story:
    """What a log tells of a job. ``state``: its JobStatus by the last event. ``starts``: how often
    it was started. ``code``, ``signal``: of a completed one, one of them. ``began``, ``ended``:
    seconds since the epoch, None where the log does not tell their zone. ``cpu``: user time of all
    its runs, seconds, and ``memory``, MiB, of one that has ended."""

    state: int = states.IDLE
    starts: int = 0
    host: str = ""
    reason: str = ""
    code: int | None = None
    signal: int | None = None
    began: float | None = None
    ended: float | None = None
    cpu: float | None = None
    memory: float | None = None
    _began: float | None = field(default=None, repr=False)

    @property
    def over(self) -> bool:
        return self.state in (states.COMPLETED, states.REMOVED)


class _Event(NamedTuple):
    job: JobId
    code: bytes
    #: As if it were UTC.
    at: float | None
    zulu: bool
    text: bytes


def follow(stories: dict[JobId, Story], text: bytes) -> int:
    """Take in all whole events of a piece of a log; how many bytes they were."""
    done = 0
    while (end := text.find(b"\n...\n", done)) >= 0:
        if event := _event(text[done : end + 1]):
            stories[event.job] = _next(stories.get(event.job, Story()), event)
        done = end + 5
    return done


def _event(text: bytes) -> _Event | None:
    head = _HEAD.match(text)
    if head is None:
        return None
    code, cluster, proc, *moment, zulu = head.groups()
    at = _seconds(moment) if moment[0] else None
    return _Event(JobId(int(cluster), int(proc)), code, at, bool(zulu), text[head.end() :])


def _next(story: Story, event: _Event) -> Story:
    if event.code == SUBMIT:
        return Story()  # also where the number is given anew
    if story.over:
        return story
    if event.code == TERMINATED:
        return _terminated(story, event)
    if event.code == ABORTED:
        ended = event.at if event.zulu else None
        return replace(story, state=states.REMOVED, reason=_reason(event.text), ended=ended)
    after = _AFTER.get(event.code)
    if after is None:
        return story
    if event.code == EXECUTE:
        slot = _SLOT.search(event.text)
        return replace(
            story,
            state=after,
            starts=story.starts + 1,
            host=slot[1].decode("utf-8", "replace") if slot else "",
            reason="",
            began=event.at if event.zulu else None,
            _began=event.at,
        )
    if event.code == HELD:
        return replace(story, state=after, reason=_reason(event.text))
    if story.state == states.HELD and event.code != RELEASED:
        return story  # its eviction may be written after the hold
    if after == states.RUNNING and not story.starts:
        return story
    if event.code == DISCONNECTED:
        return replace(story, state=after, reason=states.DISCONNECTED)
    return replace(story, state=after, reason="")


def _terminated(story: Story, event: _Event) -> Story:
    code, signal = _CODE.search(event.text), _SIGNAL.search(event.text)
    if (code is None) == (signal is None):
        return story  # it does not say how
    cpu, memory = _CPU.search(event.text), _MEMORY.search(event.text)
    days, hours, minutes, secs = map(int, cpu.groups()) if cpu else (0, 0, 0, 0)
    ended = event.at if event.zulu else None
    began = story.began
    if (own := _END.search(event.text)) is not None:
        ended = _seconds(own.groups())
        if ended is not None and event.at is not None and story._began is not None:
            # The zone of the times in the log: whole quarters of an hour.
            zone = 900 * round((ended - event.at) / 900)
            began = story._began + zone
    return replace(
        story,
        state=states.COMPLETED,
        code=int(code[1]) if code else None,
        signal=int(signal[1]) if signal else None,
        began=began,
        ended=ended,
        cpu=float(((days * 24 + hours) * 60 + minutes) * 60 + secs) if cpu else None,
        memory=float(memory[1]) if memory else None,
    )


def _reason(text: bytes) -> str:
    """The lines below the first, without the code of a hold."""
    lines = text.decode("utf-8", "replace").split("\n")[1:]
    told = [" ".join(line.split()) for line in lines]
    return "; ".join(t for t in told if t and not re.fullmatch(r"Code \d+ Subcode -?\d+", t))[:500]


def _seconds(moment: object) -> float | None:
    assert isinstance(moment, (list, tuple))
    year, month, day, hour, minute, second = map(int, moment)
    if not (1970 <= year < 3000 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24):
        return None
    return float(calendar.timegm((year, month, day, hour, minute, second)))


@dataclass
class _Log:
    """A file as far as it was read."""

    inode: int = -1
    offset: int = 0
    size: int = -1
    stories: dict[JobId, Story] = field(default_factory=dict)


class Logs:
    """The logs that this process reads, each from where it last came to. Safe in threads."""

    def __init__(self) -> None:
        self._logs: dict[str, _Log] = {}
        self._lock = threading.Lock()

    def story(self, path: str, job: JobId) -> Story | None:
        """What the log tells of a job; None: nothing, or it cannot be read."""
        with self._lock:
            log = self._logs.get(path)
            if log is None:
                while len(self._logs) >= _LOGS:
                    del self._logs[next(iter(self._logs))]
                log = self._logs[path] = _Log()
            try:
                self._read(path, log)
            except OSError:
                return None  # the queue is asked
            return log.stories.get(job)

    def _read(self, path: str, log: _Log) -> None:
        # Opened, for NFS looks at the server then; not to hang on a pipe of that name.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                return
            if facts.st_ino != log.inode or facts.st_size < log.offset:
                if facts.st_ino != log.inode and (log.inode != -1 or _goes_on(descriptor)):
                    self._before(path, log)
                log.inode, log.offset, log.size = facts.st_ino, 0, -1
            if facts.st_size != log.size:
                log.offset = _follow(descriptor, log.offset, log.stories)
                log.size = facts.st_size
        finally:
            os.close(descriptor)

    def _before(self, path: str, log: _Log) -> None:
        """The rest of the log that was moved away for this one, or all of it where it was never
        read."""
        for name in ROTATED:
            try:
                descriptor = os.open(path + name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                facts = os.fstat(descriptor)
                if stat.S_ISREG(facts.st_mode) and log.inode in (-1, facts.st_ino):
                    _follow(descriptor, log.offset, log.stories)
                    return
            finally:
                os.close(descriptor)


def _goes_on(descriptor: int) -> bool:
    """Whether a log does not begin with a submission: another came before it."""
    start = os.pread(descriptor, 4, 0)
    return bool(start) and start[:3] != SUBMIT


def _follow(descriptor: int, offset: int, stories: dict[JobId, Story]) -> int:
    """Take in what is whole from ``offset`` on; where the next look begins."""
    pending = b""
    while len(pending) < _LONGEST and (
        piece := os.pread(descriptor, _CHUNK, offset + len(pending))
    ):
        pending += piece
        done = follow(stories, pending)
        offset, pending = offset + done, pending[done:]
    return offset
