"""The fetch stage: bring a job's outputs, check them, then let the verdict become the status."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from gangamon.domain.command import UNSPLIT
from gangamon.domain.job import Job
from gangamon.domain.observation import Check, Fetched
from gangamon.domain.status import JobStatus
from gangamon.domain.transition import AbsencePolicy, advance
from gangamon.errors import LeaseLost, PermanentError, StorageAway, TransientError
from gangamon.protocols import (
    Change,
    Checker,
    Claim,
    Clock,
    Fetchable,
    Fetcher,
    FetchOrder,
    JobStore,
    Manifest,
    Master,
    Notifier,
    Placed,
    Putter,
    Written,
)
from gangamon.services.checks import run_checks
from gangamon.services.due import Dispatcher
from gangamon.services.leases import LeaseKeeper
from gangamon.services.mode import given_back
from gangamon.services.streams import Fetchers, streamed
from gangamon.services.tell import decided, subjob_event, tell
from gangamon.services.trail import about_member, step

log = logging.getLogger(__name__)

#: Seconds before a failed fetch is tried again: base doubled each time, up to the cap.
RETRY_BASE, RETRY_CAP = 2.0, 300.0

#: Seconds for which the members of a claim need not be read again. A job that is resubmitted in
#: this time is fetched once too often, as it may be while a fetch is under way.
FRESH = 1.0


#: Seconds to wait for a slot of a storage before other jobs go first; between two looks.
SEAT, LOOK = 5.0, 0.1

#: Brings what a job has put on storage itself: (order, what was brought, slot of an endpoint).
Stored = Callable[[FetchOrder, Manifest, Callable[[str], AbstractContextManager[object]]], Manifest]


class Fetch:
    """Works one claim of an owner's fetch queue, job by job; each is committed at once, also where
    a fetcher brings many in one go (``Streaming``).

    ``grows``: seconds until a master's merge is to take in what was brought, None: at its end."""

    def __init__(
        self,
        store: JobStore,
        keeper: LeaseKeeper,
        dispatcher: Dispatcher,
        fetcher: Callable[[str], Fetcher],
        checker: Callable[[str], Checker],
        attempts: int,
        clock: Clock,
        grows: Callable[[Master], float | None] = lambda _: None,
        notifier: Callable[[str], Notifier] | None = None,
        stored: Stored | None = None,
        storage_slots: int = 32,
        putter: Putter | None = None,
    ) -> None:
        self._store = store
        self._keeper = keeper
        self._dispatcher = dispatcher
        self._fetcher = fetcher
        self._checker = checker
        self._attempts = attempts
        self._clock = clock
        self._grows = grows
        self._notifier = notifier
        self._stored = stored
        self._storage_slots = storage_slots
        self._putter = putter

    def run(self, token: str, worker: str) -> int:
        """Jobs that reached their final status."""
        claim = self._store.begin(token, worker, self._keeper.lease)
        if claim is None:
            return 0
        with self._keeper.hold(token):
            self._dispatcher.push([claim.queue])  # one claim less waits: the next may
            wanted, read_at = self._store.fetchable(claim.members), time.monotonic()
            members = _by_lane(claim.members, wanted)
            found = [wanted[member] for member in members if member in wanted]
            orders = [_order(one) for one in found if not one.master.observe]
            with streamed(self._fetcher, orders) as fetcher:
                return self._each(claim, members, fetcher, wanted, read_at)

    def _each(
        self,
        claim: Claim,
        members: Sequence[str],
        fetcher: Fetchers,
        wanted: Mapping[str, Fetchable],
        read_at: float,
    ) -> int:
        """``wanted``: of its members, as it was at ``read_at``."""
        done = 0
        for n, member in enumerate(members):
            if time.monotonic() - read_at >= FRESH:
                read_at = time.monotonic()
                wanted = self._store.fetchable(members[n:])
            with about_member(claim.queue, member), step("fetch"):
                try:
                    done += self._one(claim, fetcher, member, wanted.get(member))
                except LeaseLost as error:
                    log.warning("%s: not committed, another has it", error)
        return done

    def _one(self, claim: Claim, fetcher: Fetchers, member: str, wanted: Fetchable | None) -> int:
        if wanted is None:
            self._store.drop(claim.token, claim.queue, member)  # withdrawn, resubmitted or done
            return 0
        master, sub, job = wanted.master, wanted.sub, wanted.job
        fetched: Fetched | None
        if master.observe:
            fetched = Fetched(True)
        elif given_back(master.roots):
            self._store.postpone(claim.token, claim.queue, member, RETRY_CAP)
            return 0
        else:
            fetched = self._fetch(claim, fetcher, member, wanted)
        if fetched is None:
            return 0
        step = advance(job, fetched, AbsencePolicy(), self._clock.now())
        self._tell(wanted, fetched, step.job)
        changes = [Change(sub, job, step)]
        grow = self._grows(master)
        brought = Written(fetched.files, fetched.bytes)
        done = self._store.commit(
            claim.token, member, master, changes, None, grow=grow, brought=brought
        )
        self._dispatcher.push(done.due)
        return done.applied

    def _fetch(
        self, claim: Claim, fetcher: Fetchers, member: str, wanted: Fetchable
    ) -> Fetched | None:
        """The stage's end, or None if it was put off."""
        order = _order(wanted)
        try:
            placed = self._bring(claim, fetcher, wanted, order)
            manifest = placed.manifest
            return Fetched(
                True,
                files=len(manifest.files),
                bytes=manifest.bytes,
                checks=self._checks(wanted),
                left_out=manifest.left_out,
                puts=placed.puts,
            )
        except LeaseLost:
            raise
        except PermanentError as error:
            return Fetched(False, str(error), puts=getattr(error, "puts", ()))
        except Exception as error:
            if not isinstance(error, TransientError):
                log.exception("fetch of %s: the fetcher failed", order.fqid)
            tries = self._store.tries(claim.queue, member) + 1
            if tries >= self._attempts and not isinstance(error, StorageAway):
                reason = f"given up after {tries} tries: {error}"
                return Fetched(False, reason, puts=getattr(error, "puts", ()))
            wait = min(RETRY_CAP, RETRY_BASE * 2 ** min(tries - 1, 10)) * (0.5 + random.random())
            log.warning("fetch of %s put off for %.0f s: %s", order.fqid, wait, error)
            self._store.postpone(claim.token, claim.queue, member, wait, str(error))
            return None

    def _bring(
        self, claim: Claim, fetcher: Fetchers, wanted: Fetchable, order: FetchOrder
    ) -> Placed:
        """Outputs of a job that failed are not put on storage, as in Ganga."""

        def slot(endpoint: str) -> AbstractContextManager[object]:
            return self._seat(claim, endpoint)

        def fetch() -> Manifest:
            manifest = fetcher(order.lane.backend).fetch(order)
            return manifest if self._stored is None else self._stored(order, manifest, slot)

        if self._putter is None or wanted.job.verdict is not JobStatus.COMPLETED:
            return Placed(fetch())
        return self._putter.put(order, fetch, slot)

    @contextmanager
    def _seat(self, claim: Claim, endpoint: str) -> Iterator[None]:
        """One of the transfers that a storage bears at once, whoever works here or elsewhere."""
        if not endpoint:
            yield
            return
        until = time.monotonic() + SEAT
        while not self._store.seat(claim.token, endpoint, self._storage_slots, self._keeper.lease):
            if time.monotonic() > until:
                raise StorageAway(
                    f"{endpoint}: busy with {self._storage_slots} transfers, as many as it is given"
                )
            time.sleep(LOOK)
        try:
            yield
        finally:
            self._store.seat(claim.token, "", 0, 0.0)

    def _tell(self, wanted: Fetchable, fetched: Fetched, job: Job) -> None:
        """Of a subjob's end, before it is committed: if we die in between, it is told again."""
        master, sub = wanted.master, wanted.sub
        if self._notifier is None or not master.notifiers or master.observe or sub == UNSPLIT:
            return
        if fetched.ok and wanted.job.verdict is JobStatus.COMPLETED:
            checkers = [spec for spec in master.checkers if spec.wanted(sub)]
            if not decided(checkers, fetched.checks):
                return
        tell(self._notifier, master, subjob_event(master, job))

    def _checks(self, wanted: Fetchable) -> tuple[Check, ...]:
        """Of a subjob that is about to be completed. A job that was not split is checked as a
        master, by the stage of that name."""
        if wanted.sub == UNSPLIT or wanted.job.verdict is not JobStatus.COMPLETED:
            return ()
        return run_checks(self._checker, wanted.master, wanted.sub)


def _by_lane(members: Sequence[str], wanted: Mapping[str, Fetchable]) -> list[str]:
    """One host after the other: who has a stream of one and waits for another's might wait for
    somebody who waits for him."""
    return sorted(members, key=lambda one: str(wanted[one].master.lane) if one in wanted else "")


def _order(wanted: Fetchable) -> FetchOrder:
    master = wanted.master
    return FetchOrder(
        fqid=wanted.job.fqid,
        attempt=wanted.job.attempt,
        target=master.output(wanted.sub),
        native_id=wanted.spec.native_id,
        extra=wanted.spec.extra,
        roots=master.roots,
        lane=master.lane,
        restart=wanted.job.restart,
    )
