"""The end of a master job: its outputs are merged, and Ganga does the rest as ever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from GangaCore.Utility.logging import getLogger

from gangamon.adapter.handover.specs import merger_specs
from gangamon.adapter.show.applier import Applier
from gangamon.adapter.show.times import master_times
from gangamon.adapter.show.verdicts import Verdict, verdicts
from gangamon.adapter.watch.reader import Reader, Subjobs
from gangamon.adapter.watch.watched import ENDED, Watched
from gangamon.domain.command import UNSPLIT
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
        given = _verdicts(master, view.final.results) if len(subjobs) else []
        for problem in (view.final.results.get("check") or {}).get("problems", ()):
            logger.error("job %s: %s", watched.id, problem)
        status = self._status(watched, view.final.status, given)
        self._applier.backlog.keep(master)
        self.busy = True
        try:
            with verdicts.holding(master, given), master_times(master, subjobs, view.jobs):
                master.updateStatus(status.value)
        finally:
            self.busy = False
        if len(subjobs):
            self._applier.writer.note(master, ended=True)
        return True

    def _status(
        self, watched: Watched, final: JobStatus, given: Sequence[Verdict | None]
    ) -> JobStatus:
        """Ganga's roll-up where it says more: a subjob that Ganga itself failed (no output file
        matched), or mergers that fail, as in stock Ganga, in the transition to completed."""
        own = self._applier.rolled_up(watched)
        if own is None or own not in FINAL:
            return final
        unmerged = any(verdict is not None and not verdict.ok for verdict in given)
        if own is JobStatus.COMPLETED and final is not own and not unmerged:
            return final
        return own


def _verdicts(master: Any, results: Any) -> list[Verdict | None]:
    """The service's answers beside the job's text mergers; empty if they do not match, so that
    Ganga runs its own."""
    sent = merger_specs(master)
    answers = list(results.get("merge") or ())
    if sum(spec is not None for spec in sent) != len(answers):
        if answers:
            logger.warning("job %s: its mergers were changed: Ganga merges itself", master.id)
        return []
    rest = iter(answers)
    return [_verdict(next(rest)) if spec is not None else None for spec in sent]


def _verdict(answer: Any) -> Verdict:
    return Verdict(bool(answer.get("ok")), str(answer.get("reason") or "the merge failed"))
