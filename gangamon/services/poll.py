"""One bulk query of a lane, and the commits that follow from its answer."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Unreachable
from gangamon.domain.status import POLLED
from gangamon.domain.transition import Step, advance, needs_second_source
from gangamon.errors import LeaseLost, TransientError
from gangamon.protocols import (
    Backend,
    Batch,
    Change,
    Claim,
    Clock,
    JobStore,
    LaneRecord,
    PollItem,
)
from gangamon.services.due import Dispatcher
from gangamon.services.leases import LeaseKeeper

log = logging.getLogger(__name__)


class Poll:
    """Works one claim of a lane's queue."""

    def __init__(
        self,
        store: JobStore,
        keeper: LeaseKeeper,
        dispatcher: Dispatcher,
        backend: Callable[[str], Backend],
        clock: Clock,
    ) -> None:
        self._store = store
        self._keeper = keeper
        self._dispatcher = dispatcher
        self._backend = backend
        self._clock = clock

    def run(self, token: str, worker: str) -> int:
        """Ask about the claim's jobs and commit; transitions applied."""
        claim = self._store.begin(token, worker, self._keeper.lease)
        if claim is None:
            return 0
        with self._keeper.hold(token):
            batches = self._store.batches(claim.members)
            for member in set(claim.members) - {batch.id for batch in batches}:
                with suppress(LeaseLost):
                    self._store.drop(token, claim.queue, member)  # withdrawn meanwhile
            return self._ask(claim, batches) if batches else 0

    def _ask(self, claim: Claim, batches: Sequence[Batch]) -> int:
        name = claim.queue.partition(".")[2]
        lane = Lane.parse(name)
        backend = self._backend(lane.backend)
        record = self._store.lane(name)
        items = {batch.id: _items(batch) for batch in batches}
        seen: dict[str, dict[str, Observation]] = {batch.id: {} for batch in batches}
        query = None
        for group in _apart(batches):
            asked = [item for batch in group for item in items[batch.id].values()]
            if not asked:
                continue
            begun = time.monotonic()
            try:
                answer = dict(backend.poll(lane, asked))
            except Exception as error:
                if not isinstance(error, TransientError):
                    log.exception("lane %s: the plugin failed; nothing is learnt", name)
                self._unreachable(claim, batches, backend, name, record, error)
                return 0
            query = max(query or 0.0, time.monotonic() - begun)
            self._second_look(lane, backend, group, items, answer)
            seen.update((batch.id, answer) for batch in group)
        return self._commit(claim, batches, backend, name, record, seen, query)

    def _commit(
        self,
        claim: Claim,
        batches: Sequence[Batch],
        backend: Backend,
        name: str,
        record: LaneRecord,
        seen: Mapping[str, Mapping[str, Observation]],
        query: float | None,
    ) -> int:
        now = self._clock.now()
        steps = {batch.id: self._steps(batch, backend, seen[batch.id], now) for batch in batches}
        moved = any(s.moved(b.jobs[sub]) for b in batches for sub, s in steps[b.id].items())
        interval = backend.limits.cadence.interval(record.interval, query or 0.0, moved)
        if query is not None:
            record = LaneRecord(interval, query, 0, now)
        applied, lags = 0, []
        due: list[str] = []
        for batch in batches:
            after = steps[batch.id]
            changes = [
                Change(sub, batch.jobs[sub], step)
                for sub, step in after.items()
                if step.job != batch.jobs[sub]
            ]
            live = any(step.job.status in POLLED for step in after.values())
            try:
                done = self._store.commit(
                    claim.token, batch.id, batch.master, changes, interval if live else None
                )
            except LeaseLost as error:
                log.warning("%s: not committed, another has it", error)
                continue
            applied += done.applied
            due += done.due
            lags += [
                now - c.step.job.evidence.ended_at
                for c in changes
                if c.step.effects and c.step.job.evidence and c.step.job.evidence.ended_at
            ]
        self._dispatcher.push(due)
        self._store.note_query(name, record, lags)
        return applied

    def _steps(
        self, batch: Batch, backend: Backend, seen: Mapping[str, Observation], now: float
    ) -> dict[int, Step]:
        nothing = Unreachable("not in the answer")
        policy = backend.limits.absence
        steps = {}
        for sub, job in batch.jobs.items():
            observation = seen.get(job.fqid, nothing)
            if isinstance(observation, Absent) and observation.second:  # the query missed it too
                job = advance(job, replace(observation, second=False), policy, now).job
            steps[sub] = advance(job, observation, policy, now)
        return steps

    def _second_look(
        self,
        lane: Lane,
        backend: Backend,
        batches: Sequence[Batch],
        items: Mapping[str, Mapping[int, PollItem]],
        seen: dict[str, Observation],
    ) -> None:
        """Ask the second source about jobs that good answers have missed for long enough."""
        now, policy = self._clock.now(), backend.limits.absence
        missed = [
            items[batch.id][sub]
            for batch in batches
            for sub, job in batch.jobs.items()
            if isinstance(seen.get(job.fqid), Absent)
            and needs_second_source(advance(job, seen[job.fqid], policy, now).job, policy)
        ]
        if not missed:
            return
        try:
            seen.update(backend.second_source(lane, missed))
        except TransientError as error:
            log.warning("lane %s: second source: %s", lane, error)
        except Exception:  # what the poll has learnt is true all the same
            log.exception("lane %s: the plugin's second source failed", lane)

    def _unreachable(
        self,
        claim: Claim,
        batches: Sequence[Batch],
        backend: Backend,
        name: str,
        record: LaneRecord,
        error: Exception,
    ) -> None:
        failures = record.failures + 1
        wait = backend.limits.cadence.backoff(failures, random.random())
        log.warning("lane %s could not be asked (%d in a row): %s", name, failures, error)
        for batch in batches:
            try:
                self._store.postpone(claim.token, claim.queue, batch.id, wait)
            except LeaseLost as lost:
                log.warning("%s: not put off, another has it", lost)
        self._store.note_query(name, replace(record, failures=failures, error=str(error)[:500]), ())


def _apart(batches: Sequence[Batch]) -> list[list[Batch]]:
    """Batches that one query may hold: answers are by fqid, and another owner or repository may
    have a job of the same number in the lane. As good as always they are all in one group."""
    groups: list[tuple[dict[int, tuple[str, str]], list[Batch]]] = []
    for batch in batches:
        master = batch.master
        whose = (master.owner, master.repository)
        for numbers, group in groups:
            if numbers.setdefault(master.id, whose) == whose:
                group.append(batch)
                break
        else:
            groups.append(({master.id: whose}, [batch]))
    return [group for _, group in groups]


def _items(batch: Batch) -> dict[int, PollItem]:
    return {
        sub: PollItem(
            fqid=job.fqid,
            native_id=batch.specs[sub].native_id,
            status=job.status,
            output=batch.master.output(sub),
            extra=batch.specs[sub].extra,
        )
        for sub, job in batch.jobs.items()
        if job.status in POLLED
    }
