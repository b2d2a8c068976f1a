"""The merge stage: the mergers of an ended master job, in Ganga's order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gangamon.domain.command import UNSPLIT
from gangamon.domain.effect import Stage
from gangamon.errors import LeftToSession, PermanentError
from gangamon.protocols import JobStore, Master, MergeOrder, PostProcessor
from gangamon.services.due import Dispatcher
from gangamon.services.leases import LeaseKeeper
from gangamon.services.stages import MasterStage


class Merge(MasterStage):
    """``mergers``: one of {kind, ok, reason, files} for each, in the order of the job's list. From
    the first on that needs a session they have ``left`` besides: the session runs them."""

    stage = Stage.MERGE

    def __init__(
        self,
        store: JobStore,
        keeper: LeaseKeeper,
        dispatcher: Dispatcher,
        merger: Callable[[str], PostProcessor],
    ) -> None:
        super().__init__(store, keeper, dispatcher)
        self._merger = merger

    def failure(self, master: Master, reason: str) -> Mapping[str, Any]:
        results = [
            {"kind": spec.kind, "ok": False, "reason": reason, "files": []}
            for spec in master.mergers
        ]
        return {"ok": False, "mergers": results}

    def work(self, master: Master) -> Mapping[str, Any]:
        if not master.mergers:
            return {"ok": True, "mergers": []}
        jobs = self.store.jobs(master, None)
        if UNSPLIT in jobs:  # Ganga merges subjobs only
            return {"ok": True, "mergers": []}
        inputs = [(jobs[s].fqid, jobs[s].status, master.output(s)) for s in sorted(jobs)]
        # Grows with every resubmission, and is the same after the store was rebuilt.
        attempt = sum(job.attempt for job in jobs.values())
        results: list[dict[str, Any]] = []
        for spec in master.mergers:
            order = MergeOrder(str(master.id), attempt, spec, master.output(UNSPLIT), inputs)
            result: dict[str, Any] = {"kind": spec.kind, "ok": True, "reason": "", "files": []}
            try:
                result["files"] = [name for name, _, _ in self._merger(spec.kind).run(order).files]
            except LeftToSession as error:
                left = {"ok": True, "reason": str(error), "files": [], "left": True}
                results += [{"kind": s.kind, **left} for s in master.mergers[len(results) :]]
                break
            except PermanentError as error:
                result.update(ok=False, reason=str(error))
            results.append(result)
        return {"ok": all(result["ok"] for result in results), "mergers": results}
