"""A job's postprocessors: which of them the service runs, and what it said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from GangaCore.GPIDev.Adapters.IChecker import IChecker
from GangaCore.GPIDev.Adapters.IMerger import IMerger
from GangaCore.GPIDev.Base.Proxy import getName
from GangaCore.Lib.Notifier.Notifier import Notifier
from GangaCore.Utility.Config import getConfig
from GangaCore.Utility.logging import getLogger

from gangamon.adapter.handover import checkers as checker_specs
from gangamon.adapter.handover import mergers as merger_specs
from gangamon.adapter.show.verdicts import Verdict, takers
from gangamon.adapter.watch.reader import postprocessors
from gangamon.client import Client
from gangamon.domain.command import CheckerSpec, MergerSpec, NotifierSpec
from gangamon.domain.observation import Check, Scalar
from gangamon.services.tell import decided

logger = getLogger("gangamon")

Spec = MergerSpec | CheckerSpec | NotifierSpec

#: In this order the service runs them, and Ganga sorts them.
_ORDER = (MergerSpec, CheckerSpec, NotifierSpec)


def ours(job: Any) -> list[tuple[Any, Spec]]:
    """(Ganga's object, what the service is to do) in Ganga's order, up to the first that gangamon
    cannot run, or would run earlier: what stands after that may need what it makes."""
    found: list[tuple[Any, Spec]] = []
    rank = 0
    for processor in postprocessors(job):
        spec = _spec(processor, job)
        if spec is None or _ORDER.index(type(spec)) < rank:
            break
        rank = _ORDER.index(type(spec))
        found.append((processor, spec))
    return found


def mergers(job: Any) -> list[tuple[Any, MergerSpec]]:
    return [(p, spec) for p, spec in ours(job) if isinstance(spec, MergerSpec)]


def checkers(job: Any) -> list[tuple[Any, CheckerSpec]]:
    return [(p, spec) for p, spec in ours(job) if isinstance(spec, CheckerSpec)]


def notifiers(job: Any) -> list[tuple[Any, NotifierSpec]]:
    if not any(isinstance(p, Notifier) for p in postprocessors(job)):
        return []  # the common case, at every end of a subjob
    return [(p, spec) for p, spec in ours(job) if isinstance(spec, NotifierSpec)]


def merge_verdicts(master: Any, answers: Sequence[Mapping[str, Any]]) -> list[tuple[Any, Verdict]]:
    """The service's answers beside the job's mergers, up to the first that is of another kind, or
    was left to the session. What it was not sent (the job was changed since, or handed over by a
    gangamon that did not know the kind) is Ganga's to run."""
    found = []
    sent = mergers(master)
    for (processor, spec), answer in zip(sent, answers, strict=False):
        if answer.get("left") or answer.get("kind") != spec.kind:
            break
        reason = str(answer.get("reason") or "the merge failed")
        found.append((processor, Verdict(bool(answer.get("ok")), reason)))
    if answers and len(found) < len(sent):
        logger.warning("job %s: not all of its mergers have run: Ganga runs the rest", master.id)
    return found


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


def told(job: Any, status: str, checks: Sequence[Check], sub: int) -> list[tuple[Any, Verdict]]:
    """For the job's notifiers, if the service has told of its end: of every one that it has decided
    by itself. Where a session decides otherwise, that tells by itself."""
    found = notifiers(job)
    if not found:
        return []
    wanted = [spec for _, spec in checkers(job) if spec.wanted(sub)]
    if status == "completed" and not decided(wanted, checks):
        return []
    return [(p, Verdict(True, told=status)) for p, _ in found]


def _spec(processor: Any, job: Any) -> Spec | None:
    if isinstance(processor, IMerger):
        return merger_specs.spec(processor) if "IMerger" in takers else None
    if isinstance(processor, IChecker):
        return checker_specs.spec(processor) if "IChecker" in takers else None
    if str(getName(processor)) == "Notifier" and "Notifier" in takers:
        return _notifier(processor, job)
    return None


def _notifier(notifier: Any, job: Any) -> NotifierSpec | None:
    """None without an address: whatever Ganga makes of that."""
    if "Notifier" not in Client.notifiers() or not str(notifier.address):
        return None
    options: dict[str, Scalar] = {
        "address": str(notifier.address),
        "verbose": notifier.verbose is True,
        "smtp": str(getConfig("Configuration")["SMTPHost"]),
        "resubmit": job.do_auto_resubmit is not False,
    }
    return NotifierSpec("Notifier", options)
