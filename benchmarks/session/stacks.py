"""What held a call up, judged from the stacks of all threads while it lasted. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

#: Frames are (file, line, function), the innermost first.
Frame = tuple[str, int, str]

#: Where a thread stands that waits for a lock: `with` of a lock is no call, so it is the function
#: that has the `with` (8.7.12: Objects.py:132,262,279, Registry.py:138,176, SubJobXMLList.py:389),
#: or threading's own.
WAITING = frozenset({"get_decorator", "set_decorator", "const_lock", "acquire", "wait"})
WAITING_FILES = ("/Registry.py", "/SubJobXMLList.py", "/SessionLock.py")

CODE = "stands in gangamon code"
LOCK = "waits for a lock that gangamon holds"
OTHER_LOCK = "waits for a lock that Ganga holds"
UNKNOWN_LOCK = "waits, and nobody holds the locks that were looked at"
GIL = "no sample but the C one: the GIL was held throughout"
BESIDE = "runs, or waits for the GIL, beside gangamon's thread"
ALONE = "runs, or waits for the GIL or a core, and gangamon's threads sleep"
UNSEEN = "no sample"

#: The worst first: what a call with several samples counts as.
CLASSES = (CODE, LOCK, UNKNOWN_LOCK, OTHER_LOCK, GIL, BESIDE, ALONE, UNSEEN)

_THREAD = re.compile(r"(?:Current thread|Thread) 0x([0-9a-f]+)")
_FRAME = re.compile(r'  File "(.*)", line (\d+|\?\?\?) in (.*)')


@dataclass(frozen=True)
class Sample:
    """``threads``: thread id -> its frames; ``owners``: lock -> id of the thread that holds it,
    None: nobody."""

    threads: Mapping[int, Sequence[Frame]]
    owners: Mapping[str, int | None] = field(default_factory=dict)


def ours(frames: Sequence[Frame], package: str) -> bool:
    """Whether any frame is of a file below ``package`` (a directory, with its separator)."""
    return any(file.startswith(package) for file, _, _ in frames)


def waiting(frames: Sequence[Frame]) -> bool:
    return bool(frames) and (frames[0][2] in WAITING or frames[0][0].endswith(WAITING_FILES))


def sleeping(frames: Sequence[Frame]) -> bool:
    """Whether the innermost function is one that gives up the GIL to wait."""
    names = ("wait", "get", "select", "poll", "read", "recv", "readinto", "sleep", "_worker")
    return waiting(frames) or (bool(frames) and frames[0][2] in names)


def classify(sample: Sample, user: int, package: str) -> str:
    """One of CODE to ALONE. ``user``: the thread that made the call."""
    mine = sample.threads.get(user, ())
    if ours(mine, package):
        return CODE
    others = {t: f for t, f in sample.threads.items() if t != user and ours(f, package)}
    if waiting(mine):
        holders = {owner for owner in sample.owners.values() if owner not in (None, user)}
        if holders:
            return LOCK if holders & set(others) else OTHER_LOCK
        # A lock that does not say who holds it: it is held in the file where it is waited for.
        files = {file for frames in others.values() for file, _, _ in frames}
        return LOCK if mine[0][0] in files else UNKNOWN_LOCK
    return BESIDE if any(not sleeping(frames) for frames in others.values()) else ALONE


def worst(classes: Sequence[str]) -> str:
    return min(classes, key=CLASSES.index) if classes else UNSEEN


def from_dump(text: str) -> list[Sample]:
    """What ``faulthandler.dump_traceback_later`` has written: one sample for each time out."""
    found: list[Sample] = []
    for part in text.split("Timeout (")[1:]:
        threads: dict[int, list[Frame]] = {}
        frames: list[Frame] = []
        for line in part.splitlines():
            if head := _THREAD.match(line):
                frames = threads.setdefault(int(head[1], 16), [])
            elif frame := _FRAME.match(line):
                number = int(frame[2]) if frame[2].isdigit() else 0
                frames.append((frame[1], number, frame[3]))
        found.append(Sample(threads))
    return found


def owner(text: str) -> int | None:
    """The thread that holds a lock, from its ``repr``; None: nobody, or it does not say."""
    found = re.search(r"owner=(\d+)", text)
    return int(found[1]) or None if found else None
