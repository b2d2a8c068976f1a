"""HTCondor. States: ``states.py``; what is asked and why: docs/backends.md.

Ganga's job id is ``cluster.proc`` (Lib/Condor/Condor.py:163, 8.7.12).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence

from gangamon.backends.command import Commands
from gangamon.backends.condor import doctor, seen
from gangamon.backends.condor.ads import Ad, JobId, number
from gangamon.backends.condor.eventlog import Logs, Story
from gangamon.backends.condor.schedd import DIALECT, Schedd
from gangamon.domain.cadence import Cadence
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Seen, Unreachable
from gangamon.domain.status import JobStatus
from gangamon.domain.transition import AbsencePolicy
from gangamon.errors import TransientError
from gangamon.protocols import Finding, Limits, News, PollItem

log = logging.getLogger(__name__)

QUEUE, HISTORY = "condor_q", "condor_history"

#: A poll that comes so soon after the last (part of the shortest interval) has come for news of the
#: event logs, which then answer for themselves.
SOON = 0.9

#: Jobs of which it is remembered when the queue was last asked.
_REMEMBERED = 200_000


class CondorBackend:
    """condor_q for all jobs of a query; the event logs of those that have left the queue, and for
    news between two looks at it; condor_history for those whose log does not tell the end.

    The lane's endpoint is the schedd's name, or the submit host. ``extra`` of an item: ``log``,
    ``wrapper_stdout`` (names of files in its output directory), ``submitted_in``.
    """

    name = "Condor"

    #: Seconds between two looks at the event logs, see ``Push``.
    every = 1.0

    def __init__(self) -> None:
        # "At most once a minute" is what the manual asks of those who poll (Scalable Job Tracking).
        # The ends of jobs come from their logs meanwhile. Jobs leave the queue with their end, so
        # the first absence leads to the history.
        self.limits = Limits(
            jobs=10_000,
            timeout=60.0,
            slots=1,
            endpoint_slots=2,
            rate=0.5,
            burst=10,
            cadence=Cadence(floor=60.0, cap=300.0),
            absence=AbsencePolicy(absences=1, grace=0.0),
        )
        self._logs = Logs()
        #: Key -> when the queue last answered for it, and what where it has no log.
        self._answered: dict[str, tuple[float, Observation | None]] = {}

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """See Backend."""
        asked = {item.key: JobId.parse(item.native_id) for item in items}
        if news := self._news(items, asked):
            return news
        jobs = {id_ for id_ in asked.values() if id_ is not None}
        if not jobs:
            return {key: Absent(QUEUE) for key in asked}  # HTCondor has given them no id
        schedd = self._schedd(lane)
        ads = schedd.queue({job.cluster for job in jobs})
        answers: dict[str, Observation] = {}
        missing: list[tuple[PollItem, JobId]] = []
        for item in items:
            id_ = asked[item.key]
            if id_ is None:
                answers[item.key] = Absent(QUEUE)
            elif (ad := ads.get(id_)) is not None and _same_place(item, ad):
                answers[item.key] = seen.from_ad(item, ad, QUEUE, queued=True)
            else:
                missing.append((item, id_))
        answers.update(self._missing(schedd, missing))
        self._note(items, answers)
        return answers

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """See Backend: the history."""
        asked = {item.key: JobId.parse(item.native_id) for item in items}
        jobs = [id_ for id_ in asked.values() if id_ is not None]
        ads = self._schedd(lane).history(jobs) if jobs else {}
        answers: dict[str, Observation] = {}
        for item in items:
            id_ = asked[item.key]
            ad = ads.get(id_) if id_ is not None else None
            if ad is None or not _same_place(item, ad):
                answers[item.key] = Absent(HISTORY, second=True)
            else:
                answers[item.key] = seen.from_ad(item, ad, HISTORY, queued=False)
        return answers

    def changed(self, lane: Lane, items: Sequence[PollItem], position: str) -> News:
        """See Push: of which jobs the event log tells something else than at the last look."""
        try:
            before = json.loads(position) if position else {}
        except (ValueError, RecursionError):
            before = {}
        if not isinstance(before, dict):
            before = {}
        now: dict[str, str] = {}
        for item in items:
            if (story := self._story(item, JobId.parse(item.native_id))) is not None:
                now[item.fqid] = f"{story.state}:{story.starts}"
        keys = {i.key for i in items if i.fqid in now and before.get(i.fqid) != now[i.fqid]}
        return News(frozenset(keys), json.dumps(now, separators=(",", ":")))

    def doctor(self, lane: Lane) -> Iterable[Finding]:
        """See Examined."""
        return doctor.findings(Commands(DIALECT, self.limits.timeout), lane.endpoint)

    def _schedd(self, lane: Lane) -> Schedd:
        return Schedd(lane.endpoint, Commands(DIALECT, self.limits.timeout))

    def _news(
        self, items: Sequence[PollItem], asked: Mapping[str, JobId | None]
    ) -> dict[str, Observation]:
        """What the logs tell, if the queue was asked about all of the jobs just now, and some have
        a log; of the others what it said. Else nothing: the queue is to be asked."""
        least = time.monotonic() - SOON * self.limits.cadence.floor
        found: dict[str, Observation] = {}
        told = False
        for item in items:
            at, before = self._answered.get(item.key, (-1e9, None))
            if at < least:
                return {}
            if (story := self._story(item, asked[item.key])) is not None:
                found[item.key], told = seen.from_story(item, story), True
            elif isinstance(before, Seen):
                found[item.key] = before
            else:
                return {}
        return found if told else {}

    def _story(self, item: PollItem, id_: JobId | None) -> Story | None:
        path = seen.beside(item, seen.LOG)
        return self._logs.story(path, id_) if id_ is not None and path else None

    def _missing(
        self, schedd: Schedd, missing: Sequence[tuple[PollItem, JobId]]
    ) -> dict[str, Observation]:
        """Of jobs that the queue does not name: ended, yet to be made, or unknown."""
        answers: dict[str, Observation] = {}
        unborn: list[tuple[PollItem, JobId]] = []
        for item, id_ in missing:
            story = self._story(item, id_)
            if story is not None and story.over:
                answers[item.key] = seen.from_story(item, story)
            else:
                answers[item.key] = Absent(QUEUE)
                # What its cluster is yet to make has never been seen to begin.
                if item.status is JobStatus.SUBMITTED and not item.restarts and not story:
                    unborn.append((item, id_))
        if not unborn:
            return answers
        try:
            factories = schedd.factories({id_.cluster for _, id_ in unborn})
        except TransientError as error:
            return answers | {i.key: Unreachable(str(error)) for i, _ in unborn}
        for item, id_ in unborn:
            if _to_come(factories.get(id_.cluster), id_):
                answers[item.key] = seen.unmaterialized(item)
        return answers

    def _note(self, items: Iterable[PollItem], answers: Mapping[str, Observation]) -> None:
        if len(self._answered) > _REMEMBERED:
            self._answered.clear()
        now = time.monotonic()
        for item in items:
            kept = None if seen.LOG in item.extra else answers[item.key]
            self._answered[item.key] = now, kept


def _to_come(factory: Ad | None, id_: JobId) -> bool:
    if factory is None:
        return False
    made, total = number(factory, "JobMaterializeNextProcId"), number(factory, "TotalSubmitProcs")
    return made is not None and made <= id_.proc and (total is None or id_.proc < total)


def _same_place(item: PollItem, ad: Ad) -> bool:
    """Whether the job was submitted where Ganga submits this one: a schedd that has lost its queue
    gives the numbers anew. By the end of the path, for the rest may have several names. True where
    either is not known."""
    folder, place = item.extra.get(seen.SUBMITTED_IN), ad.get("Iwd")
    if not folder or not place or not isinstance(place, str):
        return True
    return f"/{place.rstrip('/')}".endswith(f"/{item.fqid.replace('.', '/')}/{folder}")
