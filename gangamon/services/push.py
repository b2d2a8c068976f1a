"""News that a backend writes down by itself: it makes batches due at once.

Nothing is decided here. The poll that follows asks and judges as always, within the lane's budget,
and goes on at its own interval where there is no news.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gangamon.domain.lane import Lane
from gangamon.protocols import Backend, JobStore, PollItem, Push
from gangamon.services.due import Dispatcher

log = logging.getLogger(__name__)

#: Seconds after which a batch that this process has not polled again is another's.
FORGOTTEN = 600.0

#: Seconds for which news of a batch that does not wait is kept: it is being polled, or is over.
KEPT = 60.0

#: A round of looks takes at most this part of the thread's time.
SHARE = 0.1


@dataclass
class _Batch:
    lane: Lane
    items: Sequence[PollItem]
    seen: float
    position: str = ""
    #: When there was news that the store does not know yet; None: none.
    news: float | None = None


class Watcher:
    """Looks for news of the batches that this process has polled; one thread, which is begun with
    the first of them, as threads do not fork."""

    def __init__(
        self, store: JobStore, dispatcher: Dispatcher, backend: Callable[[str], Backend]
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._backend = backend
        self._batches: dict[str, _Batch] = {}
        self._lock = threading.Lock()
        self._pid = 0

    def follow(self, lane: Lane, batch: str, items: Sequence[PollItem]) -> None:
        """A batch was polled; ``items``: of its jobs those that are to be polled again."""
        if not isinstance(self._backend(lane.backend), Push):
            return
        with self._lock:
            if self._pid != os.getpid():
                self._pid, self._batches = os.getpid(), {}
                threading.Thread(target=self._run, name="push", daemon=True).start()
            known = self._batches.pop(batch, None)
            if items:
                new = _Batch(lane, items, time.monotonic())
                if known and {i.key for i in known.items} >= {i.key for i in items}:
                    new.position, new.news = known.position, known.news
                self._batches[batch] = new

    def look(self) -> float:
        """One look at all batches; seconds until the next."""
        begun = time.monotonic()
        with self._lock:
            for old in [b for b, v in self._batches.items() if begun - v.seen > FORGOTTEN]:
                del self._batches[old]
            batches = dict(self._batches)
        pause = 1.0
        due: dict[str, list[str]] = {}
        for name, batch in batches.items():
            backend = self._backend(batch.lane.backend)
            if isinstance(backend, Push):
                pause = min(pause, backend.every)
                self._ask(backend, batch)
            if batch.news is not None:
                due.setdefault(f"poll.{batch.lane}", []).append(name)
        for queue, names in due.items():
            # One that is being polled now is told later: that poll may have read too early.
            told = self._store.hasten(queue, names)
            for name in names:
                if name in told or begun - (batches[name].news or 0.0) > KEPT:
                    batches[name].news = None
            if told:
                self._dispatcher.push([queue])
        return max(pause, (time.monotonic() - begun) * (1 / SHARE - 1))

    def _ask(self, backend: Push, batch: _Batch) -> None:
        try:
            news = backend.changed(batch.lane, batch.items, batch.position)
        except Exception as error:  # noqa: BLE001 - the regular poll goes on without it
            log.warning("lane %s: push: %s: %s", batch.lane, type(error).__name__, error)
            return
        batch.position = news.position
        if news.keys and batch.news is None:
            batch.news = time.monotonic()

    def _run(self) -> None:
        while True:
            try:
                pause = self.look()
            except Exception as error:  # noqa: BLE001 - Redis may be away; the next look goes on
                log.warning("push: %s: %s", type(error).__name__, error)
                pause = 1.0
            time.sleep(pause)
