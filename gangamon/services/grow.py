"""Merging while jobs still run: what has been fetched goes into the merge, slice by slice.

One slice is a claim of the owner's grow queue, which the merge workers serve. A slice is short, and
no more than a tenth of a worker's time goes into those of one master that has little to take in, so
merges that are due wait for nothing. Whatever dies in a slice, the merge at the end goes on from
what is whole.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from itertools import takewhile

from gangamon.domain.command import UNSPLIT, MergerSpec
from gangamon.domain.status import FINAL
from gangamon.errors import BadInput, DiskFull, LeaseLost, TransientError
from gangamon.protocols import Growing, JobStore, Master, PostProcessor
from gangamon.services.leases import LeaseKeeper
from gangamon.services.merge import order
from gangamon.services.mode import given_back
from gangamon.services.progress import Progress

log = logging.getLogger(__name__)

#: Seconds: from what is fetched first to the slice that takes it in with what came since; of a
#: slice; until the next one after trouble with the disk.
EVERY, SLICE, TROUBLE = 2.0, 0.5, 60.0

#: A slice that had no more to do is followed by a pause so many times as long.
PAUSE = 10.0


class Grow:
    """Works one claim of an owner's grow queue. Running twice changes nothing."""

    def __init__(
        self,
        store: JobStore,
        keeper: LeaseKeeper,
        merger: Callable[[str], PostProcessor],
        forget: Callable[[str], None],
        progress: Progress | None = None,
    ) -> None:
        self._store = store
        self._keeper = keeper
        self._merger = merger
        self._remove = forget
        self._progress = progress

    def every(self, master: Master) -> float | None:
        """Seconds after a fetch in which a slice of this master is due; None: it cannot grow."""
        return EVERY if self._growing(master) else None

    def run(self, token: str, worker: str) -> int:
        """1 if a slice was worked, 0 if there was nothing to do."""
        claim = self._store.begin(token, worker, self._keeper.lease)
        if claim is None:
            return 0
        done = 0
        with self._keeper.hold(token):
            for member in claim.members:
                try:
                    done += self._one(token, member)
                except LeaseLost as error:
                    log.warning("%s: another has it", error)
        return done

    def _one(self, token: str, member: str) -> int:
        owner, repository, number = member.partition("@")[0].split(":")
        place, count = self._store.woken(owner, repository, int(number))
        master = self._store.master(owner, repository, int(number))
        if master is not None:
            place = master.output(UNSPLIT)
        wait: float | None = None
        began = time.monotonic()
        if master is not None and master.phase == "open" and not given_back(master.roots):
            try:
                wait = 0.0 if self._slice(master, place) else None
                if self._progress is not None:
                    self._progress.note(token, member, master, place)
            except DiskFull as error:
                log.warning("no room to merge job %s while it runs: %s", number, error)
                wait = TROUBLE
            except TransientError as error:
                log.warning("job %s is not merged while it runs: %s", number, error)
                wait = TROUBLE
            except Exception:
                log.exception("the merge of job %s while it runs failed", number)
                self._forget(place)
                wait = TROUBLE
        more = max(EVERY, PAUSE * (time.monotonic() - began))
        phase = self._store.grown(token, member, count, more, wait)
        if phase not in ("open", "merge"):
            self._forget(place)  # withdrawn, or ended while this worker was held up
        return int(wait is not None)

    def _slice(self, master: Master, place: str) -> bool:
        """Whether more is left."""
        states = self._store.states(master)
        if UNSPLIT in states:
            return False
        # Up to the first that has not ended: what comes after it cannot be put behind it yet.
        known = enumerate(states.items())
        prefix = takewhile(lambda one: one[0] == one[1][0] and one[1][1][2] in FINAL, known)
        ended = dict(state for _, state in prefix)
        if not ended:
            return False
        self._store.growing(master, place)
        until = time.monotonic() + SLICE
        more = False
        for spec, merger in self._growing(master):
            left = until - time.monotonic()
            if left <= 0:
                return True
            more = merger.grow(order(master, spec, ended), left) or more
        return more

    def _growing(self, master: Master) -> list[tuple[MergerSpec, Growing]]:
        found: list[tuple[MergerSpec, Growing]] = []
        if master.observe:
            return found  # Ganga merges it
        for spec in master.mergers:
            try:
                merger = self._merger(spec.kind)
            except BadInput:
                continue  # its plugin is not installed here
            if isinstance(merger, Growing):
                found.append((spec, merger))
        return found

    def _forget(self, place: str) -> None:
        try:
            if place:
                self._remove(place)
        except TransientError as error:
            log.warning("what was half merged stays: %s", error)
