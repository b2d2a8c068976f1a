"""LSF, by its commands. States: ``states.py``; what is asked and why: docs/backends.md.

Ganga's job id is LSF's ("Job <123> is submitted to queue <x>"; [LSF]submit_res_pattern,
GangaCore/__init__.py, 8.7.12); after Ganga itself has monitored the job it is LSB_BATCH_JID, which
is ``123[4]`` for an element of an array.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence

from gangamon.backends import batch
from gangamon.backends.command import Commands, Dialect
from gangamon.backends.lsf import answers, doctor, seen
from gangamon.backends.lsf.answers import Answer, JobId
from gangamon.backends.lsf.seen import BHIST, BJOBS
from gangamon.domain.cadence import Cadence
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Seen, Unreachable
from gangamon.errors import BackendUnreachable, RateLimited, TransientError
from gangamon.grid import lsf
from gangamon.protocols import Finding, Limits, PollItem

log = logging.getLogger(__name__)

_LIMIT = re.compile("query limit exceeded", re.I)

DIALECT = Dialect(
    # MAX_CONCURRENT_QUERY of lsb.params.
    faults=((_LIMIT, RateLimited),),
    despite=_LIMIT,
    variables={"TZ": "UTC"},
    # A user's own defaults.
    without=("LSB_BJOBS_", "LSB_DISPLAY_"),
)

#: Owners that are asked about one by one; of more, all jobs.
OWNERS = 4

#: Jobs in one bhist, which reads all event logs.
CHUNK = 50

#: What bjobs and bhist say where there is nothing: an answer.
_NOTHING = re.compile(r"No (unfinished |matching )?job found|Job <[^>]*> is not found", re.I)


class LSFBackend:
    """One bjobs for all jobs of an owner; bhist, and the file of Ganga's wrapper, for those that
    LSF has forgotten. The lane's endpoint is the cluster's name, or the submit host. ``extra`` of
    an item: ``submitted_at``."""

    name = "LSF"

    def __init__(self) -> None:
        # mbatchd answers from a copy that is some seconds old (MBD_REFRESH_TIME, 10 s at least),
        # and remembers ended jobs for an hour (CLEAN_PERIOD).
        self.limits = Limits(
            jobs=10_000,
            timeout=60.0,
            slots=1,
            endpoint_slots=2,
            rate=0.5,
            burst=10,
            cadence=Cadence(floor=30.0, cap=300.0),
        )

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """See Backend. Unreachable: a job of another user whose jobs LSF may not show us."""
        found, asked = batch.with_ids(items, JobId.parse, Absent(BJOBS))
        if not asked:
            return found
        batch.require(lane, lsf.cluster(), "cluster")
        commands = Commands(DIALECT, self.limits.timeout)
        owners = {batch.owner(item) for item, _ in asked}
        single = len(owners) <= OWNERS and all(map(batch.is_user, owners))
        answer = Answer()
        for who in sorted(owners) if single else ("all",):
            for row in _bjobs(commands, who).rows.values():
                answer.add(row)
        shown = {row.user for row in answer.rows.values()} | {batch.myself()}
        for item, id_ in asked:
            observed = _queued(item, id_, answer)
            if isinstance(observed, Absent):
                # That it has no end yet says no more than that the queue has forgotten it.
                ended = _by_wrapper(item, id_)
                owner = batch.owner(item)
                if isinstance(ended, Seen):
                    observed = ended
                elif batch.is_user(owner) and owner not in shown:
                    observed = Unreachable(f"LSF shows no jobs of {owner} (SECURE_JOB_INFO_LEVEL?)")
            found[item.key] = observed
        return found

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """See Backend: Ganga's wrapper, and LSF's event logs. Unreachable: with the next query."""
        found, asked = batch.with_ids(items, JobId.parse, Absent(BHIST, second=True))
        open_ = []
        for item, id_ in asked:
            found[item.key] = _by_wrapper(item, id_)
            if not isinstance(found[item.key], Seen):
                open_.append((item, id_))
        if not open_:
            return found
        batch.require(lane, lsf.cluster(), "cluster")
        for item, _ in open_[CHUNK:]:
            found[item.key] = Unreachable("its history is asked for with the next query")
        now = open_[:CHUNK]
        try:
            answer = _bhist(Commands(DIALECT, self.limits.timeout), {id_ for _, id_ in now})
        except TransientError as error:
            log.warning("LSF: %s", error)
            return found | {item.key: Unreachable(str(error)) for item, _ in now}
        for item, id_ in now:
            row = answer.rows.get(id_)
            if row is None or row.restarts < item.restarts:
                continue
            if row.user in ("", batch.owner(item)) and batch.same_time(item, row.submitted):
                found[item.key] = seen.from_row(row, item, BHIST)
        return found

    def doctor(self, lane: Lane) -> Iterable[Finding]:
        """See Examined."""
        return doctor.findings(Commands(DIALECT, self.limits.timeout))


def _queued(item: PollItem, id_: JobId, answer: Answer) -> Observation:
    rows, owner = answer.find(id_), batch.owner(item)
    if not rows:
        return Absent(BJOBS)
    if batch.is_user(owner) and rows[0].user != owner:
        return Unreachable(f"job {id_.name} belongs to {rows[0].user}, not to {owner}")
    if not batch.same_time(item, rows[0].submitted):
        return Absent(BJOBS)
    if rows[0].id == id_:
        return seen.from_row(rows[0], item, BJOBS)
    whole = seen.from_elements(rows, item)
    return whole or Unreachable(f"{id_.name} is an array; only its elements, N[I], have ends")


def _by_wrapper(item: PollItem, id_: JobId) -> Observation:
    """The exit code that Ganga's wrapper wrote last; its PID is LSB_BATCH_JID."""
    try:
        found = batch.wrapper(item, id_.name.__eq__)
    except BackendUnreachable as error:
        return Unreachable(str(error))
    if found is None:
        return Absent(BHIST, second=True)
    return batch.from_wrapper(found, item.restarts)


def _bjobs(commands: Commands, who: str) -> Answer:
    form = " ".join(answers.FIELDS)
    text, error = commands.outcome("bjobs", "-a", "-u", who, "-json", "-o", form)
    if error is not None and not _only_nothing(error.complaint):
        raise error
    # Its exit code for no jobs depends on LSB_BJOBS_CONSISTENT_EXIT_CODE.
    return Answer() if error is not None and not text.strip() else answers.bjobs(text)


def _bhist(commands: Commands, ids: set[JobId]) -> Answer:
    names = sorted(id_.name for id_ in ids)
    text, error = commands.outcome("bhist", "-n", "0", "-l", *names)
    if error is not None and not _only_nothing(error.complaint):
        raise error
    return answers.bhist(text)


def _only_nothing(complaint: str) -> bool:
    lines = [line for line in complaint.splitlines() if line.strip()]
    return bool(lines) and all(_NOTHING.search(line) for line in lines)
