"""What a batch system must be able to do to be taken away from 500 jobs."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmarks.outages.judge import Run
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Scalar

#: The master job that they are subjobs of.
MASTER = 1

#: Submissions at the same time: clients wait for the server more than for the processor.
SUBMITTERS = 8

#: Seconds for which a slow server stands still, and lives, in turns.
STILL, ALIVE = 4.0, 0.5


@dataclass(frozen=True)
class Work:
    """A job that lasts ``seconds`` and ends with exit code ``code``, or by a signal (-9)."""

    seconds: float
    code: int

    @property
    def line(self) -> str:
        """Of shell."""
        end = f"exit {self.code}" if self.code >= 0 else f"kill {self.code} $$"
        return f"sleep {self.seconds:.0f}; {end}"


@dataclass(frozen=True)
class Fault:
    """``begin`` and ``end`` take it in and out of it; the server is back when ``end`` returns."""

    name: str
    begin: Callable[[], object]
    end: Callable[[], object]


@dataclass(frozen=True)
class Job:
    """``id``: as Ganga keeps it; ``extra``: what the plugin needs besides."""

    id: str
    extra: Mapping[str, Scalar] = field(default_factory=dict)


class System(Protocol):
    """A running one. ``environ``: with it a worker's commands ask it. ``folder``: the outputs of
    job N lie in ``MASTER/N/output`` below it. ``slots``: jobs that run at the same time.
    ``behind``: seconds by which what it answers is older than its record."""

    lane: Lane
    folder: Path
    environ: Mapping[str, str]
    version: str
    slots: int
    behind: float

    def faults(self) -> Sequence[Fault]: ...

    def submit(self, works: Sequence[Work]) -> Sequence[Job]: ...

    def cancel(self, ids: Sequence[str]) -> None:
        """As their user does."""
        ...

    def record(self, ids: Sequence[str]) -> Mapping[str, Sequence[Run]]:
        """The server's own, of these jobs, by id, runs in order. Not asked while it is away."""
        ...


def each(work: Callable[[Work], str], works: Sequence[Work]) -> list[Job]:
    """Submit one by one, some at the same time."""
    with ThreadPoolExecutor(SUBMITTERS) as pool:
        return [Job(id_) for id_ in pool.map(work, works)]


def slowed(name: str, send: Callable[[int], object]) -> Fault:
    """Whoever gets the signals that ``send`` sends lives a ninth of the time."""
    over = threading.Event()
    threads: list[threading.Thread] = []

    def throttle() -> None:
        while not over.is_set():
            send(signal.SIGSTOP)
            over.wait(STILL)
            send(signal.SIGCONT)
            over.wait(ALIVE)

    def begin() -> None:
        threads.append(threading.Thread(target=throttle))
        threads[-1].start()

    def end() -> None:
        over.set()
        threads.pop().join()

    return Fault(name, begin, end)


def seconds(text: str, form: str) -> float:
    """Of a time as a command prints it, in local time."""
    return time.mktime(time.strptime(text, form))


@contextmanager
def available(absent: Sequence[str]) -> Iterator[None]:
    """LookupError where packages are missing."""
    if absent:
        raise LookupError(", ".join(absent))
    yield
