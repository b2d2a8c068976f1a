"""CustomMerger and CustomChecker: the user's code, in a process of its own.

Meaning and words as in Ganga 8.7.12 (Lib/Mergers/Merger.py:284, Lib/Checkers/CustomChecker.py:38),
with the traceback and the end of what was printed after them. Differences: the code runs in an
empty directory that is removed after it, not in the session's, and a merge is shown when it has
succeeded. Code that needs a Ganga session, or whose file somebody else can write, is left to the
session.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import Any

from gangamon.errors import CheckFailed, CheckImpossible, LeftToSession, MergeFailed
from gangamon.postprocess import outputs, process
from gangamon.protocols import CheckOrder, CodeLimits, Manifest, MergeOrder

#: Letters of what is told of the code's output and of its traceback, each.
_MERGE, _CHECK = 16_000, 2_000


class CustomMerger:
    """Ganga's CustomMerger. ``options``: module, the absolute path of the code."""

    kind = "CustomMerger"
    limits = CodeLimits()

    def run(self, order: MergeOrder) -> Manifest:
        """See PostProcessor."""
        module = str(order.spec.options.get("module") or "")
        if not os.path.exists(module):
            raise MergeFailed(f"The module '{module}' does not exist and so merging will fail.")
        trusted(module)
        return outputs.merge(order, lambda paths, output: self._merge(module, paths, output))

    def _merge(self, module: str, paths: Sequence[str], output: str) -> None:
        given = {"file_list": list(paths), "output_file": output}
        request = {"module": module, "call": "mergefiles", "given": given}
        ended = process.run(request, self.limits)
        if reason := ended.answer.get("left"):
            raise LeftToSession(f"{module}: {reason}")
        if "result" not in ended.answer:
            said = ended.answer.get("error", ended.how(self.limits))
            raise MergeFailed(
                f"There was a problem executing the custom merge: {said}. Merge will fail."
                + _story(ended, _MERGE)
            )
        if ended.answer["result"] is not True:
            raise MergeFailed(
                "The custom merge did not return True, merge will fail." + _story(ended, _MERGE)
            )


class CustomChecker:
    """Ganga's CustomChecker. ``options``: module, the absolute path of the code."""

    kind = "CustomChecker"
    limits = CodeLimits()

    def check(self, order: CheckOrder) -> None:
        """See Checker."""
        module = str(order.spec.options.get("module") or "")
        if not os.path.isfile(module):
            raise _impossible(
                f"The module '{module}' does not exist and so CustomChecker will do nothing!"
            )
        trusted(module)
        request = {"module": module, "call": "check", "given": {"job": _job(order)}}
        ended = process.run(request, self.limits)
        if reason := ended.answer.get("left"):
            raise LeftToSession(f"{module}: {reason}")
        if "result" not in ended.answer:
            said = ended.answer.get("error", ended.how(self.limits))
            raise _impossible(
                f"There was a problem with executing the module: {said}, CustomChecker will do "
                f"nothing!{_story(ended, _CHECK)}"
            )
        if ended.answer["result"] is None:
            raise _impossible(
                "The custom check module did not return True or False, CustomChecker will do "
                f"nothing!{_story(ended, _CHECK)}"
            )
        if ended.answer["result"] is False:
            raise CheckFailed(
                f"The custom check module returned False for job({order.fqid})"
                + _story(ended, _CHECK)
            )


def trusted(module: str) -> None:
    """LeftToSession if others could have put code there: who is asked to run it is to see it."""
    facts = os.stat(module)
    if facts.st_uid not in (0, os.geteuid()) or facts.st_mode & stat.S_IWOTH:
        raise LeftToSession(f"{module}: others than its user own it or may write it")


def _job(order: CheckOrder) -> dict[str, Any]:
    """What the code sees of the job: runner.Job. Ganga's directories end with a slash."""
    job: dict[str, Any] = {"fqid": order.fqid, "name": order.name, "outputdir": f"{order.output}/"}
    master, dot, _ = order.fqid.partition(".")
    if dot:
        return {**job, "master": {"fqid": master, "name": order.name}, "subjobs": []}
    subjobs: list[dict[str, Any]] = [
        {"fqid": fqid, "name": order.name, "status": status.value, "outputdir": f"{output}/",
         "subjobs": []}
        for fqid, status, output in order.subjobs
    ]  # fmt: skip
    return {**job, "master": None, "subjobs": subjobs}


def _story(ended: process.Ended, most: int) -> str:
    """What helps to mend the code: where it failed, and what it printed."""
    parts = [str(ended.answer.get("trace", "")).strip()[-most:]]
    if ended.output:
        parts.append(f"It printed:\n{ended.output[-most:]}")
    return "".join(f"\n{part}" for part in parts if part)


def _impossible(text: str) -> CheckImpossible:
    """With the class before it, as Ganga writes an exception of its own."""
    return CheckImpossible(f"PostProcessException: {text}")
