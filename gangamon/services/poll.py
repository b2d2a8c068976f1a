"""One bulk query of a lane, and the commits that follow from its answer."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from gangamon.domain.command import BATCH_SIZE
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Seen, Unreachable
from gangamon.domain.status import FINAL, POLLED
from gangamon.domain.transition import Step, advance, needs_second_source
from gangamon.errors import CredentialMissing, LeaseLost, TransientError
from gangamon.protocols import (
    Backend,
    Batch,
    Change,
    Claim,
    Clock,
    JobStore,
    Lag,
    LaneRecord,
    Limits,
    Outcome,
    PollItem,
)
from gangamon.services.due import Dispatcher, members_of
from gangamon.services.leases import LeaseKeeper
from gangamon.services.push import Watcher
from gangamon.services.query import Query
from gangamon.services.trail import about, step

log = logging.getLogger(__name__)

#: Failed queries in a row after which the breaker opens: the lane rests, then one probe is let
#: through.
BREAKER = 3

#: Seconds between two probes of a lane whose credential is missing.
CREDENTIAL_PROBE = 30.0


class Poll:
    """Works one claim of a lane's queue."""

    def __init__(
        self,
        store: JobStore,
        keeper: LeaseKeeper,
        dispatcher: Dispatcher,
        backend: Callable[[str], Backend],
        clock: Clock,
        watcher: Watcher | None = None,
    ) -> None:
        self._store = store
        self._keeper = keeper
        self._dispatcher = dispatcher
        self._backend = backend
        self._clock = clock
        self._watcher = watcher

    def run(self, token: str, worker: str) -> int:
        """Ask about the claim's jobs and commit; transitions applied."""
        claim = self._store.begin(token, worker, self._keeper.lease)
        if claim is None:
            return 0
        with self._keeper.hold(token), about(queue=claim.queue):
            batches = self._store.batches(claim.members)
            for member in set(claim.members) - {batch.id for batch in batches}:
                with suppress(LeaseLost):
                    self._store.drop(token, claim.queue, member)  # withdrawn meanwhile
            applied = self._ask(claim, batches)
        self._push(claim.queue)
        return applied

    def _push(self, queue: str) -> None:
        """A slot is free again: another lane of the endpoint may have waited longer for it."""
        self._dispatcher.push([*self._store.next_in_line(queue), queue])

    def _ask(self, claim: Claim, batches: Sequence[Batch]) -> int:
        name = claim.queue.partition(".")[2]
        lane = Lane.parse(name)
        backend = self._backend(lane.backend)
        record = self._store.lane(name)
        items = {batch.id: _items(batch) for batch in batches}
        asked = [item for batch in items.values() for item in batch.values()]
        new = {
            items[batch.id][sub].key
            for batch in batches
            for sub, job in batch.jobs.items()
            if sub in items[batch.id] and not job.absences
        }
        query = Query(backend, lane)
        try:
            with step("query", lane=name, jobs=len(asked)):
                seen = query.ask(asked, new) if asked else {}
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing was learnt
            self._failed(claim, batches, backend, name, record, error, query)
            return 0
        self._second_look(lane, backend, batches, items, seen, query)
        self._store.answered(claim.token, claim.queue)
        with suppress(TransientError):  # what was learnt comes first
            self._push(claim.queue)  # the next query need not wait for these commits
        if self._watcher is not None:
            for batch in batches:
                self._watcher.follow(lane, batch.id, _live(items[batch.id].values(), seen))
        self._bury(claim, batches, items, query.bad)
        with step("commit", lane=name, jobs=len(asked)):
            return self._commit(claim, batches, backend, name, record, items, seen, query)

    def _commit(
        self,
        claim: Claim,
        batches: Sequence[Batch],
        backend: Backend,
        name: str,
        record: LaneRecord,
        items: Mapping[str, Mapping[int, PollItem]],
        seen: Mapping[str, Observation],
        query: Query,
    ) -> int:
        now = self._clock.now()
        steps = {b.id: _steps(b, items[b.id], backend, seen, query.bad, now) for b in batches}
        moved = any(s.moved(b.jobs[sub]) for b in batches for sub, s in steps[b.id].items())
        rounds = -(-record.batches // members_of(backend.limits))
        # One slow answer says little: who stood still for it may be well again.
        longest = query.longest if record.asked_at is None else min(query.longest, record.query)
        took = longest * max(1, rounds)
        interval = backend.limits.cadence.interval(record.interval, took, moved)
        outcomes = []
        for batch in batches:
            after = steps[batch.id]
            changes = [
                Change(sub, batch.jobs[sub], step)
                for sub, step in after.items()
                if step.job is not batch.jobs[sub] and step.job != batch.jobs[sub]
            ]
            live = any(step.job.status in POLLED for step in after.values())
            every = backend.limits.cadence.wished(batch.master.wish, interval, took)
            again, phase = every if live else None, _phase(batch, backend.limits)
            outcomes.append(Outcome(batch.id, batch.master, changes, again, phase))
        applied = 0
        lags: list[Lag] = []
        due: list[str] = []
        committed = self._store.commit_all(claim.token, outcomes)
        for batch, outcome, done in zip(batches, outcomes, committed, strict=True):
            if done is None:
                log.warning("%s: not committed, another has it", batch.id)
                continue
            applied += done.applied
            due += done.due
            lags += [
                Lag(now - c.step.job.evidence.ended_at, batch.every)
                for c in outcome.changes
                if c.step.effects and c.step.job.evidence and c.step.job.evidence.ended_at
            ]
        self._dispatcher.push(due)
        if query.asked.queries:
            self._store.note_query(name, now, interval, query.longest, query.asked, lags)
            if record.paused and record.probe_at is not None:
                log.warning("lane %s: its credential is back", name)
                self._store.resume(name, probed=True)
        else:
            self._store.note_unasked(name)
        return applied

    def _second_look(
        self,
        lane: Lane,
        backend: Backend,
        batches: Sequence[Batch],
        items: Mapping[str, Mapping[int, PollItem]],
        seen: dict[str, Observation],
        query: Query,
    ) -> None:
        """Ask the second source about jobs that good answers have missed for long enough."""
        now, policy = self._clock.now(), backend.limits.absence
        missed = [
            item
            for batch in batches
            for sub, item in items[batch.id].items()
            if isinstance(answer := seen.get(item.key), Absent)
            and needs_second_source(advance(batch.jobs[sub], answer, policy, now).job, policy)
        ]
        if not missed:
            return
        try:
            seen.update(query.second(missed))
        except Exception as error:  # noqa: BLE001 - what the poll has learnt is true all the same
            log.warning("lane %s: second source: %s: %s", lane, type(error).__name__, error)

    def _bury(
        self,
        claim: Claim,
        batches: Sequence[Batch],
        items: Mapping[str, Mapping[int, PollItem]],
        bad: Mapping[str, str],
    ) -> None:
        for batch in batches:
            for sub, item in items[batch.id].items():
                if item.key in bad:
                    with about(repository=batch.master.repository, job=item.fqid):
                        log.error("job %s set aside: %s", item.fqid, bad[item.key])
                    with suppress(LeaseLost):
                        self._store.set_aside(
                            claim.token, claim.queue, batch.id, batch.master, sub, bad[item.key]
                        )

    def _failed(
        self,
        claim: Claim,
        batches: Sequence[Batch],
        backend: Backend,
        name: str,
        record: LaneRecord,
        error: Exception,
        query: Query,
    ) -> None:
        """Nothing is learnt about any job; all keep their status."""
        wait = 0.0
        if isinstance(error, CredentialMissing):
            log.warning("lane %s is paused: %s", name, error)
            self._store.pause(name, f"credential: {error}", CREDENTIAL_PROBE)
        else:
            why = f"{type(error).__name__}: {error}"
            failures = self._store.note_failure(name, why, query.asked)
            usual = max(record.interval or 0.0, query.asked.slowest)
            wait = backend.limits.cadence.backoff(failures, random.random(), usual)
            log.warning("lane %s could not be asked (%d in a row): %s", name, failures, error)
            if failures >= BREAKER:
                self._store.open_breaker(name, wait)
        for batch in batches:
            try:
                self._store.postpone(claim.token, claim.queue, batch.id, wait)
            except LeaseLost as lost:
                log.warning("%s: not put off, another has it", lost)


def _phase(batch: Batch, limits: Limits) -> float:
    """When in the interval a batch is due, as a part of it: neighbours together, for they are one
    query, and the queries of a large master one after the other, so that what they find comes
    evenly and not all at once."""
    number = int(batch.id.rpartition(":")[2])
    queries = -(-batch.master.total // (BATCH_SIZE * members_of(limits)))
    return number // members_of(limits) % queries / queries if queries else 0.0


def _items(batch: Batch) -> dict[int, PollItem]:
    master = batch.master
    return {
        sub: PollItem(
            fqid=job.fqid,
            native_id=batch.specs[sub].native_id,
            status=job.status,
            output=master.output(sub),
            extra=batch.specs[sub].extra,
            home=f"{master.owner}:{master.repository}",
            restarts=job.restart,
        )
        for sub, job in batch.jobs.items()
        if job.status in POLLED
    }


def _live(items: Iterable[PollItem], seen: Mapping[str, Observation]) -> list[PollItem]:
    """Those that have not been seen to end."""
    answers = ((item, seen.get(item.key)) for item in items)
    return [i for i, s in answers if not (isinstance(s, Seen) and s.status in FINAL)]


def _steps(
    batch: Batch,
    items: Mapping[int, PollItem],
    backend: Backend,
    seen: Mapping[str, Observation],
    bad: Mapping[str, str],
    now: float,
) -> dict[int, Step]:
    """The step of each job of the batch that was asked about and is not set aside."""
    nothing = Unreachable("not in the answer")
    policy = backend.limits.absence
    steps = {}
    for sub, item in items.items():
        if item.key in bad:
            continue
        job, observation = batch.jobs[sub], seen.get(item.key, nothing)
        if isinstance(observation, Absent) and observation.second:  # the query missed it too
            job = advance(job, replace(observation, second=False), policy, now).job
        steps[sub] = advance(job, observation, policy, now)
    return steps
