"""PBS, by its commands. States: ``states.py``; what is asked and why: docs/backends.md.

Ganga's job id is the number that qsub printed, or all of it, as the site's ``[PBS]
submit_res_pattern`` takes it (``^(?P<id>\\d*)\\.pbs``, GangaCore/__init__.py, 8.7.12); after Ganga
itself has monitored the job it is PBS_JOBID, ``123.server``.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gangamon.backends import batch, jobstatus
from gangamon.backends.command import Commands, Dialect
from gangamon.backends.pbs import answers, doctor, seen
from gangamon.backends.pbs.answers import JobId, Row
from gangamon.backends.pbs.seen import QSTAT
from gangamon.domain.cadence import Cadence
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Seen, Unreachable
from gangamon.errors import BackendUnreachable, CredentialMissing
from gangamon.grid import pbs
from gangamon.protocols import Finding, Limits, PollItem

log = logging.getLogger(__name__)

DIALECT = Dialect(
    # PBSE_BADCRED and the like: munge, or a ticket of Kerberos.
    faults=((re.compile("Invalid credential|expired credential", re.I), CredentialMissing),),
    despite=re.compile("cannot connect|Connection refused|End of File|timed out", re.I),
    variables={"TZ": "UTC"},
    # A user's own defaults of Torque's qstat.
    without=("PBS_QSTAT_",),
)

#: Ids in one qstat: the server looks each up.
CHUNK = 500

#: Seconds for which it is believed which PBS this is and what it can do.
FRESH = 3600.0

_NO_HISTORY = re.compile("not configured to maintain job history", re.I)

Asked = Sequence[tuple[PollItem, JobId]]


@dataclass
class _Kind:
    """What this host's qstat is. ``history``: whether it can be asked about ended jobs. ``plain``:
    it is asked in text, for its JSON, or XML, could not be read."""

    torque: bool
    read_at: float
    history: bool = True
    plain: bool = False

    def words(self) -> list[str]:
        if self.torque:
            return ["qstat", "-f", *(() if self.plain else ("-x",))]
        return ["qstat", "-f", *(("-x",) if self.history else ()),
                *(() if self.plain else ("-F", "json"))]  # fmt: skip

    def read(self, text: str) -> dict[str, Row]:
        if self.plain:
            return answers.from_text(text)
        return answers.from_xml(text) if self.torque else answers.from_json(text)


@dataclass
class _Answer:
    """``unknown``: jobs of which the server says that it does not know them."""

    rows: dict[str, Row] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)


class PBSBackend:
    """One qstat for 500 jobs. A job that the server does not know any more has its end in the file
    of Ganga's wrapper. The lane's endpoint is the server, or the submit host. ``extra`` of an item:
    ``submitted_at``."""

    name = "PBS"

    def __init__(self) -> None:
        # The server looks each job up. Torque remembers ended jobs for 300 s (keep_completed).
        self.limits = Limits(
            jobs=2000,
            timeout=60.0,
            slots=1,
            endpoint_slots=2,
            rate=0.5,
            burst=10,
            cadence=Cadence(floor=30.0, cap=120.0),
        )
        self._kind: _Kind | None = None

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """See Backend. Unreachable: a job that the answer left out, or that is another user's."""
        found, asked = batch.with_ids(items, JobId.parse, Absent(QSTAT))
        if not asked:
            return found
        batch.require(lane, pbs.server(), "server")
        commands = Commands(DIALECT, self.limits.timeout)
        kind, answer = self._which(commands), _Answer()
        ids = sorted({id_ for _, id_ in asked})
        for n in range(0, len(ids), CHUNK):
            self._ask(commands, kind, ids[n : n + CHUNK], answer)
        for item, id_ in asked:
            observed = _queued(item, id_, answer, kind.torque)
            if isinstance(observed, Absent):
                # That it has no end yet says no more than that the server does not know it.
                ended = _by_wrapper(item, id_)
                observed = ended if isinstance(ended, Seen) else observed
            found[item.key] = observed
        return found

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """See Backend: Ganga's wrapper. PBS's own history is asked by each poll."""
        found, asked = batch.with_ids(
            items, JobId.parse, Absent(jobstatus.STATUS_FILE, second=True)
        )
        return found | {item.key: _by_wrapper(item, id_) for item, id_ in asked}

    def doctor(self, lane: Lane) -> Iterable[Finding]:
        """See Examined."""
        return doctor.findings(Commands(DIALECT, self.limits.timeout))

    # --- qstat ------------------------------------------------------------------------------

    def _which(self, commands: Commands) -> _Kind:
        if self._kind is None or time.monotonic() - self._kind.read_at > FRESH:
            # "pbs_version = 2022.1.1" of PBS Professional and OpenPBS; Torque: "Version: 6.1.2".
            text = commands.run("qstat", "--version")
            self._kind = _Kind("pbs_version" not in text, time.monotonic())
        return self._kind

    def _ask(self, commands: Commands, kind: _Kind, ids: Sequence[JobId], answer: _Answer) -> None:
        """Also those, in text, that an answer in the other form leaves out without a word: so does
        OpenPBS after 23.06 with all but the first (openpbs#2672)."""
        try:
            left = self._once(commands, kind, ids, answer)
        except BackendUnreachable as error:
            if kind.plain or "unreadable" not in str(error):
                raise
            log.warning("PBS: %s: it is asked in text", error)
            left = list(ids)
        if left and not kind.plain:
            kind.plain = True
            self._once(commands, kind, left, answer)

    def _once(
        self, commands: Commands, kind: _Kind, ids: Sequence[JobId], answer: _Answer
    ) -> list[JobId]:
        """The jobs that are neither there nor said to be unknown."""
        text, error = commands.outcome(*kind.words(), *(id_.asked for id_ in ids))
        unknown: set[str] = set()
        if error is not None:
            if kind.history and not kind.torque and _NO_HISTORY.search(error.complaint):
                kind.history = False
                return self._once(commands, kind, ids, answer)
            unknown, other = answers.unknown(error.complaint)
            if other or not unknown:
                raise error
        nothing = not text.strip() and len(unknown) == len({id_.name for id_ in ids})
        rows = {} if nothing else kind.read(text)
        answer.rows.update(rows)
        answer.unknown |= unknown
        return [id_ for id_ in ids if id_.name not in rows and id_.name not in unknown]


def _queued(item: PollItem, id_: JobId, answer: _Answer, torque: bool) -> Observation:
    row, owner = answer.rows.get(id_.name), batch.owner(item)
    if row is None:
        if id_.name in answer.unknown:
            return Absent(QSTAT)
        return Unreachable("qstat left the job out")
    if batch.is_user(owner) and row.owner != owner:
        return Unreachable(f"job {id_.name} belongs to {row.owner}, not to {owner}")
    return seen.from_row(row, item, torque) if batch.same_time(item, row.created) else Absent(QSTAT)


def _by_wrapper(item: PollItem, id_: JobId) -> Observation:
    """The exit code that Ganga's wrapper wrote last; its PID is PBS_JOBID."""

    def same(name: str) -> bool:
        other = JobId.parse(name)
        return other is not None and other.name == id_.name

    try:
        found = batch.wrapper(item, same)
    except BackendUnreachable as error:
        return Unreachable(str(error))
    if found is None:
        return Absent(jobstatus.STATUS_FILE, second=True)
    return batch.from_wrapper(found, item.restarts)
