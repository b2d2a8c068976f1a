"""Push from status files: which jobs have had theirs written since the last look.

By inotify where only this host writes the file system; on a shared one, of whose writes the kernel
hears nothing, and where the user has no more watches, by a look at each file's size and time. What
is written decides nothing: it makes the jobs' batch due, and the poll reads it.
"""

from __future__ import annotations

import json
import logging
import os
import time
import zlib
from collections.abc import Sequence

from gangamon.backends.inotify import Inotify, is_local
from gangamon.backends.jobstatus import STATUS_FILE
from gangamon.protocols import News, PollItem

log = logging.getLogger(__name__)

#: Seconds after which a directory that nobody has asked about is watched no longer.
FORGOTTEN = 600.0


class StatusNews:
    """Of one process. ``changed`` as in ``protocols.Push``, without the lane; by one thread."""

    def __init__(self) -> None:
        self._pid = 0
        self._inotify: Inotify | None = None
        #: Directory -> when it was last asked about; of which something was written and not told.
        self._asked: dict[str, float] = {}
        self._written: set[str] = set()
        self._local: dict[str, bool] = {}
        self._pruned = 0.0

    def changed(self, items: Sequence[PollItem], position: str) -> News:
        """Of those that are watched for the first time it is not known: they are named."""
        self._begin()
        keys, looked_at = set(), []
        for item in items:
            directory = item.output.rstrip("/")
            if not self._watched(directory):
                if not self._watch(directory):
                    looked_at.append(item)
                    continue
                keys.add(item.key)
            if directory in self._written:
                self._written.discard(directory)
                keys.add(item.key)
        found, position = _looked_at(looked_at, position)
        return News(frozenset(keys | found), position)

    def _begin(self) -> None:
        if self._pid != os.getpid():  # what a forked child has is its parent's
            self.__init__()  # type: ignore[misc]
            self._pid = os.getpid()
            try:
                self._inotify = Inotify(STATUS_FILE)
            except OSError as error:
                log.warning("no inotify (%s): status files are looked at one by one", error)
        if self._inotify is None:
            return
        self._written |= self._inotify.written()
        now = time.monotonic()
        if now - self._pruned > FORGOTTEN / 10:
            self._pruned = now
            for old in [d for d, at in self._asked.items() if now - at > FORGOTTEN]:
                self._inotify.forget(old)
                self._asked.pop(old)
                self._written.discard(old)

    def _watched(self, directory: str) -> bool:
        self._asked[directory] = time.monotonic()
        return self._inotify is not None and directory in self._inotify

    def _watch(self, directory: str) -> bool:
        if self._inotify is None or not self._is_local(directory):
            return False
        try:
            self._inotify.watch(directory)
        except OSError:
            return False
        return True

    def _is_local(self, directory: str) -> bool:
        # The jobs of a master, and most masters, lie on one file system.
        top = os.path.dirname(os.path.dirname(directory))
        if top not in self._local:
            if len(self._local) > 10_000:
                self._local.clear()
            self._local[top] = is_local(top)
        return self._local[top]


def _looked_at(items: Sequence[PollItem], position: str) -> tuple[set[str], str]:
    """By size and time. The position holds a checksum of both for each job."""
    if not items:
        return set(), ""
    try:
        before = json.loads(position) if position else {}
    except ValueError:
        before = {}
    if not isinstance(before, dict):
        before = {}
    now = {item.fqid: _signature(item) for item in items}
    keys = {item.key for item in items if before.get(item.fqid) != now[item.fqid]}
    return keys, json.dumps(now, separators=(",", ":"))


def _signature(item: PollItem) -> int:
    try:
        facts = os.stat(os.path.join(item.output, STATUS_FILE))
    except OSError as error:
        return -(error.errno or 1)
    return zlib.crc32(f"{facts.st_ino} {facts.st_size} {facts.st_mtime_ns}".encode())
