"""What must hold of every run, whatever died in it: from the update stream and from the store."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable

from gangamon.client import Client, Follower, JobUpdate, Update
from gangamon.domain.job import Version
from gangamon.domain.rollup import ended
from gangamon.domain.status import FINAL, LEGAL, RANK, JobStatus
from gangamon.errors import StoreUnavailable
from gangamon.store.redis import RedisStore
from tests.support.local_jobs import LocalMaster
from tests.support.waiting import until


class Watch:
    """A session: sends its commands again until they are acknowledged, and keeps all updates."""

    def __init__(self, client: Client, repository: str) -> None:
        self.client = client
        self.repository = repository
        self.updates: list[Update] = []
        self._follower = Follower(client, repository, "0")

    def look(self) -> None:
        """One round, as the adapter's thread does it. The service may be away."""
        try:
            self.client.flush()
            self.updates += self._follower.read(block=0.05, count=1000)
        except StoreUnavailable:
            time.sleep(0.05)  # as the adapter waits before it asks again

    def until(self, condition: Callable[[], object], within: float, what: str) -> None:
        """Look until ``condition`` holds; AssertionError after ``within`` seconds."""
        deadline = time.monotonic() + within
        while True:
            late = time.monotonic() > deadline  # before the last look, however long that lasts
            if condition():
                return
            if late:
                raise AssertionError(f"not within {within:.0f} s: {what}; {self._present()}")
            self.look()

    def finals(self, master: int, epoch: str = "") -> list[Update]:
        return [
            update
            for update in self.updates
            if update.final is not None and update.master == master and epoch in ("", update.epoch)
        ]

    def in_status(self, master: int, *statuses: JobStatus) -> int:
        """Subjobs whose newest update says one of these."""
        newest: dict[int, JobStatus] = {}
        for update in self.updates:
            if update.master == master:
                newest.update((job.sub, job.status) for job in update.jobs)
        return sum(status in statuses for status in newest.values())

    def _present(self) -> str:
        counts: dict[tuple[int, str], int] = defaultdict(int)
        newest = {(u.master, job.sub): job.status for u in self.updates for job in u.jobs}
        for (master, _), status in newest.items():
            counts[master, status.value] += 1
        try:
            service = f"tick {self.client.tick_age()} s ago, lanes {self.client.lanes()}"
        except StoreUnavailable as error:
            service = str(error)
        return f"{dict(counts)}, {self.client.pending()} commands pending, {service}"


def check_updates(updates: Iterable[Update]) -> None:
    """Within one epoch: versions grow, pairs are legal, each end is told once, a master's after
    its subjobs'."""
    stories: dict[tuple[str, int, int, int], list[JobUpdate]] = defaultdict(list)
    finals: dict[tuple[str, int, int], int] = defaultdict(int)
    at: dict[str, float] = defaultdict(float)
    for update in updates:
        assert update.at >= at[update.epoch], "time went back"
        at[update.epoch] = update.at
        for job in update.jobs:
            stories[update.epoch, update.master, job.sub, job.attempt].append(job)
        if update.final is not None:
            finals[update.epoch, update.master, update.final.attempt] += 1
    first = next(iter(at), "")  # a later epoch begins with what the store still had
    for key, story in stories.items():
        _check_story(key, story, key[0] == first)
    doubled = {key: count for key, count in finals.items() if count != 1}
    assert not doubled, f"masters that ended more than once: {doubled}"


def _check_story(key: object, story: list[JobUpdate], whole: bool) -> None:
    told = [f"{job.restart}:{job.status}" for job in story]
    versions = [Version(job.attempt, job.restart, RANK[job.status]) for job in story]
    assert versions == sorted(set(versions)), f"{key}: versions do not grow: {told}"
    present, restart = JobStatus.SUBMITTED, 0
    for n, job in enumerate(story):
        if n == 0 and not whole:
            legal = True
        elif job.restart > restart:  # started over, and perhaps further on since
            legal = present not in FINAL and job.status in {
                JobStatus.SUBMITTED,
                *LEGAL[JobStatus.SUBMITTED],
            }
        else:
            legal = job.status in LEGAL[present] and job.status is not JobStatus.SUBMITTED
        assert legal, f"{key}: {present} -> {job.status} is not legal: {told}"
        present, restart = job.status, job.restart
    assert sum(job.status in FINAL for job in story) <= 1, f"{key}: ended twice: {told}"


def check_store(store: RedisStore, owner: str, repository: str, masters: Iterable[int]) -> None:
    """Histories are legal, counters are the sums, nothing is left in any queue."""
    for number in masters:
        master = store.master(owner, repository, number)
        assert master is not None, f"master {number} is gone"
        jobs = store.jobs(master, None)
        counted: dict[JobStatus, int] = defaultdict(int)
        for sub, job in jobs.items():
            counted[job.status] += 1
            statuses = [entry.status for entry in job.history]
            for before, after in zip(job.history, job.history[1:], strict=False):
                legal = after.status in LEGAL[before.status]
                if after.restart > before.restart:
                    legal = before.status not in FINAL and after.status is JobStatus.SUBMITTED
                assert legal, f"{number}.{sub}: {statuses}"
            assert statuses[-1] is job.status, f"{number}.{sub}: {statuses}"
            assert job.status not in FINAL or job.evidence is not None, f"{number}.{sub}: why?"
        assert dict(counted) == {status: n for status, n in master.counts.items() if n}
        assert ended(master.counts, master.total) == (master.phase != "open")
    for queue in store.queues():
        # A slice of a merge that a worker took with it when it died comes back with its lease.
        within = 120.0 if queue.startswith("grow.") else 0.0
        until(lambda queue=queue: store.depth(queue) == (0, 0), within, f"nothing left in {queue}")


def check_end(watch: Watch, store: RedisStore, owner: str, master: LocalMaster) -> None:
    """A master of local jobs has come to its right end: every job, every update, its merge."""
    view = watch.client.snapshot(watch.repository, master.id)
    assert view is not None
    wrong = {
        sub: job.status.value
        for sub, job in view.jobs.items()
        if job.status is not (JobStatus.FAILED if sub in master.failing else JobStatus.COMPLETED)
    }
    assert not wrong, f"jobs with a wrong end: {wrong}"
    assert len(view.jobs) == master.jobs
    finals = watch.finals(master.id, view.epoch)
    assert len(finals) == 1
    assert finals[0].final is not None
    status = JobStatus.FAILED if master.failing else JobStatus.COMPLETED
    assert finals[0].final.status is status
    merge = finals[0].final.results["merge"]
    assert [result["ok"] for result in merge] == [True], merge
    last = {job.sub: job for u in watch.updates for job in u.jobs if u.master == master.id}
    assert {sub: job.status for sub, job in last.items()} == {
        sub: job.status for sub, job in view.jobs.items()
    }
    check_updates(watch.updates)
    check_store(store, owner, watch.repository, [master.id])
    master.check_merged()
