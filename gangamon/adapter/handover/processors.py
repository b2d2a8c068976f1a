"""A job's postprocessors: which of them the service runs, and what it said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from GangaCore.GPIDev.Adapters.IChecker import IChecker
from GangaCore.GPIDev.Adapters.IMerger import IMerger
from GangaCore.Utility.logging import getLogger

from gangamon.adapter.handover import checkers as checker_specs
from gangamon.adapter.handover import mergers as merger_specs
from gangamon.adapter.show.verdicts import Verdict
from gangamon.adapter.watch.reader import postprocessors
from gangamon.domain.command import CheckerSpec, MergerSpec
from gangamon.domain.observation import Check

logger = getLogger("gangamon")

Spec = MergerSpec | CheckerSpec


def ours(job: Any) -> list[tuple[Any, Spec]]:
    """(Ganga's object, what the service is to do) in Ganga's order, up to the first that gangamon
    cannot run: what stands after that may need what it makes. The service merges first and checks
    then, as Ganga sorts them; so a merger after a checker is Ganga's too."""
    found: list[tuple[Any, Spec]] = []
    for processor in postprocessors(job):
        spec = _spec(processor)
        if spec is None:
            break
        if isinstance(spec, MergerSpec) and found and isinstance(found[-1][1], CheckerSpec):
            break
        found.append((processor, spec))
    return found


def mergers(job: Any) -> list[tuple[Any, MergerSpec]]:
    return [(p, spec) for p, spec in ours(job) if isinstance(spec, MergerSpec)]


def checkers(job: Any) -> list[tuple[Any, CheckerSpec]]:
    return [(p, spec) for p, spec in ours(job) if isinstance(spec, CheckerSpec)]


def merge_verdicts(master: Any, answers: Sequence[Mapping[str, Any]]) -> list[tuple[Any, Verdict]]:
    """The service's answers beside the job's mergers; empty if they do not match, so that Ganga
    runs its own."""
    sent = mergers(master)
    if len(sent) != len(answers):
        if answers:
            logger.warning("job %s: its mergers were changed: Ganga merges itself", master.id)
        return []
    return [
        (p, Verdict(bool(a.get("ok")), str(a.get("reason") or "the merge failed")))
        for (p, _), a in zip(sent, answers, strict=True)
        if not a.get("left")
    ]


def check_verdicts(job: Any, checks: Sequence[Check], sub: int) -> list[tuple[Any, Verdict]]:
    """Likewise for its checkers, up to the first that is not the one that was sent. ``sub``:
    UNSPLIT for a master or a job that was not split."""
    wanted = [(p, spec) for p, spec in checkers(job) if spec.wanted(sub)]
    found = []
    for (processor, spec), said in zip(wanted, checks, strict=False):
        if spec.digest != said.spec:
            logger.warning("job %s: its checkers were changed: Ganga checks", job.getFQID("."))
            break
        found.append((processor, Verdict(said.ok, said.reason, said.error)))
    return found


def _spec(processor: Any) -> Spec | None:
    if isinstance(processor, IMerger):
        return merger_specs.spec(processor)
    return checker_specs.spec(processor) if isinstance(processor, IChecker) else None
