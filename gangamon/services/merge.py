"""The merge stage: the mergers of an ended master job, in Ganga's order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from gangamon.domain.command import UNSPLIT, MergerSpec
from gangamon.domain.effect import Stage
from gangamon.domain.status import JobStatus
from gangamon.errors import LeftToSession, PermanentError
from gangamon.protocols import JobStore, Master, MergeOrder, PostProcessor, Written
from gangamon.services.due import Dispatcher
from gangamon.services.leases import LeaseKeeper
from gangamon.services.progress import Progress
from gangamon.services.stages import MasterStage


def order(
    master: Master, spec: MergerSpec, states: Mapping[int, tuple[int, int, JobStatus]]
) -> MergeOrder:
    """Of these subjobs: (attempt, restart, status) by sub id, in order."""
    return MergeOrder(
        str(master.id),
        # Grows with every resubmission, and is the same after the store was rebuilt.
        sum(attempt for attempt, _, _ in states.values()),
        spec,
        master.output(UNSPLIT),
        [(master.fqid(sub), status, master.output(sub)) for sub, (_, _, status) in states.items()],
        [f"{attempt}.{restart}" for attempt, restart, _ in states.values()],
    )


class Merge(MasterStage):
    """``mergers``: one of {kind, ok, reason, files} for each, in the order of the job's list, with
    the files' ``bytes`` where it ran well. From the first on that needs a session they have
    ``left`` besides: the session runs them."""

    stage = Stage.MERGE

    def __init__(
        self,
        store: JobStore,
        keeper: LeaseKeeper,
        dispatcher: Dispatcher,
        merger: Callable[[str], PostProcessor],
        progress: Progress | None = None,
    ) -> None:
        super().__init__(store, keeper, dispatcher)
        self._merger = merger
        self._progress = progress

    def failure(self, master: Master, reason: str) -> Mapping[str, Any]:
        results = [
            {"kind": spec.kind, "ok": False, "reason": reason, "files": []}
            for spec in master.mergers
        ]
        return {"ok": False, "mergers": results}

    def written(self, result: Mapping[str, Any]) -> Written:
        merged = result.get("mergers", ())
        return Written(
            sum(len(one["files"]) for one in merged), sum(one.get("bytes", 0) for one in merged)
        )

    def work(self, master: Master, token: str, member: str) -> Mapping[str, Any]:
        if not master.mergers:
            return {"ok": True, "mergers": []}
        states = self.store.states(master)
        if UNSPLIT in states:  # Ganga merges subjobs only
            return {"ok": True, "mergers": []}
        results: list[dict[str, Any]] = []
        for spec in master.mergers:
            result: dict[str, Any] = {"kind": spec.kind, "ok": True, "reason": "", "files": []}
            given = order(master, spec, states)
            try:
                merger = self._merger(spec.kind)
                watched: AbstractContextManager[None] = nullcontext()
                if self._progress is not None:
                    watched = self._progress.watching(token, member, master, given)
                with watched:
                    made = merger.run(given)
                result.update(files=[name for name, _, _ in made.files], bytes=made.bytes)
            except LeftToSession as error:
                left = {"ok": True, "reason": str(error), "files": [], "left": True}
                results += [{"kind": s.kind, **left} for s in master.mergers[len(results) :]]
                break
            except PermanentError as error:
                result.update(ok=False, reason=str(error))
            results.append(result)
        return {"ok": all(result["ok"] for result in results), "mergers": results}
