"""A master's subjobs held in memory: filtered, searched, grouped and paged without asking Redis for
all of them each time."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any

from gangamon.domain.job import Job
from gangamon.domain.status import FINAL, RANK, JobStatus
from gangamon.protocols import Master
from gangamon.views.dead import EXAMPLES, cause_of

if TYPE_CHECKING:
    from gangamon.client import Client, JobUpdate

#: Jobs whose facts are read at once: a quarter of a millisecond of Redis.
PORTION = 500

#: Seconds after which the facts of jobs that have not ended are read again: they may change
#: without a transition.
FRESH = 60.0

#: States are read again at most for one part in so many of the time.
SPARING = 20

#: Seconds without an update after which it is not on its way any more: counts that differ until
#: then are those of a transition that is about to be told.
QUIET = 5.0

#: Updates that wait until somebody looks; of more the states are read again.
NEWS = 2000

#: Sites named with a cause, and causes told.
SITES, CAUSES = 5, 200


@dataclass(frozen=True)
class Wanted:
    """Which subjobs. ``text``: in the number, the backend's id, its status, the site or the reason,
    in any case; ``site``: exactly (None: any); ``cause``: a key of ``causes``. Empty: all."""

    statuses: frozenset[JobStatus] = frozenset()
    text: str = ""
    site: str | None = None
    cause: str = ""

    @property
    def needs_facts(self) -> bool:
        return bool(self.text or self.cause or self.site is not None)


@dataclass(frozen=True)
class _Fact:
    site: str
    exit_code: int | None
    cause: str
    ended_at: float | None
    words: str


def reason_of(job: Job) -> str:
    """Why it is not well, or not all of its outputs are here: one line, '' if nothing says so."""
    for check in job.checks:
        if not check.ok:
            return f"{check.kind}: {check.reason or 'failed'}"
    if job.evidence is None or job.status is JobStatus.COMPLETED:
        return f"left out of its outputs: {'; '.join(job.left_out)}" if job.left_out else ""
    return job.evidence.reason or job.evidence.native_status


class Subjobs:
    """Of one master. Safe between threads. ``apply`` keeps it in step with the updates; ``refresh``
    reads the states, again where the master's own counts say that something else has happened."""

    def __init__(self, client: Client, master: Master) -> None:
        self._client = client
        self._lock = RLock()
        self.master = master
        self._states: dict[int, tuple[int, int, JobStatus]] = {}
        self._counts: Counter[JobStatus] = Counter()
        self._facts: dict[int, _Fact] = {}
        self._natives: dict[int, str] = {}
        self._stale: set[int] = set()
        self._checked = self._again = self._loaded_at = self._told_at = 0.0
        self._found: dict[Wanted, tuple[float, list[int]]] = {}
        self._news: deque[Sequence[JobUpdate]] = deque(maxlen=NEWS)
        self._loaded = False

    def apply(self, jobs: Sequence[JobUpdate]) -> None:
        """Transitions, in any order, old ones too. Does not wait: who looks next takes
        them in."""
        self._news.append(jobs)

    def refresh(self, master: Master) -> None:
        """``master``: its record as it is now. Raises StoreUnavailable."""
        with self._lock:
            missed = len(self._news) == NEWS
            self._catch_up()
            new = missed or not self._loaded or master.attempt != self.master.attempt
            self.master = master
            if new or (time.monotonic() >= self._again and self._wrong(master)):
                self._load()

    def page(
        self, wanted: Wanted, first: int, size: int
    ) -> tuple[int, Mapping[int, Job], Mapping[int, str]]:
        """How many there are, and ``size`` of them from the ``first`` on, by number, as they are in
        the store now; and what the backend calls these. Raises StoreUnavailable."""
        with self._lock:
            self._catch_up()
            found = self._select(wanted)
            subs = found[first : first + size]
            master = self.master
        jobs = self._client.jobs(master, subs)
        there = {sub: jobs[sub] for sub in subs if sub in jobs}
        return len(found), there, self._client.native_ids(master, list(there))

    def causes(self) -> list[dict[str, Any]]:
        """Failed and killed subjobs by cause, the most frequent first, ``CAUSES`` at most; times in
        seconds since the epoch. ``key`` finds them again (``Wanted.cause``). Raises
        StoreUnavailable."""
        with self._lock:
            self._catch_up()
            failed = [s for s, state in self._states.items() if state[2] in _NOT_WELL]
            self._learn(failed)
            groups: dict[str, list[int]] = defaultdict(list)
            for sub in failed:
                if fact := self._facts.get(sub):
                    groups[fact.cause].append(sub)
            found = [self._group(key, subs) for key, subs in groups.items()]
        return sorted(found, key=lambda group: (-group["count"], group["key"]))[:CAUSES]

    def sites(self) -> dict[str, dict[str, int]]:
        """Site -> status -> subjobs; '' where no site is known. Raises StoreUnavailable."""
        with self._lock:
            self._catch_up()
            self._learn(self._states)
            found: dict[str, Counter[str]] = defaultdict(Counter)
            for sub, (_, _, status) in self._states.items():
                if fact := self._facts.get(sub):
                    found[fact.site][status.value] += 1
        return {site: dict(counts) for site, counts in found.items()}

    def forget_facts(self) -> None:
        """They take more room than all else."""
        with self._lock:
            self._facts, self._natives, self._stale = {}, {}, set()

    # --- within the lock --------------------------------------------------------------------

    def _wrong(self, master: Master) -> bool:
        """Whether something has happened of which no update tells."""
        now = time.monotonic()
        if self._counts.total() != sum(master.counts.values()):
            return True
        late = now - self._told_at > QUIET or now - self._loaded_at > FRESH
        return late and +self._counts != +Counter(master.counts)

    def _catch_up(self) -> None:
        if self._news:
            self._told_at = time.monotonic()
        while self._news:
            for job in self._news.popleft():
                state = (job.attempt, job.restart, job.status)
                old = self._states.get(job.sub)
                if old is not None:
                    if _version(state) <= _version(old):
                        continue
                    self._counts[old[2]] -= 1
                self._states[job.sub] = state
                self._counts[job.status] += 1
                self._stale.add(job.sub)

    def _load(self) -> None:
        begun = time.monotonic()
        found = dict(self._client.states(self.master))
        self._stale |= {s for s, state in found.items() if self._states.get(s) != state}
        self._states, self._loaded = found, True
        self._counts = Counter(status for _, _, status in found.values())
        self._found = {}
        self._loaded_at = self._told_at = now = time.monotonic()
        self._again = now + max(1.0, SPARING * (now - begun))

    def _select(self, wanted: Wanted) -> list[int]:
        """The same for all who ask within a second: a sweep over 100,000 takes 10 ms and more."""
        now = time.monotonic()
        at, found = self._found.get(wanted, (-1.0, []))
        if at >= 0 and now - at < 1.0:
            return found
        rows = self._states.items()
        if wanted.statuses:
            found = [sub for sub, state in rows if state[2] in wanted.statuses]
        else:
            found = list(self._states)
        if wanted.needs_facts:
            self._learn(found, natives=bool(wanted.text))
            found = [sub for sub in found if self._matches(sub, wanted)]
        found.sort()
        if len(self._found) >= 32:
            self._found.clear()
        self._found[wanted] = (time.monotonic(), found)
        return found

    def _matches(self, sub: int, wanted: Wanted) -> bool:
        fact = self._facts.get(sub)
        if fact is None:
            return False
        if wanted.site is not None and fact.site != wanted.site:
            return False
        if wanted.cause and fact.cause != wanted.cause:
            return False
        text = wanted.text.lower()
        return not text or text in fact.words or text in self._natives.get(sub, "").lower()

    def _learn(self, subs: Iterable[int], natives: bool = False) -> None:
        """Read the facts of those of which none are known, or old ones."""
        now = time.monotonic()
        if now - self._checked > FRESH:
            self._checked = now
            self._stale |= {s for s, state in self._states.items() if state[2] not in FINAL}
        # What was applied is in the store: the commit that wrote the one wrote the other.
        missing = [sub for sub in subs if sub in self._stale or sub not in self._facts]
        for first in range(0, len(missing), PORTION):
            some = missing[first : first + PORTION]
            for sub, job in self._client.jobs(self.master, some).items():
                self._facts[sub] = self._fact(sub, job)
            self._stale.difference_update(some)
        if natives:
            unknown = [sub for sub in subs if sub not in self._natives]
            for first in range(0, len(unknown), PORTION):
                some = unknown[first : first + PORTION]
                self._natives.update(self._client.native_ids(self.master, some))

    def _fact(self, sub: int, job: Job) -> _Fact:
        evidence, reason = job.evidence, reason_of(job)
        code = evidence.exit_code if evidence else None
        cause = f"{cause_of(reason)}|{'' if code is None else code}"
        words = f"{job.fqid} {job.native_status} {job.site} {reason}".lower()
        return _Fact(job.site, code, cause, evidence.ended_at if evidence else None, words)

    def _group(self, key: str, subs: Sequence[int]) -> dict[str, Any]:
        facts = [self._facts[sub] for sub in subs]
        times = [fact.ended_at for fact in facts if fact.ended_at]
        return {
            "key": key,
            "cause": key.rpartition("|")[0] or "no reason given",
            "exit_code": facts[0].exit_code,
            "count": len(subs),
            "statuses": dict(Counter(self._states[sub][2].value for sub in subs)),
            "sites": dict(Counter(fact.site for fact in facts).most_common(SITES)),
            "first": min(times, default=None),
            "last": max(times, default=None),
            "examples": [self.master.fqid(sub) for sub in sorted(subs)[:EXAMPLES]],
        }


_NOT_WELL = frozenset({JobStatus.FAILED, JobStatus.KILLED})


def _version(state: tuple[int, int, JobStatus]) -> tuple[int, int, int]:
    return state[0], state[1], RANK[state[2]]
