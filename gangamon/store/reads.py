"""Reading masters, jobs and batches. Nothing here writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from gangamon.domain.command import JobSpec
from gangamon.domain.job import Job
from gangamon.protocols import Batch, Master
from gangamon.store import codec
from gangamon.store.base import StoreBase
from gangamon.store.connection import translated


class Reads(StoreBase):
    """See ``protocols.JobStore``: master, jobs, specs, batches."""

    def master(self, owner: str, repository: str, master: int) -> Master | None:
        with translated(self.url):
            pipe = self._redis.pipeline(transaction=False)
            pipe.hgetall(self.keys.master(owner, repository, master))
            pipe.hget(self.keys.of("repo", owner, repository), "roots")
            fields, roots = pipe.execute()
        if not fields:
            return None
        return codec.load_master(
            owner, repository, master, fields, tuple(json.loads(roots)) if roots else ()
        )

    def jobs(self, master: Master, subs: Iterable[int] | None) -> Mapping[int, Job]:
        base = self.keys.master(master.owner, master.repository, master.id)
        with translated(self.url):
            if subs is None:
                states = cast("dict[str, str]", self._redis.hgetall(f"{base}:state"))
                facts = cast("dict[str, str]", self._redis.hgetall(f"{base}:facts"))
            else:
                wanted = [str(sub) for sub in subs]
                if not wanted:
                    return {}
                pipe = self._redis.pipeline(transaction=True)
                pipe.hmget(f"{base}:state", wanted)
                pipe.hmget(f"{base}:facts", wanted)
                found = pipe.execute()
                states = dict(zip(wanted, found[0], strict=True))
                facts = dict(zip(wanted, found[1], strict=True))
        return {
            int(sub): codec.load_job(master.fqid(int(sub)), state, facts.get(sub) or "{}")
            for sub, state in states.items()
            if state
        }

    def specs(self, master: Master, subs: Iterable[int]) -> Mapping[int, JobSpec]:
        base = self.keys.master(master.owner, master.repository, master.id)
        wanted = [str(sub) for sub in subs]
        if not wanted:
            return {}
        with translated(self.url):
            pipe = self._redis.pipeline(transaction=True)
            pipe.hmget(f"{base}:state", wanted)
            pipe.hmget(f"{base}:spec", wanted)
            states, specs = pipe.execute()
        return {
            int(sub): codec.load_spec(int(sub), state, text)
            for sub, state, text in zip(wanted, states, specs, strict=True)
            if state and text
        }

    def batches(self, ids: Sequence[str]) -> Sequence[Batch]:
        masters: dict[tuple[str, str, int], Master | None] = {}
        found = []
        for member in ids:
            owner, repository, number, batch = member.rsplit(":", 3)
            key = (owner, repository, int(number))
            if key not in masters:
                masters[key] = self.master(*key)
            master = masters[key]
            if master is not None:
                found.append(self._batch(member, master, batch))
        return found

    def _batch(self, member: str, master: Master, number: str) -> Batch:
        base = self.keys.master(master.owner, master.repository, master.id)
        with translated(self.url):
            text = self._redis.hget(self.keys.of("b", member), "subs")
            subs: list[str] = json.loads(cast(str, text)) if text else []
            current = cast("list[str]", self._redis.hmget(f"{base}:batch", subs)) if subs else []
        # A job that was resubmitted is asked about in its newer batch only.
        mine = [int(sub) for sub, latest in zip(subs, current, strict=True) if latest == number]
        return Batch(member, master, self.specs(master, mine), self.jobs(master, mine))
