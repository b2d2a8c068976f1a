"""Commands: from the inbox into the state, each by one verb."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from gangamon.domain.command import Enqueue, JobSpec, Register, Withdraw
from gangamon.domain.job import Entry, Job
from gangamon.protocols import Master
from gangamon.store import codec
from gangamon.store.connection import translated
from gangamon.store.keys import batch_member
from gangamon.store.reads import Reads

#: Batches that one script makes due where a master is refreshed. While the append-only file is
#: rewritten, 100 held Redis for 20 to 40 ms: each page that is written to is copied first.
REFRESHED = 25


def first_state(command: Enqueue, spec: JobSpec) -> Job:
    """A job as it is taken in: Ganga's status is its first history entry."""
    fqid = f"{command.master}.{spec.sub}" if spec.sub >= 0 else str(command.master)
    entry = Entry(spec.attempt, 0, spec.status, 0.0, "ganga")
    return Job(fqid, spec.attempt, spec.status, history=(entry,))


class Intake(Reads):
    """See ``protocols.JobStore``: from inbox to refresh, and what is kept how long."""

    def inbox(self, limit: int) -> Sequence[tuple[str, str, Mapping[str, Any]]]:
        found: list[tuple[str, str, Mapping[str, Any]]] = []
        with translated(self.url):
            for owner in sorted(cast("set[str]", self._redis.smembers(self.keys.of("owners")))):
                entries = cast(
                    "list[tuple[str, dict[str, str]]]",
                    self._redis.xrange(self.keys.inbox(owner), count=limit),
                )
                found += [(owner, entry, fields) for entry, fields in entries]
        return found

    def register(self, owner: str, command: Register) -> None:
        with translated(self.url):
            pipe = self._redis.pipeline(transaction=True)
            pipe.hset(
                self.keys.of("repo", owner, command.repository),
                mapping={
                    "roots": codec.dumps(list(command.roots)),
                    "rates": codec.dumps(dict(command.rates)),
                },
            )
            pipe.sadd(self.keys.of("repos"), f"{owner}:{command.repository}")
            pipe.execute()

    def roots(self, owner: str, repository: str) -> tuple[str, ...] | None:
        with translated(self.url):
            text = self._redis.hget(self.keys.of("repo", owner, repository), "roots")
        return tuple(json.loads(cast(str, text))) if text is not None else None

    def enqueue(self, owner: str, entry: str, command: Enqueue) -> Sequence[str]:
        base = self.keys.master(owner, command.repository, command.master)
        member = batch_member(owner, command.repository, command.master, 0)[:-1]
        queue = f"poll.{command.lane}"
        fields: dict[str, str | int] = {
            "name": command.name,
            "lane": str(command.lane),
            "total": command.total,
            "workspace": command.workspace,
            "mergers": codec.dump_parts(command.mergers),
            "checkers": codec.dump_parts(command.checkers),
            "observe": "1" if command.observe else "",
            "notifiers": codec.dump_parts(command.notifiers),
        }
        args: list[str | int | float] = [
            entry,
            command.id,
            command.master,
            member,
            self.keys.of("b", member),
            queue,
            self.epoch(),
            len(fields),
        ]
        for name, value in fields.items():
            args += [name, value]
        for spec in command.jobs:
            job = first_state(command, spec)
            args += [
                spec.sub,
                spec.attempt,
                spec.status.value,
                job.state,
                codec.dump_spec(spec),
                codec.dump_facts(job, "{}"),
            ]
        answer = self._run(
            "take_in",
            [
                self.keys.inbox(owner),
                self.keys.updates(owner, command.repository),
                *self._master_keys(base),
                self.keys.of("masters", owner, command.repository),
                self.keys.waiting(queue, member),
                self.keys.of("queues"),
                self.keys.of("taken", owner),
                self.keys.of("ring", queue),
                self.keys.of("dead"),
                self.keys.of("counted"),
            ],
            args,
        )
        if answer[0] == "otherwise":
            return [
                f"observe: got {str(command.observe).lower()}, and job {command.master} was handed "
                "over otherwise; accepted: the same, until it is withdrawn"
            ]
        if answer[0] != "conflict":
            return ()
        sub = int(answer[1])
        given = next(s for s in command.jobs if s.sub == sub)
        fqid = f"{command.master}.{sub}" if sub >= 0 else str(command.master)
        return [
            f"jobs: {fqid} attempt {given.attempt} is enqueued already with other content: "
            f"has {answer[2]}, got {codec.dump_spec(given)}; accepted: the same, or a new attempt"
        ]

    def withdraw(self, owner: str, entry: str, command: Withdraw) -> None:
        master = self.master(owner, command.repository, command.master)
        if master is not None:
            member = batch_member(owner, command.repository, command.master, 0)[:-1]
            self._run(
                "withdraw",
                [
                    *self._kept(master, member),
                    self.keys.of("taken", owner),
                    self.keys.of("dead"),
                    self.keys.of("ended"),
                    self.keys.of("grown", owner),
                    self.keys.due(f"grow.{owner}"),
                    self.keys.of("queues"),
                    self.keys.of("counted"),
                ],
                [command.master, member, self.keys.of("b", member), command.id, f"grow.{owner}"],
            )
        self.acknowledge(owner, entry, command.id, command.repository)

    def ended(self, older: float, limit: int) -> Sequence[tuple[str, str, int]]:
        with translated(self.url):
            seconds, _ = self._redis.time()
            found = cast(
                "list[str]",
                self._redis.zrangebyscore(
                    self.keys.of("ended"), "-inf", round((seconds - older) * 1000), 0, limit
                ),
            )
        names = [name.split(":") for name in found]
        return [(owner, repository, int(number)) for owner, repository, number in names]

    def prune(self, owner: str, repository: str, master: int, older: float) -> bool:
        member = batch_member(owner, repository, master, 0)[:-1]
        record = self.master(owner, repository, master)
        if record is None:
            with translated(self.url):
                self._redis.zrem(self.keys.of("ended"), member[:-1])
            return False
        answer = self._run(
            "prune",
            [
                *self._kept(record, member),
                self.keys.of("dead"),
                self.keys.of("ended"),
                self.keys.of("counted"),
            ],
            [master, member, self.keys.of("b", member), round(older * 1000)],
        )
        return bool(answer)

    def my_turn(self, what: str, seconds: float) -> bool:
        with translated(self.url):
            key, pause = self.keys.of("turn", what), round(seconds * 1000)
            return bool(self._redis.set(key, "1", nx=True, px=pause))

    def _kept(self, master: Master, member: str) -> list[str]:
        """The keys of a master, the set it stands in, and what its batches wait in."""
        return [
            *self._master_keys(self.keys.master(master.owner, master.repository, master.id)),
            self.keys.of("masters", master.owner, master.repository),
            self.keys.waiting(f"poll.{master.lane}", member),
        ]

    def acknowledge(
        self, owner: str, entry: str, command_id: str, repository: str, why: str = ""
    ) -> None:
        epoch = self.epoch()
        self._run(
            "acknowledge",
            [
                self.keys.inbox(owner),
                self.keys.updates(owner, repository),
                self.keys.of("taken", owner),
            ],
            [entry, command_id, epoch, why],
        )

    def taken(self, owner: str, command_id: str) -> bool:
        with translated(self.url):
            return self._redis.zscore(self.keys.of("taken", owner), command_id) is not None

    def refresh(self, owner: str, repository: str, master: int) -> None:
        record = self.master(owner, repository, master)
        if record is None:
            return
        member = batch_member(owner, repository, master, 0)[:-1]
        base = self.keys.master(owner, repository, master)
        keys = [base, self.keys.waiting(f"poll.{record.lane}", member)]
        first = 1
        while first:
            first = self._run("refresh", keys, [member, first, REFRESHED])
