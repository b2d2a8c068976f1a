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
BESIDE = "runs, or waits for the GIL, beside gangamon's thread"
ALONE = "runs, or waits for the GIL or a core, and gangamon's threads sleep"
HELD = "not seen: C code held the GIL throughout"
STARVED = "not seen: the process had no core"

#: The worst first: what a call with several samples counts as.
CLASSES = (CODE, LOCK, HELD, UNKNOWN_LOCK, OTHER_LOCK, BESIDE, ALONE, STARVED)


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


def worst(classes: Sequence[str], cores: float) -> str:
    """Of all samples of one call. Without one, the watcher never got the GIL, which Python code
    gives up every 5 ms. ``cores``: CPU seconds of the whole process a second of the call."""
    if classes:
        return min(classes, key=CLASSES.index)
    return HELD if cores > 0.5 else STARVED


def owner(text: str) -> int | None:
    """The thread that holds a lock, from its ``repr``; None: nobody, or it does not say."""
    found = re.search(r"owner=(\d+)", text)
    return int(found[1]) or None if found else None
