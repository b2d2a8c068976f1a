"""Commits: steps applied by compare-and-set, with everything that follows in the same verb."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gangamon.domain.effect import Stage, following
from gangamon.domain.status import JobStatus
from gangamon.errors import LeaseLost
from gangamon.protocols import NOTHING, Change, Committed, Master, Outcome, Written
from gangamon.store import codec
from gangamon.store.base import StoreBase
from gangamon.store.connection import translated
from gangamon.store.keys import master_member

#: What is sent at once: so many changes, where a member without any counts as EACH.
PORTION, EACH = 500, 10


class Commits(StoreBase):
    """See ``protocols.JobStore``: commit, commit_all, commit_stage."""

    def commit(
        self,
        token: str,
        member: str,
        master: Master,
        changes: Sequence[Change],
        again: float | None,
        aligned: bool = True,
        grow: float | None = None,
        brought: Written = NOTHING,
    ) -> Committed:
        self._check()
        phase = 0.0 if aligned else None
        keys, args = self._call(token, member, master, changes, again, phase, grow, brought)
        done = _committed(self._run("commit", keys, args), changes, master)
        if done is None:
            raise LeaseLost(f"claim {token} no longer holds {member}")
        return done

    def commit_all(self, token: str, outcomes: Sequence[Outcome]) -> Sequence[Committed | None]:
        self._check()
        done: list[Committed | None] = []
        for some in _portions(outcomes):
            calls = [
                self._call(token, o.member, o.master, o.changes, o.again, o.phase) for o in some
            ]
            with translated(self.url):
                answers = self._scripts.run_all("commit", calls)
            done += [
                _committed(answer, outcome.changes, outcome.master)
                for answer, outcome in zip(answers, some, strict=True)
            ]
        return done

    def _call(
        self,
        token: str,
        member: str,
        master: Master,
        changes: Sequence[Change],
        again: float | None,
        phase: float | None,
        grow: float | None = None,
        brought: Written = NOTHING,
    ) -> tuple[list[str], list[str | int | float]]:
        """Keys and arguments of the verb. ``phase``: None: not aligned."""
        owner, repository = master.owner, master.repository
        base = self.keys.master(owner, repository, master.id)
        fetch, merge, growing = f"fetch.{owner}", f"merge.{owner}", f"grow.{owner}"
        queue = self._queue_of(member, master)
        claim, leases, slots = self._claim_keys(token, queue)
        keys = [
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
            self.keys.due(growing),
            self.keys.of("counted"),
        ]
        args: list[str | int | float] = [
            token,
            member,
            "" if again is None else str(max(1, round(again * 1000))),
            "" if phase is None else str(round(phase, 6)),
            master.id,
            f"{owner}:{repository}:{master.id}",
            fetch,
            merge,
            growing,
            "" if grow is None else str(round(grow * 1000)),
            brought.files,
            brought.bytes,
        ]
        for change in changes:
            before, after = change.before, change.step.job
            moved = change.step.moved(before)
            attributes = codec.dumps(dict(after.attributes))
            args += (
                change.sub,
                before.state,
                after.state if moved else "",
                codec.dump_facts(after, attributes),
                codec.dump_update(change.sub, after, attributes) if moved else "",
                after.attempt if Stage.FETCH in change.step.effects else "",
            )
        return keys, args

    def commit_stage(
        self,
        token: str,
        member: str,
        master: Master,
        stage: Stage,
        result: Mapping[str, Any],
        final: JobStatus | None,
        written: Written = NOTHING,
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
                self.keys.of("grown", master.owner),
                self.keys.of("counted"),
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
                written.files,
                written.bytes,
            ],
        )
        if answer == -1:
            raise LeaseLost(f"claim {token} no longer holds {member}")
        return Committed(answer, 1 - answer, (next_queue,) if answer and next_queue else ())


def _portions(outcomes: Sequence[Outcome]) -> Iterator[list[Outcome]]:
    """As many at once as Redis may have before it, and this process in its hands."""
    some: list[Outcome] = []
    size = 0
    for outcome in outcomes:
        some.append(outcome)
        size += len(outcome.changes) + EACH
        if size >= PORTION:
            yield some
            some, size = [], 0
    if some:
        yield some


def _committed(answer: list[int], changes: Sequence[Change], master: Master) -> Committed | None:
    if answer[0] == -1:
        return None
    if answer[0] == -2:
        return Committed(0, len(changes))
    owner = master.owner
    due = (f"fetch.{owner}",) * (answer[2] > 0) + (f"merge.{owner}",) * (answer[3] > 0)
    return Committed(answer[0], answer[1], due)
