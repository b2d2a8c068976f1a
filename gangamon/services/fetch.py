"""The fetch stage: bring a job's outputs, then let its verdict become its status."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from gangamon.domain.observation import Fetched
from gangamon.domain.status import JobStatus
from gangamon.domain.transition import AbsencePolicy, advance
from gangamon.errors import LeaseLost, PermanentError, StorageAway, TransientError
from gangamon.protocols import Change, Claim, Clock, Fetcher, FetchOrder, JobStore, Master
from gangamon.services.due import Dispatcher
from gangamon.services.leases import LeaseKeeper
from gangamon.services.mode import given_back

log = logging.getLogger(__name__)

#: Seconds before a failed fetch is tried again: base doubled each time, up to the cap.
RETRY_BASE, RETRY_CAP = 2.0, 300.0


class Fetch:
    """Works one claim of an owner's fetch queue, job by job; each is committed at once."""

    def __init__(
        self,
        store: JobStore,
        keeper: LeaseKeeper,
        dispatcher: Dispatcher,
        fetcher: Callable[[str], Fetcher],
        attempts: int,
        clock: Clock,
    ) -> None:
        self._store = store
        self._keeper = keeper
        self._dispatcher = dispatcher
        self._fetcher = fetcher
        self._attempts = attempts
        self._clock = clock

    def run(self, token: str, worker: str) -> int:
        """Jobs that reached their final status."""
        claim = self._store.begin(token, worker, self._keeper.lease)
        if claim is None:
            return 0
        done = 0
        with self._keeper.hold(token):
            for member in claim.members:
                try:
                    done += self._one(claim, member)
                except LeaseLost as error:
                    log.warning("%s: not committed, another has it", error)
        self._dispatcher.push([claim.queue])  # a slot is free again
        return done

    def _one(self, claim: Claim, member: str) -> int:
        owner, repository, number, rest = member.rsplit(":", 3)
        sub, attempt = (int(part) for part in rest.split("@"))
        master = self._store.master(owner, repository, int(number))
        job = self._store.jobs(master, [sub]).get(sub) if master else None
        if (
            master is None
            or job is None
            or job.attempt != attempt
            or job.status is not JobStatus.COMPLETING
        ):
            self._store.drop(claim.token, claim.queue, member)  # withdrawn, resubmitted or done
            return 0
        if given_back(master.roots):
            self._store.postpone(claim.token, claim.queue, member, RETRY_CAP)
            return 0
        fetched = self._fetch(claim, member, master, sub, attempt)
        if fetched is None:
            return 0
        step = advance(job, fetched, AbsencePolicy(), self._clock.now())
        done = self._store.commit(claim.token, member, master, [Change(sub, job, step)], None)
        self._dispatcher.push(done.due)
        return done.applied

    def _fetch(
        self, claim: Claim, member: str, master: Master, sub: int, attempt: int
    ) -> Fetched | None:
        """The stage's end, or None if it was put off."""
        spec = self._store.specs(master, [sub]).get(sub)
        if spec is None:
            self._store.drop(claim.token, claim.queue, member)  # withdrawn this very moment
            return None
        order = FetchOrder(
            fqid=master.fqid(sub),
            attempt=attempt,
            target=master.output(sub),
            native_id=spec.native_id,
            extra=spec.extra,
            roots=master.roots,
            lane=master.lane,
        )
        try:
            manifest = self._fetcher(master.lane.backend).fetch(order)
            return Fetched(True, files=len(manifest.files), bytes=manifest.bytes)
        except PermanentError as error:
            return Fetched(False, str(error))
        except Exception as error:
            if not isinstance(error, TransientError):
                log.exception("fetch of %s: the fetcher failed", order.fqid)
            tries = self._store.tries(claim.queue, member) + 1
            if tries >= self._attempts and not isinstance(error, StorageAway):
                return Fetched(False, f"given up after {tries} tries: {error}")
            wait = min(RETRY_CAP, RETRY_BASE * 2 ** min(tries - 1, 10)) * (0.5 + random.random())
            log.warning("fetch of %s put off for %.0f s: %s", order.fqid, wait, error)
            self._store.postpone(claim.token, claim.queue, member, wait)
            return None
