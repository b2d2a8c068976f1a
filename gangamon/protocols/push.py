"""Push: what a backend writes down by itself (event logs, status files), read without asking it.

A source sets no status. It names the jobs of which something new was written; their batches are
then due at once, and ``Backend.poll``, which reads the same records before it asks the backend,
decides as always. So a source may err: news too much costs one poll, news too little waits for the
regular one, which goes on at its own interval and reconciles.

A backend offers push by having a method ``changed`` of this shape beside ``poll`` (``isinstance``
with ``Push`` finds it). It is called by one thread of a process that polls this kind of backend,
again and again while the lane has jobs, for one batch (at most some hundred jobs) at a time:

- a look at files costs at least one ``stat`` each, so ``every`` is its least pause for one lane;
- what a directory scan or a log reader must remember goes into ``position``, which the process
  keeps for each batch that it polls; one that takes over begins with '' and may name all jobs;
- an inotify source keeps its watches in its own process (``position`` then stays ''), and names
  every job of a batch that it has not watched before: it cannot know what it missed;
- it must not block for long, nor raise for one bad file: a record that cannot be read is no news.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gangamon.domain.lane import Lane
from gangamon.protocols.backend import PollItem


@dataclass(frozen=True)
class News:
    """``keys``: the items (``PollItem.key``) of which something was written since the last look.
    ``position``: how far was read, opaque to the service, given to the next look; below 64 kB."""

    keys: frozenset[str] = frozenset()
    position: str = ""


@runtime_checkable
class Push(Protocol):
    """The part of a backend that knows of changes without asking. ``every``: seconds from the end
    of one look at a lane to the next."""

    every: float

    def changed(self, lane: Lane, items: Sequence[PollItem], position: str) -> News:
        """Of which items of one batch is there news? ``position``: what the last look at this batch
        gave, '' for the first, and after its items have changed. A position that makes no sense is
        as ''. Raises TransientError where nothing could be looked at."""
        ...
