"""What the stages of a master job share: its claim, its record, its result."""

from __future__ import annotations

import logging
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from gangamon.domain.effect import Stage, following
from gangamon.domain.rollup import rollup
from gangamon.domain.status import JobStatus
from gangamon.errors import LeaseLost, TransientError
from gangamon.protocols import NOTHING, JobStore, Master, Written
from gangamon.services.due import Dispatcher
from gangamon.services.hold import held
from gangamon.services.leases import LeaseKeeper
from gangamon.services.mode import given_back
from gangamon.services.trail import about_member, step

log = logging.getLogger(__name__)

RETRY_BASE, RETRY_CAP = 2.0, 300.0

#: Seconds until a master whose failed subjobs may be resubmitted is looked at again.
HELD = 5.0

#: A stage that fails by a bug (of a plugin, of ours) is given up after so many tries.
BUG_TRIES = 5


class MasterStage(ABC):
    """Works one claim of an owner's queue for one stage. Running twice changes nothing."""

    stage: Stage

    def __init__(self, store: JobStore, keeper: LeaseKeeper, dispatcher: Dispatcher) -> None:
        self.store = store
        self._keeper = keeper
        self._dispatcher = dispatcher

    @abstractmethod
    def work(self, master: Master, token: str, member: str) -> Mapping[str, Any]:
        """Do it, for this member of the claim; the result, as json. TransientError: later again."""

    def written(self, result: Mapping[str, Any]) -> Written:
        """What a result says that ``work`` has written."""
        return NOTHING

    def failure(self, master: Master, reason: str) -> Mapping[str, Any]:
        """The result of a stage that was given up."""
        return {"ok": False, "reason": reason}

    def run(self, token: str, worker: str) -> int:
        """1 if the stage ended, 0 if there was nothing to do or it was put off."""
        claim = self.store.begin(token, worker, self._keeper.lease)
        if claim is None:
            return 0
        done = 0
        with self._keeper.hold(token):
            self._dispatcher.push([claim.queue])  # one claim less waits: the next may
            for member in claim.members:
                with about_member(claim.queue, member), step(self.stage.value):
                    try:
                        done += self._one(token, claim.queue, member)
                    except LeaseLost as error:
                        log.warning("%s: not committed, another has it", error)
        return done

    def _one(self, token: str, queue: str, member: str) -> int:
        name, attempt = member.rsplit("@", 1)
        owner, repository, number = name.rsplit(":", 2)
        master = self.store.master(owner, repository, int(number))
        if master is None or master.attempt != int(attempt) or master.phase != self.stage:
            self.store.drop(token, queue, member)  # withdrawn, resubmitted or done
            return 0
        if master.observe:
            return self._commit(token, member, master, {"ok": True, "observed": True})
        if (wait := self._wait(master)) is not None:
            self.store.postpone(token, queue, member, wait)
            return 0
        try:
            result = self.work(master, token, member)
        except Exception as error:
            tries = self.store.tries(queue, member) + 1
            if not isinstance(error, TransientError):
                log.exception("%s of %s failed", self.stage, number)
                if tries >= BUG_TRIES:
                    reason = f"given up after {tries} tries: {type(error).__name__}: {error}"
                    return self._commit(token, member, master, self.failure(master, reason))
            wait = min(RETRY_CAP, RETRY_BASE * 2 ** min(tries - 1, 10)) * (0.5 + random.random())
            log.warning("%s of %s put off for %.0f s: %s", self.stage, number, wait, error)
            self.store.postpone(token, queue, member, wait, str(error))
            return 0
        return self._commit(token, member, master, result)

    def _wait(self, master: Master) -> float | None:
        """Seconds until its session may have decided whose the job is; None: it is ours."""
        if given_back(master.roots):
            return RETRY_CAP
        failed = self.stage is Stage.MERGE and master.counts.get(JobStatus.FAILED, 0)
        return HELD if failed and held(master.roots, master.id) else None

    def _commit(self, token: str, member: str, master: Master, result: Mapping[str, Any]) -> int:
        final = None
        if following(self.stage) is None:
            final = verdict(master, {**master.results, self.stage.value: result})
        written = self.written(result)
        done = self.store.commit_stage(token, member, master, self.stage, result, final, written)
        self._dispatcher.push(done.due)
        return done.applied


def verdict(master: Master, results: Mapping[str, Any]) -> JobStatus:
    """The master's final status: the roll-up of its subjobs, or failed if a stage failed, as
    Ganga's ``transition_update`` has it (GPIDev/Lib/Job/Job.py, 8.7.12)."""
    if any(not result.get("ok", True) for result in results.values()):
        return JobStatus.FAILED
    return rollup(master.counts) or JobStatus.FAILED
