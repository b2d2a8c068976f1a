"""How far merges are, noted for those who watch them, beside the merge and never in its way."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gangamon.errors import GangamonError
from gangamon.protocols import NOTHING, JobStore, Master, MergeOrder, Written

log = logging.getLogger(__name__)

#: Seconds between two looks. A merge that is over before the first costs nothing.
EVERY = 2.0


class Progress:
    """``expected(order)``: what goes into a merge; ``written(target)``: bytes of what is being
    merged there."""

    def __init__(
        self,
        store: JobStore,
        expected: Callable[[MergeOrder], Written],
        written: Callable[[str], int],
    ) -> None:
        self._store, self._expected, self._written = store, expected, written

    def note(self, token: str, member: str, master: Master, target: str) -> None:
        """While jobs run: what is merged by now, of a whole that is not known."""
        self._tell(token, member, master, self._written(target), NOTHING)

    @contextmanager
    def watching(
        self, token: str, member: str, master: Master, order: MergeOrder
    ) -> Iterator[None]:
        """A merge runs in here."""
        over = threading.Event()
        given = (over, token, member, master, order)
        watcher = threading.Thread(target=self._watch, args=given, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def _watch(
        self, over: threading.Event, token: str, member: str, master: Master, order: MergeOrder
    ) -> None:
        if over.wait(EVERY):
            return
        try:
            whole = self._expected(order)
        except (GangamonError, OSError) as error:
            log.debug("what goes into the merge of job %s is not known: %s", order.fqid, error)
            return
        while True:
            self._tell(token, member, master, self._written(order.target), whole)
            if over.wait(EVERY):
                return

    def _tell(self, token: str, member: str, master: Master, done: int, whole: Written) -> None:
        try:
            self._store.note_merging(token, member, master, done, whole)
        except GangamonError as error:
            log.debug("how far the merge of job %s is was not noted: %s", master.id, error)
