"""The check stage: what was merged lies on disk as the manifest says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gangamon.domain.command import UNSPLIT
from gangamon.domain.effect import Stage
from gangamon.protocols import JobStore, Master
from gangamon.services.due import Dispatcher
from gangamon.services.leases import LeaseKeeper
from gangamon.services.stages import MasterStage


class Check(MasterStage):
    """``problems``: one line for each merged file that is missing or differs. Ganga's own
    checkers run in the session, after this."""

    stage = Stage.CHECK

    def __init__(
        self,
        store: JobStore,
        keeper: LeaseKeeper,
        dispatcher: Dispatcher,
        verify: Callable[[str], list[str]],
    ) -> None:
        super().__init__(store, keeper, dispatcher)
        self._verify = verify

    def work(self, master: Master) -> Mapping[str, Any]:
        merged = master.results.get("merge", {}).get("mergers", [])
        if not any(result["files"] for result in merged):
            return {"ok": True, "problems": []}
        problems = self._verify(master.output(UNSPLIT))
        return {"ok": not problems, "problems": problems}
