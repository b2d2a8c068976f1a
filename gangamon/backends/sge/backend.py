"""Grid Engine, by its commands. States: ``states.py``; what is asked and why: docs/backends.md.

Ganga's job id is Grid Engine's (qsub: "Your job 123 ..."; [SGE]submit_res_pattern,
GangaCore/__init__.py, 8.7.12), also after Ganga itself has monitored the job: the ``PID`` that it
then copies from the wrapper's status file is JOB_ID.
"""

from __future__ import annotations

import logging
import re
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from gangamon.backends import batch
from gangamon.backends.command import CommandFailed, Commands, Dialect
from gangamon.backends.sge import answers, doctor, seen, states
from gangamon.backends.sge.answers import Answer, JobId, Record
from gangamon.backends.sge.seen import QACCT, QSTAT
from gangamon.domain.cadence import Cadence
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Seen, Unreachable
from gangamon.errors import BackendUnreachable, TransientError
from gangamon.grid import gridengine
from gangamon.protocols import Finding, Limits, PollItem

log = logging.getLogger(__name__)

DIALECT = Dialect(
    # With these an answer may be cut short.
    despite=re.compile("commlib|unable to (send|contact|read)|can't unpack|denied:", re.I),
    variables={"TZ": "UTC"},
)

#: So many jobs are asked about one by one: qacct reads the whole file each time, as it does for all
#: jobs of an owner, but prints less.
FEW = 4

#: Most jobs that are asked about one by one after that; the others with the next query.
MOST_SINGLE = 20

#: Jobs whose error is asked for in one query, and errors that are kept.
MOST_ERRORS, KEPT_ERRORS = 100, 10_000

_UNKNOWN = re.compile(r"job id \d+ not found")

Asked = Sequence[tuple[PollItem, JobId]]
Records = Mapping[JobId, Sequence[Record]]


class SGEBackend:
    """One qstat for all jobs of a query. A job leaves it as it ends; its end is then in Ganga's
    wrapper's file and in the accounting, which the same poll reads. The lane's endpoint is the
    cluster's name, or the submit host. ``extra`` of an item: ``submitted_at``."""

    name = "SGE"

    def __init__(self) -> None:
        # All jobs of a user are one request to qmaster, however many.
        self.limits = Limits(
            jobs=10_000,
            timeout=60.0,
            slots=1,
            endpoint_slots=2,
            rate=0.5,
            burst=10,
            cadence=Cadence(floor=20.0, cap=120.0),
        )
        #: Job number -> why it is in the state E.
        self._errors: dict[str, str] = {}

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """See Backend. Unreachable: a job whose row, or that of another, could not be read, or that
        belongs to another user."""
        commands = Commands(DIALECT, self.limits.timeout)
        found, asked = batch.with_ids(items, JobId.parse, Absent(QSTAT))
        if not asked:
            return found
        batch.require(lane, gridengine.cluster(), "cluster")
        users = {batch.owner(item) for item, _ in asked}
        known = set(filter(batch.is_user, users))
        which = ",".join(sorted(users)) if known == users else "*"
        answer = answers.qstat(commands.run("qstat", "-xml", "-s", "prs", "-u", which))
        self._learn_errors(commands, answer, asked)
        gone = []
        for item, id_ in asked:
            found[item.key] = self._queued(item, id_, answer, known)
            if isinstance(found[item.key], Absent):
                gone.append((item, id_))
        if gone:
            # That a job has no end yet says no more than that the queue missed it.
            ends = self._ends(commands, gone)
            found.update({key: end for key, end in ends.items() if isinstance(end, Seen)})
        return found

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """See Backend: Ganga's wrapper, and the accounting."""
        found, asked = batch.with_ids(items, JobId.parse, Absent(QACCT, second=True))
        if asked:
            batch.require(lane, gridengine.cluster(), "cluster")
            found.update(self._ends(Commands(DIALECT, self.limits.timeout), asked))
        return found

    def doctor(self, lane: Lane) -> Iterable[Finding]:
        """See Examined."""
        return doctor.findings(Commands(DIALECT, self.limits.timeout))

    # --- the queue --------------------------------------------------------------------------

    def _queued(
        self, item: PollItem, id_: JobId, answer: Answer, users: Collection[str]
    ) -> Observation:
        rows, owner = answer.find(id_), batch.owner(item)
        if not rows:
            if answer.unreadable:
                return Unreachable(f"qstat: unreadable: {answer.unreadable}")
            return Absent(QSTAT)
        if owner in users and rows[0].owner != owner:
            return Unreachable(f"job {id_.number} belongs to {rows[0].owner}, not to {owner}")
        if not seen.same_job(rows[0], item):
            return Absent(QSTAT)
        error = self._errors.get(id_.number, "") if states.in_error(rows[0].state) else ""
        if rows[0].tasks and not id_.task:
            return seen.from_tasks(rows, item, error)
        return seen.from_row(rows[0], item, error)

    def _learn_errors(self, commands: Commands, answer: Answer, asked: Asked) -> None:
        """Why jobs are in the state E: asked once, until they have left it."""
        wanted: list[str] = []
        for _, id_ in asked:
            rows = answer.rows.get(id_.number, ())
            if not any(states.in_error(row.state) for row in rows):
                self._errors.pop(id_.number, None)
            elif id_.number not in self._errors and len(wanted) < MOST_ERRORS:
                wanted.append(id_.number)
        if not wanted or len(self._errors) >= KEPT_ERRORS:
            return
        try:
            text = commands.run("qstat", "-j", ",".join(wanted))
        except TransientError as error:  # one of them may just have left; they wait all the same
            log.info("SGE: %s", error)
            return
        self._errors.update(dict.fromkeys(wanted, "") | answers.errors(text))

    # --- what is over -----------------------------------------------------------------------

    def _ends(self, commands: Commands, asked: Asked) -> dict[str, Observation]:
        """Of jobs that the queue does not name. Seen: an end that one of both knows of."""
        found: dict[str, Observation] = {}
        told: dict[str, Seen] = {}
        hidden: dict[str, str] = {}
        open_ = []
        for item, id_ in asked:
            try:
                file = batch.wrapper(item, id_.number.__eq__)
            except BackendUnreachable as error:
                file, hidden[item.key] = None, str(error)
            # With the other two codes a job asks to wait anew.
            if file and file.exit_code not in (states.RESCHEDULE, states.APPLICATION_ERROR):
                told[item.key] = batch.from_wrapper(file, item.restarts, states.FINISHED)
            if file and file.exit_code == 0:
                found[item.key] = told[item.key]
            else:
                open_.append((item, id_))
        if not open_:
            return found
        trouble, late = "", set[str]()
        records: Records = {}
        try:
            records, late = _records(commands, open_)
        except TransientError as error:
            trouble = str(error)
            log.warning("SGE: %s", error)
        for item, id_ in open_:
            why = trouble or hidden.get(item.key, "")
            if id_.number in late:
                why = "its accounting is asked for with the next query"
            end = _end(item, id_, records, told.get(item.key))
            found[item.key] = Unreachable(why) if why and isinstance(end, Absent) else end
        return found


def _end(item: PollItem, id_: JobId, records: Records, told: Seen | None) -> Observation:
    """``told``: what the wrapper has written."""
    mine = _mine(records.get(id_, ()), item)
    run = seen.the_run(mine, item)
    if run is None:
        if told is not None:
            return told
        if not id_.task and any(other.number == id_.number and other.task for other in records):
            return Unreachable(f"{id_.number} is an array; only its tasks, NUMBER.TASK, have ends")
        return Absent(QACCT, second=True)
    end = seen.from_record(*run)
    if told is not None and run[0].failed in states.CUT:
        return told  # it had ended, and then its end went wrong
    return end


def _mine(records: Sequence[Record], item: PollItem) -> Sequence[Record]:
    owner = batch.owner(item)
    if not batch.is_user(owner):
        return records
    return [record for record in records if record.owner == owner]


def _records(commands: Commands, asked: Asked) -> tuple[Records, set[str]]:
    """Of these jobs; and the numbers of those that must be asked about another time."""
    numbers = {id_.number for _, id_ in asked}
    if len(numbers) <= FEW:
        return _single(commands, numbers), set()
    found: dict[JobId, Sequence[Record]] = {}
    for words in _bulks(asked):
        for id_, records in answers.qacct(commands.run("qacct", *words)).items():
            if id_.number in numbers:
                found[id_] = [*found.get(id_, ()), *records]
    # By time qacct leaves out runs that did not begin: of a job that was started over some.
    unsure = sorted(
        {
            id_.number
            for item, id_ in asked
            if item.restarts or (found.get(id_) and not seen.the_run(found[id_], item))
        }
    )
    now, late = unsure[:MOST_SINGLE], set(unsure[MOST_SINGLE:])
    kept = {id_: records for id_, records in found.items() if id_.number not in unsure}
    return {**kept, **_single(commands, now)}, late


def _bulks(asked: Asked) -> Iterator[Sequence[str]]:
    """The words of a qacct for each owner: their jobs since the first of these was submitted."""
    first: dict[str, list[float | None]] = defaultdict(list)
    for item, _ in asked:
        owner = batch.owner(item)
        first[owner if batch.is_user(owner) else ""].append(batch.submitted_at(item))
    for owner, times in first.items():
        words = ["-j", *(("-o", owner) if owner else ())]
        known = [at for at in times if at is not None]
        if len(known) == len(times):
            begin = time.gmtime(max(0.0, min(known) - batch.SLACK))
            words += ["-b", time.strftime("%Y%m%d%H%M.%S", begin)]
        yield words


def _single(commands: Commands, numbers: Iterable[str]) -> Records:
    found: dict[JobId, Sequence[Record]] = {}
    for number in sorted(numbers):
        try:
            found.update(answers.qacct(commands.run("qacct", "-j", number)))
        except CommandFailed as error:
            if not _UNKNOWN.search(error.complaint):
                raise
    return found
