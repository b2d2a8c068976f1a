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
            pipe.hmget(self.keys.of("repo", owner, repository), "roots", "rates")
            fields, (roots, rates) = pipe.execute()
        if not fields:
            return None
        return codec.load_master(
            owner,
            repository,
            master,
            fields,
            tuple(json.loads(roots)) if roots else (),
            json.loads(rates) if rates else {},
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
        known = [(sub, state) for sub, state in states.items() if state]
        loaded = codec.loads(facts.get(sub) for sub, _ in known)
        return {
            int(sub): codec.load_job(master.fqid(int(sub)), state, found)
            for (sub, state), found in zip(known, loaded, strict=True)
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
            int(sub): codec.load_spec(int(sub), state, spec)
            for sub, state, spec in zip(wanted, states, codec.loads(specs), strict=True)
            if state and spec
        }

    def batches(self, ids: Sequence[str]) -> Sequence[Batch]:
        masters: dict[tuple[str, str, int], Master | None] = {}
        mine: list[tuple[str, Master, str]] = []
        for member in ids:
            owner, repository, number, batch = member.rsplit(":", 3)
            key = (owner, repository, int(number))
            if key not in masters:
                masters[key] = self.master(*key)
            master = masters[key]
            if master is not None:
                mine.append((member, master, batch))
        with translated(self.url):
            pipe = self._redis.pipeline(transaction=False)
            for member, _, _ in mine:
                pipe.hmget(self.keys.of("b", member), "subs", "every")
            records = pipe.execute()
        return [
            self._batch(*batch, text, every)
            for batch, (text, every) in zip(mine, records, strict=True)
        ]

    def _batch(
        self, member: str, master: Master, number: str, text: str | None, every: str | None
    ) -> Batch:
        base = self.keys.master(master.owner, master.repository, master.id)
        subs: list[str] = json.loads(text) if text else []
        specs: dict[int, JobSpec] = {}
        jobs: dict[int, Job] = {}
        if subs:
            with translated(self.url):
                # One batch at a time: a pipeline of all would hold Redis for too long.
                pipe = self._redis.pipeline(transaction=True)
                for kind in ("batch", "state", "spec", "facts"):
                    pipe.hmget(f"{base}:{kind}", subs)
                latest, states, texts, facts = pipe.execute()
            rows = zip(
                map(int, subs), latest, states, codec.loads(texts), codec.loads(facts), strict=True
            )
            for sub, newest, state, spec, found in rows:
                # A job that was resubmitted is asked about in its newer batch only.
                if newest == number and state and spec:
                    specs[sub] = codec.load_spec(sub, state, spec)
                    jobs[sub] = codec.load_job(master.fqid(sub), state, found)
        interval = float(every) / 1000 if every else None
        return Batch(member, master, specs, jobs, interval)
