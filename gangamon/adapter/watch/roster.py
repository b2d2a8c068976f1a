"""Which master jobs are watched: found by a scan of the registry, or by what the hooks heard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from GangaCore.Utility.logging import getLogger

from gangamon.adapter.handover.enqueuer import Enqueuer
from gangamon.adapter.service.link import Link
from gangamon.adapter.show.applier import shown
from gangamon.adapter.watch.following import Following
from gangamon.adapter.watch.ownership import Ownership
from gangamon.adapter.watch.reader import Gone, Reader, Subjobs
from gangamon.adapter.watch.watched import ENDED, POLLED, Watched
from gangamon.domain.command import UNSPLIT
from gangamon.domain.status import FINAL, RANK, JobStatus

logger = getLogger("gangamon")

#: Ganga's statuses of a master of which some job may be watched.
WANTED = (*POLLED, "completing")

#: The same, and of one that is on its way there.
UNFINISHED = (*WANTED, "submitting")

#: Of a job that is shown as running.
_RUNNING = {RANK[JobStatus.RUNNING], RANK[JobStatus.COMPLETING]}


class Roster:
    """The table of watched masters. Only the adapter's thread changes it."""

    def __init__(
        self, reader: Reader, link: Link, enqueuer: Enqueuer, ownership: Ownership
    ) -> None:
        self._reader, self._link, self._enqueuer = reader, link, enqueuer
        self._ownership = ownership
        #: Masters that are not over, by the last scan.
        self.unfinished: frozenset[int] = frozenset()
        #: Followed masters that had been running and are submitted: ``Job.submit`` sets that once
        #: more when the backend's ``master_submit`` has returned (Job.py:2106, 8.7.12), and jobs
        #: may run before it does.
        self.overtaken: list[Watched] = []
        self._table: dict[int, Watched] = {}
        # Of all others the service cannot know anything: they are submitted in this session. With
        # when they were made, or a time before which they were: a later one is another job.
        self._begun = _now()
        old = (id_ for id_, status in reader.statuses().items() if status != "new")
        self._old = dict.fromkeys(old, self._begun)
        self._heard: set[int] = set()
        self._foreign: set[int] = set()
        self._warned: set[str] = set()
        self._over: set[int] = set()

    def __iter__(self) -> Iterator[Watched]:
        return iter(self._table.values())

    def __contains__(self, master: int) -> bool:
        return master in self._table

    def get(self, master: int) -> Watched | None:
        return self._table.get(master)

    @property
    def foreign(self) -> frozenset[int]:
        """Unfinished masters of backends that gangamon has no plugin for."""
        return self.unfinished & self._foreign

    def heard(self, master: int) -> None:
        """Something happened to this master in the session."""
        self._heard.add(master)
        watched = self._table.get(master)
        if watched is not None:
            watched.look_at = 0.0

    def drop(self, watched: Watched, over: bool = False, replaced: bool = False) -> None:
        """It is ``over``, ``replaced`` by another of its number, or not ours any more."""
        self._table.pop(watched.id, None)
        if not replaced:  # else it may be the other that was heard of
            self._heard.discard(watched.id)
        self._ownership.release(watched.id)
        if watched.attempts:
            self._old[watched.id] = watched.made or _now()
        if over:
            self._over.add(watched.id)

    def unresolve(self) -> None:
        """What the service knows of every master must be looked at anew."""
        for watched in self._table.values():
            watched.resolved, watched.resolve_at = False, 0.0

    def scan(self, following: Following, statuses: Mapping[int, str]) -> None:
        """Find new masters (those that are followed, or submitted in this session), and those that
        Ganga has ended or removed. ``statuses``: as they were before what was heard last."""
        self.unfinished = frozenset(i for i, status in statuses.items() if status in UNFINISHED)
        self._foreign.intersection_update(statuses)
        for watched in list(self._table.values()):
            if watched.id in statuses and not self._same(watched):
                self._enqueuer.withdraw(watched, (), "removed")
                self.drop(watched, replaced=True)
        for id_, status in statuses.items():
            if id_ in self._table or id_ in self._foreign:
                continue
            wanted = status in WANTED and (id_ in following or id_ in self._heard)
            if wanted or (status == "submitting" and id_ in self._heard):
                self._begin(id_)
        for watched in list(self._table.values()):
            status = statuses.get(watched.id, "removed")
            if status not in UNFINISHED:
                self._enqueuer.withdraw(watched, (), status)
                self.drop(watched)
        self.overtaken = [
            watched
            for watched in self._table.values()
            if statuses.get(watched.id) == "submitted"
            and watched.id in following
            and _was_running(watched)
        ]

    def _begin(self, master: int) -> None:
        try:
            backend = self._reader.backend(master)
        except Gone:
            return
        if backend not in self._link.backends():
            self._foreign.add(master)
            if backend not in self._warned:
                self._warned.add(backend)
                logger.warning(
                    "gangamon has no plugin for the backend %s: Ganga's own monitoring asks it, in "
                    "this session and while that lasts (first: job %s)",
                    backend,
                    master,
                )
            return
        since, made = self._old.get(master), self._reader.made(master)
        new = since is None or (made is not None and made > since)
        here = master in self._heard or (made is not None and made > self._begun)
        self._table[master] = Watched(
            master,
            here=new,
            resolved=new,
            fresh=new and here,
            made=made,
            backend=backend,
            again=master in self._over and not new,
        )

    def _same(self, watched: Watched) -> bool:
        """Whether it is the job still that it was."""
        try:
            made = self._reader.made(watched.id)
        except Gone:
            return True  # it is looked at when it is there
        watched.made = watched.made or made
        return made is None or made == watched.made

    def differing(self, watched: Watched, jobs: Mapping[int, Any]) -> list[Any]:
        """The updates that would change something in Ganga, found without loading subjobs.
        Raises Gone, Locked."""
        subjobs = Subjobs(self._reader.master(watched.id))
        if not len(subjobs):
            return list(jobs.values())
        statuses = subjobs.statuses()
        found = []
        for sub, update in jobs.items():
            status = statuses[sub] if 0 <= sub < len(statuses) else None
            if status in ENDED and update.status in FINAL:
                watched.ended[sub] = watched.shown[sub] = update.attempt
            elif status in WANTED and status != shown(update.status):
                found.append(update)
        return found


def _now() -> datetime:
    """As Ganga's own times: UTC, without saying so."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


def _was_running(watched: Watched) -> bool:
    version = watched.versions.get(UNSPLIT)
    if version is None:
        # Ganga's roll-up is "submitted" while one of the subjobs is.
        waiting = watched.counts["submitted"] + watched.counts["submitting"]
        return watched.counts["running"] > 0 and not waiting
    return version.attempt == watched.attempts.get(UNSPLIT) and version.rank in _RUNNING
