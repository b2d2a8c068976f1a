"""Reading masters, jobs and batches. Nothing here writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from gangamon.domain.command import JobSpec
from gangamon.domain.job import Job, decode_state
from gangamon.domain.status import JobStatus
from gangamon.protocols import Batch, Fetchable, Lease, Master
from gangamon.store import codec
from gangamon.store.base import StoreBase
from gangamon.store.connection import granted, translated

#: States read by one call: so many do not hold Redis.
PORTION = 1000

#: Records of masters that are asked for at once.
RECORDS = 200


class Reads(StoreBase):
    """See ``protocols.JobStore``: master, records, jobs, states, native_ids, fetchable, batches,
    queues, leases."""

    def master(self, owner: str, repository: str, master: int) -> Master | None:
        return next(iter(self.records(owner, repository, [master])), None)

    def records(self, owner: str, repository: str, masters: Sequence[int]) -> Sequence[Master]:
        found: list[Master] = []
        for first in range(0, len(masters), RECORDS):
            numbers = masters[first : first + RECORDS]
            with translated(self.url):
                pipe = self._redis.pipeline(transaction=False)
                pipe.hmget(self.keys.of("repo", owner, repository), "roots", "rates")
                for number in numbers:
                    pipe.hgetall(self.keys.master(owner, repository, number))
                (roots, rates), *answers = pipe.execute()
            below = tuple(json.loads(roots)) if roots else ()
            wishes = json.loads(rates) if rates else {}
            found += [
                codec.load_master(owner, repository, number, fields, below, wishes)
                for number, fields in zip(numbers, answers, strict=True)
                if fields
            ]
        return found

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

    def states(self, master: Master) -> Mapping[int, tuple[int, int, JobStatus]]:
        key = f"{self.keys.master(master.owner, master.repository, master.id)}:state"
        subs = list(map(str, range(master.total)))  # Ganga's numbers
        with translated(self.url):
            known, found = self._read(key, subs)
            if known > len(found) - found.count(None):  # others too: a job that was not split
                subs = sorted(cast("list[str]", self._redis.hkeys(key)), key=int)
                known, found = self._read(key, subs)
        return {int(s): decode_state(t) for s, t in zip(subs, found, strict=True) if t}

    def _read(self, key: str, subs: Sequence[str]) -> tuple[int, list[str | None]]:
        """How many there are, and the states of these."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.hlen(key)
        for first in range(0, len(subs), PORTION):
            pipe.hmget(key, list(subs[first : first + PORTION]))
        known, *portions = pipe.execute()
        return int(known), [state for portion in portions for state in portion]

    def native_ids(self, master: Master, subs: Sequence[int]) -> Mapping[int, str]:
        if not subs:
            return {}
        key = f"{self.keys.master(master.owner, master.repository, master.id)}:spec"
        with translated(self.url):
            pipe = self._redis.pipeline(transaction=False)
            for first in range(0, len(subs), PORTION):
                pipe.hmget(key, [str(sub) for sub in subs[first : first + PORTION]])
            texts = [text for portion in pipe.execute() for text in portion]
        specs = codec.loads(texts)
        return {sub: str(spec[0]) for sub, spec in zip(subs, specs, strict=True) if spec}

    def queues(self) -> Sequence[str]:
        with translated(self.url):
            return sorted(cast("set[str]", self._redis.smembers(self.keys.of("queues"))))

    def leases(self, limit: int) -> Sequence[Lease]:
        with translated(self.url):
            found = cast(
                "list[tuple[str, float]]",
                self._redis.zrange(self.keys.of("leases"), 0, limit - 1, withscores=True),
            )
            pipe = self._redis.pipeline(transaction=False)
            for token, _ in found:
                pipe.hmget(self.keys.of("claim", token), "q", "by", "left", "jobs")
            # An owner's client sees the owner's only.
            rows = [row or [None] * 4 for row in granted(pipe.execute(raise_on_error=False))]
        return [
            Lease(queue, by or "", int(left or 0), int(jobs or 0), expires / 1000)
            for (_, expires), (queue, by, left, jobs) in zip(found, rows, strict=True)
            if queue
        ]

    def put_off(self, queue: str, member: str) -> tuple[int, str]:
        with translated(self.url):
            tries, reason = self._redis.hmget(
                self.keys.of("tries", queue), [member, f"why:{member}"]
            )
        return int(tries or 0), str(reason or "")
