"""Two monitors that follow the same jobs, held against each other: what each says, and since when.

The slower one is late, which is no disagreement: it counts as lag, whoever it is. Two final
statuses that differ contradict each other at once. Whoever is late for longer than a bound is told
of once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from gangamon.domain.status import FINAL, RANK, JobStatus

GANGA, GANGAMON = "ganga", "gangamon"

#: What both come to know of a job: that it runs, and that it has ended at its backend.
RUNNING, END = "running", "end"

_MILESTONES = {RUNNING: RANK[JobStatus.RUNNING], END: RANK[JobStatus.COMPLETING]}


class Kind(str, Enum):
    AGREED = "agreed"
    """Both have ended it, with the same status."""
    CONTRADICTION = "contradiction"
    """Both have ended it, with different statuses."""
    BEHIND = "behind"
    """One of them has not come to know for longer than the bound what the other knows."""
    TAKEN_BACK = "taken back"
    """It was killed in Ganga: that is its user's word, with which nothing is compared."""

    def __str__(self) -> str:
        return self.value


class Sight(NamedTuple):
    """A status, and when it was first seen: seconds since the epoch, one clock for both."""

    status: JobStatus
    at: float


@dataclass(frozen=True)
class Finding:
    """About one attempt of a job (``fqid``). ``leads``: what -> seconds by which gangamon knew it
    before Ganga, negative if Ganga was first; of what both came to know while they were compared.
    ``behind``: who is late, ``what``: of which of ``leads``' names."""

    kind: Kind
    fqid: str
    attempt: int
    ganga: Sight
    gangamon: Sight
    leads: dict[str, float] = field(default_factory=dict)
    behind: str = ""
    what: str = ""


class _Story:
    """One attempt of a job, as both have told it."""

    def __init__(self, attempt: int, status: JobStatus, at: float) -> None:
        self.attempt = attempt
        self.now = {GANGA: Sight(status, at), GANGAMON: Sight(status, at)}
        #: What was known from the beginning is nobody's merit.
        self.open = [what for what, rank in _MILESTONES.items() if RANK[status] < rank]
        self.reached: dict[str, dict[str, float]] = {GANGA: {}, GANGAMON: {}}
        self.told: set[str] = set()

    def hear(self, who: str, status: JobStatus, at: float) -> bool:
        """Whether it is news. What goes back (a requeue) counts as a status, not as a milestone."""
        if self.now[who].status is status:
            return False
        self.now[who] = Sight(status, at)
        for what in self.open:
            if RANK[status] >= _MILESTONES[what]:
                self.reached[who].setdefault(what, at)
        return True

    def leads(self) -> dict[str, float]:
        theirs, ours = self.reached[GANGA], self.reached[GANGAMON]
        both = (what for what in self.open if what in theirs and what in ours)
        return {what: theirs[what] - ours[what] for what in both}

    def apart(self) -> Iterator[tuple[str, str, float]]:
        """(what, who does not know it, since when the other does)."""
        for what in self.open:
            known = [who for who in (GANGA, GANGAMON) if what in self.reached[who]]
            if len(known) == 1:
                late = GANGAMON if known == [GANGA] else GANGA
                yield what, late, self.reached[known[0]][what]


class Comparison:
    """All jobs that are followed. ``bound``: seconds that one may be late. Not for several
    threads."""

    def __init__(self, bound: float) -> None:
        self._bound = bound
        self._stories: dict[str, _Story] = {}
        self._apart: set[str] = set()

    def __len__(self) -> int:
        """Jobs of which the end is still to come."""
        return len(self._stories)

    def begin(self, fqid: str, attempt: int, status: JobStatus, at: float) -> None:
        """Follow an attempt of a job from now on; both start from the status that Ganga shows."""
        self._stories[fqid] = _Story(attempt, status, at)
        self._apart.discard(fqid)

    def attempt(self, fqid: str) -> int | None:
        """The attempt that is followed; None: none."""
        story = self._stories.get(fqid)
        return story.attempt if story is not None else None

    def forget(self, fqids: Iterable[str]) -> None:
        for fqid in fqids:
            self._stories.pop(fqid, None)
            self._apart.discard(fqid)

    def of(self, master: int) -> list[str]:
        """What is followed of one master job."""
        return [f for f in self._stories if f.partition(".")[0] == str(master)]

    def hear(
        self, who: str, fqid: str, attempt: int, status: JobStatus, at: float
    ) -> Finding | None:
        """What ``who`` says of a job now. A job about which a finding is made is over: it is not
        followed any more."""
        story = self._stories.get(fqid)
        if story is None or story.attempt != attempt or not story.hear(who, status, at):
            return None
        if any(True for _ in story.apart()):
            self._apart.add(fqid)
        else:
            self._apart.discard(fqid)
        found = self._judge(fqid, story)
        if found is not None:
            self.forget([fqid])
        return found

    def overdue(self, now: float) -> list[Finding]:
        """Who is late for longer than the bound; each time once."""
        found = []
        for fqid in self._apart:
            story = self._stories[fqid]
            for what, late, since in story.apart():
                if now - since > self._bound and what not in story.told:
                    story.told.add(what)
                    found.append(self._finding(Kind.BEHIND, fqid, story, late, what))
        return found

    def differs(self, late: Finding) -> bool:
        """Whether what was late then is late still."""
        story = self._stories.get(late.fqid)
        return story is not None and any(
            (what, who) == (late.what, late.behind) for what, who, _ in story.apart()
        )

    def _judge(self, fqid: str, story: _Story) -> Finding | None:
        ganga, ours = story.now[GANGA].status, story.now[GANGAMON].status
        if ganga is JobStatus.KILLED and ours is not JobStatus.KILLED:
            return self._finding(Kind.TAKEN_BACK, fqid, story)
        if ganga not in FINAL or ours not in FINAL:
            return None
        return self._finding(Kind.AGREED if ganga is ours else Kind.CONTRADICTION, fqid, story)

    @staticmethod
    def _finding(kind: Kind, fqid: str, story: _Story, behind: str = "", what: str = "") -> Finding:
        now = story.now
        return Finding(
            kind, fqid, story.attempt, now[GANGA], now[GANGAMON], story.leads(), behind, what
        )
