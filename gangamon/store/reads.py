"""Reading masters, jobs and batches. Nothing here writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from gangamon.domain.command import JobSpec
from gangamon.domain.job import Job
from gangamon.domain.status import JobStatus
from gangamon.protocols import Batch, Fetchable, Master
from gangamon.store import codec
from gangamon.store.base import StoreBase
from gangamon.store.connection import translated


class Reads(StoreBase):
    """See ``protocols.JobStore``: master, jobs, fetchable, batches."""

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

    def fetchable(self, members: Sequence[str]) -> Mapping[str, Fetchable]:
        wanted: dict[int, tuple[Master, list[tuple[str, str, int]]]] = {}
        for member, master, rest in self._with_masters(members):
            sub, _, attempt = rest.partition("@")
            wanted.setdefault(id(master), (master, []))[1].append((member, sub, int(attempt)))
        with translated(self.url):
            pipe = self._redis.pipeline(transaction=True)
            for master, mine in wanted.values():
                base = self.keys.master(master.owner, master.repository, master.id)
                for kind in ("state", "facts", "spec"):
                    pipe.hmget(f"{base}:{kind}", [sub for _, sub, _ in mine])
            answers = iter(pipe.execute())
        found = {}
        for master, mine in wanted.values():
            states, facts, specs = next(answers), codec.loads(next(answers)), next(answers)
            rows = zip(mine, states, facts, codec.loads(specs), strict=True)
            for (member, name, wanted_attempt), state, fact, spec in rows:
                if not state or not spec:
                    continue
                number = int(name)
                job = codec.load_job(master.fqid(number), state, fact)
                if job.attempt == wanted_attempt and job.status is JobStatus.COMPLETING:
                    loaded = codec.load_spec(number, state, spec)
                    found[member] = Fetchable(master, number, job, loaded)
        return found

    def _with_masters(self, members: Sequence[str]) -> list[tuple[str, Master, str]]:
        """(member O:R:M:X, its master, X) of those whose master is there."""
        masters: dict[tuple[str, str, int], Master | None] = {}
        found: list[tuple[str, Master, str]] = []
        for member in members:
            owner, repository, number, rest = member.rsplit(":", 3)
            key = (owner, repository, int(number))
            if key not in masters:
                masters[key] = self.master(*key)
            master = masters[key]
            if master is not None:
                found.append((member, master, rest))
        return found

    def batches(self, ids: Sequence[str]) -> Sequence[Batch]:
        mine = self._with_masters(ids)
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

    def put_off(self, queue: str, member: str) -> tuple[int, str]:
        with translated(self.url):
            tries, reason = self._redis.hmget(
                self.keys.of("tries", queue), [member, f"why:{member}"]
            )
        return int(tries or 0), str(reason or "")
