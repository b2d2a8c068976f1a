"""Commits: steps applied by compare-and-set, with everything that follows in the same verb."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gangamon.domain.effect import Stage, following
from gangamon.domain.status import JobStatus
from gangamon.errors import LeaseLost
from gangamon.protocols import Change, Committed, Master
from gangamon.store import codec
from gangamon.store.base import StoreBase
from gangamon.store.keys import job_member, master_member


class Commits(StoreBase):
    """See ``protocols.JobStore``: commit, commit_stage."""

    def commit(
        self,
        token: str,
        member: str,
        master: Master,
        changes: Sequence[Change],
        again: float | None,
        aligned: bool = True,
    ) -> Committed:
        owner, repository = master.owner, master.repository
        base = self.keys.master(owner, repository, master.id)
        fetch, merge = f"fetch.{owner}", f"merge.{owner}"
        queue = self._queue_of(member, master)
        interval = "" if again is None else str(max(1, round(again * 1000)))
        self._check()
        args: list[str | int | float] = [
            token,
            member,
            interval,
            "1" if aligned else "0",
            master.id,
            f"{owner}:{repository}:{master.id}",
            fetch,
            merge,
        ]
        for change in changes:
            args += self._change(master, change)
        claim, leases, slots = self._claim_keys(token, queue)
        answer = self._run(
            "commit",
            [
                claim if token else self.keys.of("taken", owner),
                leases,
                slots,
                self.keys.waiting(queue, member),
                self.keys.of("tries", queue),
                base,
                f"{base}:state",
                f"{base}:facts",
                self.keys.updates(owner, repository),
                self.keys.due(fetch),
                self.keys.due(merge),
                self.keys.of("queues"),
                self.keys.of("strikes", queue),
                self.keys.of("b", member) if queue.startswith("poll.") else "",
                self.keys.of("dead"),
                self.keys.of("epoch"),
            ],
            args,
        )
        if answer[0] == -1:
            raise LeaseLost(f"claim {token} no longer holds {member}")
        if answer[0] == -2:
            return Committed(0, len(changes))
        due = (fetch,) * (answer[2] > 0) + (merge,) * (answer[3] > 0)
        return Committed(answer[0], answer[1], due)

    def _change(self, master: Master, change: Change) -> list[str | int | float]:
        before, after = change.before, change.step.job
        moved = change.step.moved(before)
        fetch = ""
        if Stage.FETCH in change.step.effects:
            fetch = job_member(
                master.owner, master.repository, master.id, change.sub, after.attempt
            )
        return [
            change.sub,
            before.state,
            after.state if moved else "",
            before.status.value,
            after.status.value,
            codec.dump_facts(after),
            codec.dump_update(change.sub, after) if moved else "",
            fetch,
        ]

    def commit_stage(
        self,
        token: str,
        member: str,
        master: Master,
        stage: Stage,
        result: Mapping[str, Any],
        final: JobStatus | None,
    ) -> Committed:
        after = following(stage)
        queue = f"{stage}.{master.owner}"
        next_queue = f"{after}.{master.owner}" if after else ""
        answer = self._run(
            "commit_stage",
            [
                *self._claim_keys(token, queue),
                self.keys.of("tries", queue),
                self.keys.master(master.owner, master.repository, master.id),
                self.keys.updates(master.owner, master.repository),
                self.keys.due(next_queue),
                self.keys.of("queues"),
                self.keys.of("strikes", queue),
                self.keys.of("ended"),
            ],
            [
                token,
                member,
                stage.value,
                master.attempt,
                codec.dumps(dict(result)),
                next_queue,
                after.value if after else "",
                final.value if final else "",
                master.id,
                self.epoch(),
                master_member(master.owner, master.repository, master.id, master.attempt),
                f"{master.owner}:{master.repository}:{master.id}",
            ],
        )
        if answer == -1:
            raise LeaseLost(f"claim {token} no longer holds {member}")
        return Committed(answer, 1 - answer, (next_queue,) if answer and next_queue else ())
