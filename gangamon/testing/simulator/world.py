"""The simulated system: its jobs, what was done to them, and its answers. Knows no sockets."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from gangamon.errors import BadInput
from gangamon.testing.simulator import codes, luck
from gangamon.testing.simulator import timeline as lines
from gangamon.testing.simulator.luck import Bad
from gangamon.testing.simulator.scenario import ASKED, OF_A_RUN, Fault, Scenario, fault
from gangamon.testing.simulator.timeline import Phase, Timeline, draw, parse_id

LIST, ACCOUNTING, DOWNLOAD = "list", "accounting", "download"


@dataclass(frozen=True)
class Query:
    """A question as it came in. ``t``: when; ``faults``: what befalls it."""

    source: str
    number: int
    ids: Collection[str] | None
    t: float
    faults: tuple[Bad, ...]

    def fault(self, kind: str) -> Fault | None:
        return next((bad.fault for bad in self.faults if bad.kind == kind), None)


class World:
    """Times are seconds of the scenario since its start; before that they stand still at 0."""

    def __init__(self, scenario: Scenario, clock: Callable[[], float] = time.time) -> None:
        self.scenario = scenario
        self.began: float | None = None
        self.faults: list[Fault] = list(scenario.faults)
        self._clock = clock
        self._number = {LIST: 0, ACCOUNTING: 0, DOWNLOAD: 0}
        self._lines: dict[str, Timeline] = {}
        self._others: list[str] = []  # submitted, or asked about, and not of the scenario's count
        self._next = scenario.count

    # --- time -------------------------------------------------------------------------------

    def start(self) -> float:
        """Let time run; when it began (seconds since the epoch). A second call changes nothing."""
        if self.began is None:
            self.began = self._clock()
        return self.began

    def now(self) -> float:
        if self.began is None:
            return 0.0
        return (self._clock() - self.began) * self.scenario.time_scale

    # --- jobs -------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Work out all jobs beforehand, so that no query has to."""
        for number in range(self.scenario.count):
            for phase in self.timeline(str(number)):
                phase.row  # noqa: B018 (kept by the phase)

    def timeline(self, native_id: str) -> Timeline:
        """What becomes of a job, with all that was done to it; () if there is none."""
        found = self._lines.get(native_id)
        if found is None:
            parsed = parse_id(native_id)
            if parsed is None:
                return ()
            number, attempt = parsed
            if number >= self.scenario.count or attempt > 1:
                if self.scenario.jobs.count != ASKED:
                    return ()
                self._others.append(native_id)
            found = self._lines[native_id] = lines.timeline(self.scenario, native_id)
        return found

    def truth(self, native_id: str, t: float | None = None) -> Phase | None:
        return lines.at(self.timeline(native_id), self.now() if t is None else t)

    def known(self) -> Iterable[str]:
        """The native ids of all jobs, whether or not they have arrived."""
        yield from (str(number) for number in range(self.scenario.count))
        yield from list(self._others)

    def submit(self, count: int = 0, ids: Sequence[str] = ()) -> list[str]:
        """New jobs, there from now on: ``count`` with new numbers, and those of ``ids`` (as
        NUMBER@ATTEMPT: submitted again). BadInput if one is there or is no native id."""
        bad = [name for name in ids if parse_id(name) is None or name in self._lines]
        if bad:
            raise BadInput([f"ids: got {name!r}; accepted: a new NUMBER[@ATTEMPT]" for name in bad])
        names = [*ids, *(str(self._next + n) for n in range(count))]
        self._next += count
        self._others += names
        now = self.now()
        for name in names:
            self._lines[name] = lines.timeline(self.scenario, name, submitted=now)
        return names

    def kill(self, ids: Iterable[str]) -> None:
        now = self.now()
        for name in ids:
            if line := self.timeline(name):
                self._lines[name] = lines.kill(line, now)

    def requeue(self, ids: Iterable[str], wait: float) -> None:
        now = self.now()
        for name in ids:
            if line := self.timeline(name):
                self._lines[name] = lines.requeue(self.scenario, line, now, wait)

    def set_fault(self, table: dict[str, object], active: bool) -> None:
        """Add a fault (a table as in a scenario), or end all of its kind. BadInput."""
        wanted = fault(table)
        if wanted.kind in OF_A_RUN:
            raise BadInput([f"fault.kind: got {wanted.kind!r}; accepted: the op requeue instead"])
        if active:
            self.faults.append(wanted)
            return
        self.faults = [
            replace(one, enabled=False) if one.kind == wanted.kind else one for one in self.faults
        ]

    # --- answers ----------------------------------------------------------------------------

    def query(self, source: str, ids: Collection[str] | None) -> Query:
        """Take a question in. ``ids`` None: about all jobs."""
        self._number[source] += 1
        number, now = self._number[source], self.now()
        bad = luck.befalls(self.scenario, self.faults, source, number, now)
        return Query(source, number, ids, now, bad)

    def cost(self, query: Query) -> float:
        """Seconds, of the wall clock, until the answer."""
        if query.source == DOWNLOAD:
            cost = self.scenario.download.latency
        else:
            plan = self.scenario.list if query.source == LIST else self.scenario.accounting
            jobs = len(query.ids) if query.ids is not None else len(self._lines)
            cost = plan.fixed + plan.per_job * jobs
        if slow := query.fault("slow"):
            cost += slow.seconds
        return cost / self.scenario.time_scale

    def answer(self, query: Query) -> list[Phase]:
        """What the list or the accounting says now, in the order of the question."""
        if query.fault("empty"):
            return []
        t = self.now()
        if stale := query.fault("stale"):
            t = max(0.0, t - stale.seconds)
        if query.source == ACCOUNTING:
            t -= self.scenario.accounting.delay
        asked = self.known() if query.ids is None else query.ids
        accounting, memory = query.source == ACCOUNTING, self.scenario.list.memory
        said = []
        for name in asked:
            phase = lines.at(self.timeline(name), t)
            if phase is None:
                continue
            if accounting:
                if not self._accounted(name):
                    continue
            elif phase.ended is not None and t - phase.ended >= memory:
                continue
            said.append(phase)
        return self._distorted(query, said, t) if query.faults else said

    def output(self, native_id: str) -> bytes | None:
        """The output of a job that has ended; None where it will not come. BadInput while it
        has not ended."""
        phase = self.truth(native_id)
        if phase is None:
            return None
        if phase.code not in codes.ENDED:
            raise BadInput([f"id: job {native_id} is {phase.code}; accepted: a job that has ended"])
        if draw(self.scenario, "missing", native_id) < self.scenario.download.missing:
            return None
        size = self.scenario.download.bytes
        line = f"job {native_id} restart {phase.restart} "
        line += hashlib.blake2b(f"{self.scenario.seed} {line}".encode(), digest_size=16).hexdigest()
        return (line.encode() + b"\n") * (size // (len(line) + 1)) + b"x" * (size % (len(line) + 1))

    def _accounted(self, native_id: str) -> bool:
        knows = self.scenario.accounting.knows
        return knows >= 1 or draw(self.scenario, "accounted", native_id) < knows

    def _distorted(self, query: Query, said: list[Phase], t: float) -> list[Phase]:
        scenario = self.scenario
        for bad in query.faults:
            if bad.kind == "truncated":
                gone = luck.some(scenario, bad, query.number, (p.native_id for p in said))
                said = [p for p in said if p.native_id not in gone]
            elif bad.kind == "duplicated":
                twice = luck.some(scenario, bad, query.number, (p.native_id for p in said))
                said = [*said, *(self._before(p, t) for p in said if p.native_id in twice)]
            elif bad.kind == "vanish":
                said = [
                    p
                    for p in said
                    if p.ended is not None or not luck.hits(scenario, bad, p.native_id)
                ]
            elif bad.kind == "unknown":
                said = [
                    replace(p, code=codes.ODD) if luck.hits(scenario, bad, p.native_id) else p
                    for p in said
                ]
        return said

    def _before(self, phase: Phase, t: float) -> Phase:
        """The second entry of a job: what it was before, as accounting keeps each run."""
        past = [p for p in self.timeline(phase.native_id) if p.begin <= t]
        return past[-2] if len(past) > 1 else phase
