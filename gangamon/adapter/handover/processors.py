"""A job's postprocessors: which of them the service runs, and what it said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from GangaCore.GPIDev.Base.Proxy import getName
from GangaCore.Utility.logging import getLogger

from gangamon.adapter.show.verdicts import Verdict, takers
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
    name = str(getName(processor))
    make = {"TextMerger": _text_merger, "FileChecker": _file_checker}.get(name)
    return make(processor) if make is not None and name in takers else None


def _text_merger(merger: Any) -> MergerSpec | None:
    files = _inside(merger.files)
    if files is None:
        return None
    return MergerSpec(
        "TextMerger",
        files,
        ignorefailed=bool(merger.ignorefailed),
        overwrite=bool(merger.overwrite),
        compress=bool(merger.compress),
    )


def _file_checker(checker: Any) -> CheckerSpec | None:
    """None also for what Ganga takes and makes something odd of: a string for a list, numbers."""
    files, strings = _inside(checker.files), _texts(checker.searchStrings)
    flags = (
        checker.failIfFound, checker.filesMustExist, checker.checkSubjobs, checker.checkMaster,
    )  # fmt: skip
    if files is None or strings is None or not all(type(flag) is bool for flag in flags):
        return None
    return CheckerSpec("FileChecker", files, strings, *flags)


def _inside(names: Any) -> tuple[str, ...] | None:
    """Names of files below a job's output directory; None if one is not."""
    files = _texts(names)
    if files is None or any(not f or f.startswith("/") or ".." in f.split("/") for f in files):
        return None
    return files


def _texts(values: Any) -> tuple[str, ...] | None:
    if isinstance(values, str):
        return None
    found = tuple(values)
    return found if all(isinstance(text, str) for text in found) else None
