"""The check stage: what was merged lies on disk as the manifest says, and passes the checkers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from gangamon.domain.command import UNSPLIT
from gangamon.domain.effect import Stage
from gangamon.domain.status import JobStatus
from gangamon.protocols import Checker, JobStore, Master
from gangamon.services.checks import run_checks
from gangamon.services.due import Dispatcher
from gangamon.services.leases import LeaseKeeper
from gangamon.services.stages import MasterStage, verdict


class Check(MasterStage):
    """``problems``: one line for each merged file that is missing or differs. ``checks``: what the
    checkers said of the master, or of a job that was not split, if it would be completed: one of
    {kind, spec, ok, reason, error} for each. What other checkers say, the session finds out."""

    stage = Stage.CHECK

    def __init__(
        self,
        store: JobStore,
        keeper: LeaseKeeper,
        dispatcher: Dispatcher,
        verify: Callable[[str], list[str]],
        checker: Callable[[str], Checker],
    ) -> None:
        super().__init__(store, keeper, dispatcher)
        self._verify = verify
        self._checker = checker

    def work(self, master: Master, token: str, member: str) -> Mapping[str, Any]:
        merged = master.results.get("merge", {}).get("mergers", [])
        made = any(result["files"] for result in merged)
        problems = self._verify(master.output(UNSPLIT)) if made else []
        result: dict[str, Any] = {"ok": not problems, "problems": problems}
        left = any(result.get("left") for result in merged)  # Ganga checks what it has merged
        if problems or left or verdict(master, master.results) is not JobStatus.COMPLETED:
            return result
        subjobs = self._subjobs(master) if master.checkers else []
        if checks := run_checks(self._checker, master, UNSPLIT, subjobs):
            result["checks"] = [asdict(check) for check in checks]
            result["ok"] = all(check.ok for check in checks)
        return result

    def _subjobs(self, master: Master) -> list[tuple[str, JobStatus, str]]:
        jobs = self.store.jobs(master, None)
        subs = [] if UNSPLIT in jobs else sorted(jobs)
        return [(jobs[s].fqid, jobs[s].status, master.output(s)) for s in subs]
