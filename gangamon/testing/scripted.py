"""A service that says what it is told, inside the process that asks: for sessions under test."""

from __future__ import annotations

import queue
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from gangamon.client import JobUpdate, MasterFinal, MasterView, Update
from gangamon.domain.command import Command, Enqueue, Withdraw
from gangamon.domain.status import JobStatus
from gangamon.protocols import DeadLetter, LaneRecord, Master

#: The life of its store, for ever.
EPOCH = "scripted"


class ScriptedClient:
    """What ``gangamon.client.Client`` is to the adapter. Commands are taken in at once.

    ``known``: master -> sub -> the state that a snapshot shows. ``finals``: master -> its end.
    ``paused``: lane -> why nothing is asked in it.
    """

    position, missed, owner = "0-0", False, "scripted"

    def __init__(self, backends: Iterable[str] = ("Local",)) -> None:
        self.known: dict[int, dict[int, JobUpdate]] = {}
        self.finals: dict[int, MasterFinal] = {}
        self.commands: list[Command] = []
        self.paused: dict[str, str] = {}
        self._backends = tuple(backends)
        self._updates: queue.SimpleQueue[Update] = queue.SimpleQueue()
        self._lock = threading.Lock()

    # --- what a test says -------------------------------------------------------------------

    def say(self, master: int, jobs: Iterable[JobUpdate], final: MasterFinal | None = None) -> None:
        """Transitions of a master's jobs, and its end if there is one."""
        said = tuple(jobs)
        with self._lock:
            self.known.setdefault(master, {}).update({job.sub: job for job in said})
            if final is not None:
                self.finals[master] = final
        self._updates.put(Update(EPOCH, 0.0, master, said, final=final))

    def note(self, master: int, jobs: Iterable[JobUpdate]) -> None:
        """Attributes of jobs that do not move."""
        self._updates.put(Update(EPOCH, 0.0, master, noted=tuple(jobs)))

    # --- what the adapter asks --------------------------------------------------------------

    def submit(self, command: Command) -> str:
        with self._lock:
            self.commands.append(command)
            if isinstance(command, Enqueue):
                known = self.known.setdefault(command.master, {})
                for job in command.jobs:
                    old = known.get(job.sub)
                    if old is None or old.attempt < job.attempt:
                        known[job.sub] = JobUpdate(job.sub, job.attempt, 0, JobStatus.SUBMITTED)
            elif isinstance(command, Withdraw) and not command.subs:
                self.known.pop(command.master, None)
        return command.id

    def flush(self) -> int:
        return 0

    def epoch(self) -> str:
        return EPOCH

    def lane(self, name: str) -> LaneRecord:
        return LaneRecord(paused=self.paused.get(name, ""))

    def backends(self) -> tuple[str, ...]:
        return self._backends

    def new_id(self) -> str:
        return uuid.uuid4().hex

    def follow(self, repository: str, since: str) -> ScriptedClient:
        return self

    def read(self, block: float) -> list[Update]:
        found: list[Update] = []
        try:
            found.append(self._updates.get(timeout=block))
            while len(found) < 50:
                found.append(self._updates.get_nowait())
        except queue.Empty:
            pass
        return found

    def pending(self) -> int:
        return 0

    def master(self, repository: str, number: int) -> Master | None:
        with self._lock:
            jobs, final = self.known.get(number), self.finals.get(number)
            mine = [c for c in self.commands if isinstance(c, Enqueue) and c.master == number]
            if not jobs or not mine:
                return None
            return Master(
                owner=self.owner,
                repository=repository,
                id=number,
                attempt=1,
                total=mine[-1].total,
                name=mine[-1].name,
                lane=mine[-1].lane,
                workspace=mine[-1].workspace,
                mergers=(),
                roots=(),
                phase="open" if final is None else "done",
                status=None if final is None else final.status,
                counts=Counter(job.status for job in jobs.values()),
                results={},
            )

    def masters(self, repository: str) -> list[Master]:
        found = (self.master(repository, number) for number in sorted(self.known))
        return [master for master in found if master is not None]

    def lanes(self) -> Mapping[str, LaneRecord]:
        """None: nothing is ever asked."""
        return {}

    def depth(self, queue: str) -> tuple[int, int]:
        return 0, 0

    def dead(self) -> Sequence[DeadLetter]:
        return ()

    def tick_age(self) -> float | None:
        return 0.0

    def snapshot(self, repository: str, master: int) -> MasterView | None:
        with self._lock:
            jobs = dict(self.known.get(master, {}))
            lanes = [c.lane for c in self.commands if isinstance(c, Enqueue) and c.master == master]
            record: Any = SimpleNamespace(lane=lanes[-1] if lanes else "", observe=False)
            final = self.finals.get(master)
            return MasterView(record, jobs, final, self.position, EPOCH) if jobs else None


def use(component: Any, client: ScriptedClient) -> Callable[[], bool]:
    """Let a session's adapter talk to ``client``, not yet connected; the result tells whether it
    is connected now."""
    component.link._client = client
    component.link._make = lambda: client
    component.link._retry_at = 0.0
    return lambda: bool(component.link.up)
