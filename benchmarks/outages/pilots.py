"""What executes jobs of a grid whose own pilots are not run: a thread that tells their lives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from benchmarks.outages.systems import Work

#: Seconds between two looks.
EVERY = 0.5

#: Status, minor status, application status.
Told = tuple[str, str, str]

RUNS: Told = ("Running", "Application", "step 1")
WELL: Told = ("Done", "Execution Complete", "")
KILLED: Told = ("Killed", "Marked for termination", "")


def end_of(work: Work) -> Told:
    if work.code == 0:
        return WELL
    how = f"'x' Exited With Status {work.code}"
    return ("Failed", "Application Finished With Errors", how)


class Pilots:
    """``tell(ids, status)`` tells the grid of jobs; where it raises, it is told again later, as
    real pilots do. So many jobs run at the same time."""

    def __init__(self, tell: Callable[[list[int], Told], object], slots: int) -> None:
        self._tell, self._slots = tell, slots
        self._waiting: list[tuple[int, Work]] = []
        self._running: dict[int, tuple[float, Told]] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._errors: list[str] = []

    def execute(self, jobs: Sequence[tuple[int, Work]]) -> None:
        self._waiting += jobs
        self._thread.start()

    def kill(self, ids: Sequence[int]) -> None:
        """By their user: told at once."""
        with self._lock:
            self._waiting = [(job, work) for job, work in self._waiting if job not in ids]
            for job in ids:
                self._running.pop(job, None)
            self._tell(list(ids), KILLED)

    def close(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._errors:
            print(f"pilots: told again {len(self._errors)} times; {self._errors[-1]}")

    def _run(self) -> None:
        while not self._over.wait(EVERY):
            try:
                with self._lock:
                    self._look()
            except Exception as error:  # noqa: BLE001 - whatever a service that is away does
                self._errors.append(f"{type(error).__name__}: {error}"[:300])

    def _look(self) -> None:
        ended: dict[Told, list[int]] = {}
        for job, (until, end) in self._running.items():
            if time.time() >= until:
                ended.setdefault(end, []).append(job)
        for end, jobs in ended.items():
            self._tell(jobs, end)
            for job in jobs:
                del self._running[job]
        free = self._slots - len(self._running)
        some = self._waiting[:free]
        if some:
            self._tell([job for job, _ in some], RUNS)
            del self._waiting[:free]
            now = time.time()
            self._running |= {job: (now + work.seconds, end_of(work)) for job, work in some}
