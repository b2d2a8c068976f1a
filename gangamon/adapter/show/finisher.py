"""The end of a master job: its outputs are merged, and Ganga does the rest as ever."""

from __future__ import annotations

from collections import Counter
from typing import Any

from GangaCore.Utility.logging import getLogger

from gangamon.adapter.handover.processors import check_verdicts, merge_verdicts, told
from gangamon.adapter.show import placed
from gangamon.adapter.show.applier import Applier
from gangamon.adapter.show.times import master_times
from gangamon.adapter.show.verdicts import verdicts
from gangamon.adapter.watch.reader import Reader, Subjobs
from gangamon.adapter.watch.watched import ENDED, Watched
from gangamon.domain.command import UNSPLIT
from gangamon.domain.observation import Check
from gangamon.domain.status import FINAL, JobStatus

logger = getLogger("gangamon")


class Finisher:
    """Moves a master job to its final status, on the service's word and only if it is the last
    word: every subjob's end is applied and of the attempt that Ganga has now."""

    def __init__(self, reader: Reader, applier: Applier) -> None:
        self._reader, self._applier = reader, applier
        self.busy = False

    def finish(self, watched: Watched, view: Any) -> bool:
        """Whether the job is over now. ``view``: the service's, just taken. Raises Gone, Locked."""
        if view is None or view.final is None:
            return False
        if {sub: update.attempt for sub, update in view.jobs.items()} != watched.attempts:
            return False  # resubmitted since: another end will come
        master = self._reader.master(watched.id)
        subjobs = Subjobs(master)
        if len(subjobs):
            watched.counts = Counter(subjobs.statuses())
            if any(status not in ENDED for status in watched.counts):
                return False
        elif int(master.info.submit_counter) != watched.attempts.get(UNSPLIT):
            return False
        if master.status not in ("submitted", "running", "completing"):
            return master.status in ENDED
        checked = view.final.results.get("check") or {}
        checks = [Check(**check) for check in checked.get("checks", ())]
        merges = view.final.results.get("merge", ()) if len(subjobs) else ()
        given = [
            *merge_verdicts(master, merges),
            *check_verdicts(master, checks, UNSPLIT),
        ]
        own = view.jobs.get(UNSPLIT)
        if own is not None and own.status is JobStatus.FAILED:
            placed.failed(master, own.puts)
        elif own is not None:
            given += placed.verdicts_of(master, own.puts)
        for problem in checked.get("problems", ()):
            logger.error("job %s: %s", watched.id, problem)
        failed = any(not verdict.ok for _, verdict in given) or any(not c.ok for c in checks)
        status = self._status(watched, view.final.status, failed)
        notified = view.final.results.get("notify") or {}
        if "problems" in notified:
            given += told(master, view.final.status.value, checks, UNSPLIT)
        for problem in notified.get("problems", ()):
            logger.error("job %s: %s", watched.id, problem)
        self._applier.backlog.keep(master)
        self.busy = True
        try:
            with verdicts.holding(given), master_times(master, subjobs, view.jobs):
                master.updateStatus(status.value)
        finally:
            self.busy = False
        if len(subjobs):
            self._applier.writer.note(master, ended=True)
        return True

    def _status(self, watched: Watched, final: JobStatus, failed: bool) -> JobStatus:
        """Ganga's roll-up where it says more: a subjob that Ganga itself failed (no output file
        matched), or mergers or checkers that fail (``failed``), as in stock Ganga, in the
        transition to completed."""
        own = self._applier.rolled_up(watched)
        if own is None and failed:
            return JobStatus.COMPLETED  # not split: checkers alone have failed it
        if own is None or own not in FINAL:
            return final
        if own is JobStatus.COMPLETED and final is not own and not failed:
            return final
        return own
