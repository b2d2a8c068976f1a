"""Auto-resubmit and auto-kill, which Ganga 8.7.12 has options for but nothing that calls them.

With the meaning that Ganga's former monitoring gave them (Local_GangaMC_Service.py:427-471, still
shipped in 8.7.12): judged whenever subjobs have ended, only for jobs that are submitted or running.
What is decided is done by Ganga's own ``auto_resubmit`` and ``auto_kill``, in another thread.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from GangaCore.Utility.Config import getConfig
from GangaCore.Utility.logging import getLogger

from gangamon.adapter.auto.background import Background
from gangamon.adapter.handover.enqueuer import PAUSE, SLICE
from gangamon.adapter.watch.reader import Reader, Subjobs
from gangamon.adapter.watch.watched import POLLED, Watched
from gangamon.domain.command import UNSPLIT
from gangamon.domain.status import JobStatus
from gangamon.services import hold

logger = getLogger("gangamon")

#: Seconds until a resubmission that failed is tried again, and failures in a row after which it is
#: not. Each try counts for MaxNumResubmits besides.
RETRY, PATIENCE = 30.0, 3

#: Seconds until a master whose turn has not come, or is not over, is asked about again.
AGAIN = 0.5

#: Seconds that a closing session waits for a resubmission before it says so; and at most.
PATIENT, AT_MOST = 3.0, 300.0


@dataclass
class _Case:
    """What is known of one master. ``judged``: (completed, failed) when it was last looked at.
    ``held``: something is about to be done, or is being done. ``attempt``: the one that has failed
    of a job that was not split, 0: none has. ``rest_until``: no resubmission before that, while
    subjobs still run; ``again``: one was wanted."""

    watched: Watched
    judged: tuple[int, int] | None = None
    held: bool = False
    failures: int = 0
    retry_at: float = 0.0
    attempt: int = 0
    rest_until: float = 0.0
    again: bool = False


class Automatic:
    """Only the adapter's thread calls it; what it starts runs in another, one job at a time.

    ``place``: the repository's directory, where masters are held that the service must not end.
    """

    def __init__(self, reader: Reader, alive: Callable[[], bool], place: Path) -> None:
        self._reader, self._alive, self._place = reader, alive, place
        self._cases: dict[int, _Case] = {}
        self._waiting: deque[tuple[_Case, Callable[[_Case], None]]] = deque()
        self._now: _Case | None = None
        self._background = Background("gangamon-resubmit")

    # --- what the engine asks ----------------------------------------------------------------

    def holds(self, watched: Watched) -> bool:
        """Whether its jobs are about to change: they must not be read, nor the job ended."""
        case = self._cases.get(watched.id)
        return case is not None and case.watched is watched and case.held

    def prepare(self, watched: Watched) -> None:
        """Before its jobs are handed over: the service must not end it while some of it may be
        resubmitted. Raises Gone, Locked, DiskFull."""
        wanted = bool(self._reader.master(watched.id).do_auto_resubmit)
        if wanted and not self.keeps(watched):
            hold.hold(self._place, watched.id)
        elif not wanted:
            self.let_go(watched)

    def keeps(self, watched: Watched) -> bool:
        """Whether the service waits for a decision."""
        return hold.is_held(self._place, watched.id)

    def let_go(self, watched: Watched) -> None:
        """Nothing of it is going to be resubmitted."""
        hold.let_go(self._place, watched.id)

    def mine(self) -> bool:
        return self._background.mine()

    @property
    def busy(self) -> bool:
        return self._background.busy

    def judge(self, watched: Watched, view: Any = None) -> float | None:
        """Decide, and prepare what is due. ``view``: the service's, if the job has ended there.

        When to ask again (monotonic time); None: nothing is going to happen. Raises Gone, Locked.
        """
        case = self._cases.get(watched.id)
        if case is None or case.watched is not watched:
            case = self._cases[watched.id] = _Case(watched)
        now = time.monotonic()
        if case.held:
            return now + AGAIN
        if now < case.retry_at:
            return case.retry_at
        if not self._alive() or case.failures >= PATIENCE:
            return None
        act = self._decide(case, view)
        if act is None:
            return None
        if act == self._resubmit and view is None and now < case.rest_until:
            case.again, case.judged = True, None
            return None
        case.held = True
        self._waiting.append((case, act))
        return now + AGAIN

    def step(self) -> list[Watched]:
        """Begin what waits; the masters whose turn is over, or has come, to be looked at again."""
        over: list[Watched] = []
        now = time.monotonic()
        for case in self._cases.values():
            if case.again and now >= case.rest_until:
                case.again = False
                over.append(case.watched)
        if self._background.busy:
            return over
        if self._now is not None:
            self._now.held = False
            over.append(self._now.watched)
            self._now = None
        if self._waiting and self._alive():
            case, act = self._waiting.popleft()
            self._now = case
            self._background.start(lambda: self._guarded(case, act))
        return over

    def forget(self, watched: Watched) -> None:
        """It is over, or not ours any more."""
        self.let_go(watched)
        if not self.holds(watched):
            self._cases.pop(watched.id, None)

    def close(self) -> None:
        """The session ends: what has begun is not cut off."""
        if not self._background.join(PATIENT):
            logger.warning("gangamon: waiting for an automatic resubmission to end")
            self._background.join(AT_MOST)

    # --- deciding ----------------------------------------------------------------------------

    def _decide(self, case: _Case, view: Any) -> Callable[[_Case], None] | None:
        watched = case.watched
        ended = view is not None
        if not ended and not watched.counts["failed"]:
            return None
        if not ended and case.judged == _tally(watched.counts):
            return None
        master = self._reader.master(watched.id)
        if master.status not in POLLED:
            return None
        subjobs = Subjobs(master)
        if not len(subjobs):
            case.attempt = _failed(view)
            return self._resubmit if _may_resubmit(master) and self._stands(case, master) else None
        counts = Counter(subjobs.statuses()) if ended else watched.counts
        case.judged = completed, failed = _tally(counts)
        if _hopeless(completed, failed) and any(counts[status] for status in POLLED):
            return self._kill
        if failed and _few(completed, failed) and _may_resubmit(master) and _candidates(subjobs):
            return self._resubmit
        return None

    def _stands(self, case: _Case, master: Any) -> bool:
        """Whether the failure of a job that was not split is that of its last attempt."""
        return int(master.info.submit_counter) == case.attempt and _left(master)

    # --- doing, in the other thread -------------------------------------------------------------

    def _guarded(self, case: _Case, act: Callable[[_Case], None]) -> None:
        try:
            act(case)
            case.failures, case.retry_at = 0, 0.0
        except Exception as error:  # noqa: BLE001 - backends of others run here
            logger.error("gangamon: job %s: %s", case.watched.id, error)
            case.failures += 1
            case.retry_at = time.monotonic() + RETRY
        case.judged = None

    def _resubmit(self, case: _Case) -> None:
        master = self._reader.master(case.watched.id)
        subjobs = Subjobs(master)
        chosen = _candidates(subjobs) if len(subjobs) else []
        stands = bool(chosen) if len(subjobs) else self._stands(case, master)
        if master.status not in POLLED or not stands:
            return  # the user was faster
        what = f"{len(chosen)} failed subjobs" if chosen else "it failed"
        logger.warning("gangamon: auto-resubmit of job %s: %s", master.id, what)
        good = False
        try:
            master.auto_resubmit()
            good = True
        finally:
            # It goes over all subjobs (Job.py:2676, 8.7.12): as often as Ganga's own was called.
            case.rest_until = time.monotonic() + _poll_rate(case.watched.backend)
            _put_right(master, [subjobs[sub] for sub in chosen], good)

    def _kill(self, case: _Case) -> None:
        master = self._reader.master(case.watched.id)
        completed, failed = _tally(Counter(Subjobs(master).statuses()))
        if master.status not in POLLED or not _hopeless(completed, failed):
            return
        logger.warning(
            "gangamon: killing job %s: %d subjobs have failed and none has completed "
            "([PollThread]autoKillThreshold)",
            master.id,
            failed,
        )
        master.auto_kill()


def _failed(view: Any) -> int:
    job = view.jobs.get(UNSPLIT) if view is not None else None
    return int(job.attempt) if job is not None and job.status is JobStatus.FAILED else 0


def _poll_rate(backend: str) -> float:
    options = getConfig("PollThread")
    known = backend in options.options
    return float(options[backend if known else "default_backend_poll_rate"])


def _tally(counts: Counter[str]) -> tuple[int, int]:
    return counts["completed"], counts["failed"]


def _hopeless(completed: int, failed: int) -> bool:
    threshold = int(getConfig("PollThread")["autoKillThreshold"])
    return completed == 0 and threshold != -1 and failed >= max(1, threshold)


def _few(completed: int, failed: int) -> bool:
    return failed / (completed + failed) < float(getConfig("PollThread")["MaxFracForResubmit"])


def _may_resubmit(master: Any) -> bool:
    return bool(master.do_auto_resubmit) and bool(master.backend.check_auto_resubmit())


def _left(job: Any) -> bool:
    """Whether it may be submitted once more."""
    return int(job.info.submit_counter) <= int(getConfig("PollThread")["MaxNumResubmits"])


def _candidates(subjobs: Subjobs) -> list[int]:
    """The failed subjobs that Ganga would resubmit (Job.py:2631, 8.7.12)."""
    found = []
    failed = (sub for sub, status in enumerate(subjobs.statuses()) if status == "failed")
    for n, sub in enumerate(failed):
        if n % SLICE == SLICE - 1:
            time.sleep(PAUSE)
        if _left(subjobs[sub]):
            found.append(sub)
    return found


def _put_right(master: Any, jobs: list[Any], good: bool) -> None:
    """A backend that fails leaves subjobs 'submitting' for ever, and a job that was not split
    'running' with its outputs removed (Job.py:2646-2690, 8.7.12): they have failed."""
    for job in jobs:
        if job.status == "submitting":
            job.updateStatus("failed", update_master=False)
    if not good and not jobs and master.status in (*POLLED, "submitting"):
        master.updateStatus("failed")
