"""Slurm, by its commands. States: ``states.py``; what is asked and why: docs/backends.md.

Ganga's job id is Slurm's (``sbatch``: "Submitted batch job 123"; Lib/Batch/Batch.py:211, 8.7.12),
also after Ganga itself has monitored the job: what it then copies from the wrapper's status file as
``PID`` is SLURM_JOB_ID (``[Slurm]jobid_name``, GangaCore/__init__.py).
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from gangamon.backends import batch, jobstatus
from gangamon.backends.batch import is_user, myself
from gangamon.backends.command import CommandFailed, Commands, Dialect
from gangamon.backends.slurm import answers as slurm_answers
from gangamon.backends.slurm import doctor, seen, states
from gangamon.backends.slurm.answers import Answer, JobId, Row
from gangamon.backends.slurm.cluster import Cluster, Clusters
from gangamon.domain.cadence import Cadence
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Seen, Unreachable
from gangamon.errors import BackendUnreachable, RateLimited, TransientError
from gangamon.protocols import Finding, Limits, PollItem

log = logging.getLogger(__name__)

QUEUE, ACCOUNTING = "squeue", "sacct"

#: Ids in one sacct: it becomes slow, and then fails, with very many.
CHUNK = 500

DIALECT = Dialect(
    # SLURMCTLD_COMMUNICATIONS_BACKOFF (slurm_errno.c, 23.02 and later); the commands themselves
    # wait and try again before they say so.
    faults=((re.compile("rate limit", re.I), RateLimited),),
    # With these squeue 22.05 may end with exit code 0 and an empty answer.
    despite=re.compile(
        "invalid user|can't be reached|unable to contact|slurm_load_|timed out|rate limit", re.I
    ),
    variables={"SLURM_TIME_FORMAT": "%s", "TZ": "UTC", "SLURM_BITSTR_LEN": "0"},
    # A user's own defaults, which would leave jobs out, and the cluster that they ask by default.
    without=("SQUEUE_", "SACCT_", "SCONTROL_", "SLURM_CLUSTERS"),
)

#: In ``extra``: the directory beside ``output`` in which Ganga submitted the job, if that is known.
SUBMITTED_IN = "submitted_in"

#: What the commands say of a job that the cluster does not know: an answer.
_UNKNOWN = re.compile("Invalid job id specified")

Asked = Sequence[tuple[PollItem, JobId]]


class SlurmBackend:
    """One squeue for all jobs of a query; sacct, or the status file of Ganga's wrapper, for those
    that Slurm has forgotten. The lane's endpoint is the cluster's name, or the submit host.
    ``extra`` of an item: ``submitted_in``."""

    name = "Slurm"

    def __init__(self) -> None:
        # All jobs of a user cost slurmctld one request, however many. The cap is not above half of
        # MinJobAge (300 s by default), so that an end is seen twice before it is forgotten.
        self.limits = Limits(
            jobs=10_000,
            timeout=60.0,
            slots=1,
            endpoint_slots=2,
            rate=0.5,
            burst=10,
            cadence=Cadence(floor=20.0, cap=120.0),
        )
        self._clusters = Clusters()
        self._warned: set[str] = set()

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """See Backend. Unreachable: a job whose line, or that of another, could not be read, that
        belongs to another user, or that Slurm may not show us."""
        return self._each(lane, items, self._poll, Absent(QUEUE))

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """See Backend: the accounting where the cluster has one, and Ganga's wrapper."""
        return self._each(lane, items, self._second, Absent(ACCOUNTING, second=True))

    def doctor(self, lane: Lane) -> Iterable[Finding]:
        """See Examined."""
        commands = Commands(DIALECT, self.limits.timeout)
        return doctor.findings(commands, self._clusters, lane.endpoint, self.limits.cadence)

    def _each(
        self,
        lane: Lane,
        items: Sequence[PollItem],
        ask: Callable[[Commands, Cluster, Asked], dict[str, Observation]],
        nothing: Absent,
    ) -> dict[str, Observation]:
        """Ask each cluster of the query. Raises the error where none could be asked."""
        commands = Commands(DIALECT, self.limits.timeout)
        answers: dict[str, Observation] = {}
        places: dict[str, list[tuple[PollItem, JobId]]] = defaultdict(list)
        for item in items:
            id_ = JobId.parse(item.native_id)
            if id_ is None:
                answers[item.key] = nothing  # Slurm has given it no id
            else:
                places[id_.cluster or lane.endpoint].append((item, id_))
        errors: list[TransientError] = []
        for endpoint, asked in places.items():
            try:
                cluster = self._clusters.get(endpoint, commands)
                self._respect(cluster)
                answers.update(ask(commands, cluster, asked))
            except TransientError as error:
                errors.append(error)
                answers.update({item.key: Unreachable(str(error)) for item, _ in asked})
        if errors and len(errors) == len(places):
            raise errors[0]
        return answers

    def _respect(self, cluster: Cluster) -> None:
        """Never so seldom that ended jobs may be forgotten meanwhile."""
        cadence = self.limits.cadence
        cap = cluster.memory / 2 or cadence.cap
        if cap < cadence.cap:
            cadence = replace(cadence, floor=min(cadence.floor, cap), cap=cap)
            self.limits = replace(self.limits, cadence=cadence)

    # --- squeue -----------------------------------------------------------------------------

    def _poll(self, commands: Commands, cluster: Cluster, asked: Asked) -> dict[str, Observation]:
        users = {batch.owner(item) for item, _ in asked}
        known = set(filter(is_user, users))
        ids = {id_.base for _, id_ in asked}
        if len(ids) == 1:
            answers = [_squeue(commands, cluster, "--jobs", *ids)]
        elif known != users:
            answers = [_squeue(commands, cluster)]
        else:
            answers = [_squeue(commands, cluster, "--user", ",".join(sorted(users)))]
            named: set[str] = set()
            for item, id_ in asked:
                if batch.owner(item) not in named and _rows(answers, item, id_):
                    named.add(batch.owner(item))
            if others := {id_.base for item, id_ in asked if batch.owner(item) not in named}:
                # All of an owner's jobs are gone, or they are another user's.
                answers.append(_squeue(commands, cluster, "--jobs", ",".join(sorted(others))))
        return {item.key: self._queued(cluster, known, item, id_, answers) for item, id_ in asked}

    def _queued(
        self,
        cluster: Cluster,
        users: Collection[str],
        item: PollItem,
        id_: JobId,
        answers: Sequence[Answer],
    ) -> Observation:
        rows, owner = _rows(answers, item, id_), batch.owner(item)
        if not rows:
            for answer in answers:
                if answer.unreadable:
                    return self._blind(f"squeue: unreadable: {answer.unreadable!r}")
            if not cluster.sees_all and owner != myself():
                return self._blind(f"PrivateData hides the jobs of {owner} from {myself()}")
            return Absent(QUEUE)
        if owner in users and all(row.user != owner for row in rows):
            return self._blind(f"job {id_.name} belongs to {rows[0].user}, not to {owner}")
        if not _is_array(rows, id_):
            return seen.from_row(rows[0], QUEUE)
        if all(row.over for row in rows):
            # Others of its tasks may have been forgotten: only the accounting knows of all.
            return Absent(QUEUE)
        return seen.from_tasks(rows, QUEUE)

    def _blind(self, reason: str) -> Unreachable:
        if reason not in self._warned and len(self._warned) < 1000:
            self._warned.add(reason)
            log.warning("Slurm: nothing is learnt: %s", reason)
        return Unreachable(reason)

    # --- what has been forgotten ------------------------------------------------------------

    def _second(self, commands: Commands, cluster: Cluster, asked: Asked) -> dict[str, Observation]:
        answers: list[Answer] = []
        trouble = ""
        if cluster.accounting:
            try:
                answers = _sacct(commands, cluster, asked)
            except TransientError as error:
                trouble = str(error)
                log.warning("Slurm: %s", error)
        return {item.key: _settled(item, id_, answers, trouble, cluster) for item, id_ in asked}


def _settled(
    item: PollItem, id_: JobId, answers: Sequence[Answer], trouble: str, cluster: Cluster
) -> Observation:
    """The end that the accounting knows of, else the one that the wrapper knows of."""
    wrapper = _wrapper(item, id_, trouble, cluster)
    rows = _rows(answers, item, id_)
    # A record that is not over belongs to no job of the queue: it was never closed. One of a run
    # before the last we saw is old: slurmdbd was away, and has yet to be told of the others.
    if not rows or not all(row.over and row.restarts >= item.restarts for row in rows):
        return wrapper
    if isinstance(wrapper, Seen) and any(row.state in states.REQUEUED for row in rows):
        return wrapper  # the same: it was started over, and has ended since
    return (
        seen.from_tasks(rows, ACCOUNTING)
        if _is_array(rows, id_)
        else seen.from_row(rows[0], ACCOUNTING)
    )


def _rows(answers: Iterable[Answer], item: PollItem, id_: JobId) -> Sequence[Row]:
    """One row, those of the tasks of an array, or none: also where the number is another job's.
    slurmctld gives numbers anew that it has forgotten when it is killed, or restored."""
    for answer in answers:
        row = answer.find(id_)
        if rows := (row,) if row is not None else answer.tasks(id_):
            return rows if _same_place(item, rows[0]) else ()
    return ()


def _same_place(item: PollItem, row: Row) -> bool:
    """Whether the job was submitted where Ganga submits this one; by the end of the path, for the
    rest may have several names. True where either is not known."""
    folder = item.extra.get(SUBMITTED_IN)
    if not folder or not row.folder:
        return True
    wanted = (*item.fqid.split("."), str(folder))
    return tuple(row.folder.rstrip("/").split("/")[-len(wanted) :]) == wanted


def _squeue(commands: Commands, cluster: Cluster, *which: str) -> Answer:
    form = ",".join(f"{field}:|" for field in slurm_answers.SQUEUE)
    words = ("--noheader", "--all", "--array", "--states=all", *which, "--Format", form)
    try:
        return slurm_answers.squeue(commands.run("squeue", *cluster.options, *words))
    except CommandFailed as error:
        if which[:1] == ("--jobs",) and _UNKNOWN.search(error.complaint):
            return Answer()
        raise


def _sacct(commands: Commands, cluster: Cluster, asked: Asked) -> list[Answer]:
    users = {batch.owner(item) for item, _ in asked}
    ids = sorted({id_.name if "_" in id_.name else id_.base for _, id_ in asked})
    words = (*("--noheader", "--parsable2", "--duplicates", "--allusers"),
             *("--format", ",".join(slurm_answers.SACCT)))  # fmt: skip
    known = users if all(map(is_user, users)) else ()
    return [
        slurm_answers.sacct(
            commands.run("sacct", *cluster.options, *words, "--jobs", ",".join(ids[n : n + CHUNK])),
            known,
        )
        for n in range(0, len(ids), CHUNK)
    ]


def _wrapper(item: PollItem, id_: JobId, trouble: str, cluster: Cluster) -> Observation:
    """The exit code that Ganga's wrapper writes last."""
    try:
        found = batch.wrapper(item, id_.base.__eq__)
    except BackendUnreachable as error:
        return Unreachable(str(error))
    if found is not None:
        return batch.from_wrapper(found, item.restarts)
    if trouble:
        return Unreachable(trouble)
    return Absent(ACCOUNTING if cluster.accounting else jobstatus.STATUS_FILE, second=True)


def _is_array(rows: Sequence[Row], id_: JobId) -> bool:
    """Whether it is an array as a whole, of which these are tasks."""
    return "_" in rows[0].name and "_" not in id_.name
