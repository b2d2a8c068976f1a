"""RootFileChecker: files that ROOT could not use, and merges that lost something.

Meaning and words as in Ganga 8.7.12 (Lib/Checkers/RootFileChecker.py), read by uproot. Two
differences: a file that is no ROOT file fails the job, where a new ROOT raises and Ganga lets it
pass; and trees of all directories are compared, where Ganga's look ends at the first level.
"""

from __future__ import annotations

import logging
import os
from collections import Counter

from gangamon.domain.status import JobStatus
from gangamon.errors import CheckFailed, CheckImpossible, LeftToSession
from gangamon.postprocess.plan import files_of
from gangamon.postprocess.root.files import Broken, library, objects, opened
from gangamon.protocols import CheckOrder

_log = logging.getLogger(__name__)

#: A ROOT file of fewer bytes holds nothing.
_SMALLEST = 330

#: What hadd says of a merge that left something out.
_COMPLAINTS = ("Could not find branch", "One of the export branches", "Skipped file")

#: Classes with entries and branches.
_TREES = ("TTree", "TNtuple", "TNtupleD", "TChain")

#: Of each tree by its path: (entries, names of its branches).
_Trees = dict[str, tuple[int, list[str]]]


class RootFileChecker:
    """Ganga's RootFileChecker. ``options``: checkMerge."""

    kind = "RootFileChecker"

    def check(self, order: CheckOrder) -> None:
        """See Checker. LeftToSession without uproot."""
        library()
        if not order.spec.files:
            raise _impossible("No files specified, RootFileChecker will do nothing!")
        paths, missing = files_of(order.output, order.spec.files)
        if missing and order.spec.files_must_exist:
            raise CheckFailed(_missing(missing, order.fqid))
        if not paths:
            raise _impossible("None of the files to check exist, RootFileChecker will do nothing!")
        absent = ""
        for path in paths:
            if ".root" not in path:
                raise _impossible(
                    f'The file "{os.path.basename(path)}" is not a ROOT file, RootFileChecker '
                    "will do nothing!"
                )
            _usable(path)
            if order.subjobs and order.spec.options.get("checkMerge", True):
                if not os.path.exists(f"{path}.hadd_output"):
                    _log.warning("%s.hadd_output: missing, the merge is not checked", path)
                    return
                _complaints(f"{path}.hadd_output")
                absent = _compare(order, path) or absent
        if absent:
            raise CheckFailed(absent)


def _usable(path: str) -> None:
    try:
        with opened(path) as file:
            kinds = objects(file)
    except Broken as error:
        raise CheckFailed(f"ROOT file {path} is a zombie, failing job ({error})") from error
    if not kinds:
        raise CheckFailed(f"ROOT file {path} has no keys, failing job")
    if os.path.getsize(path) < _SMALLEST:
        raise CheckFailed(f"ROOT file {path} has no size, failing job")


def _trees(path: str) -> _Trees:
    """LeftToSession if uproot cannot read them: ROOT may."""
    found: _Trees = {}
    try:
        with opened(path) as file:
            for name, kind in objects(file).items():
                if kind in _TREES:
                    tree = file[name]
                    found[name] = (tree.num_entries, [branch.name for branch in tree.branches])
    except Broken as error:
        raise LeftToSession(f"uproot cannot read the trees: {error}") from error
    return found


def _complaints(log: str) -> None:
    with open(log, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            for complaint in _COMPLAINTS:
                if complaint in line:
                    raise CheckFailed(
                        f'There was a problem with hadd, the string "{complaint}" was found. Will '
                        "fail job"
                    )


def _compare(order: CheckOrder, merged: str) -> str:
    """The merged file against those of the subjobs; what they miss, which fails the job at last."""
    mine = _trees(merged)
    entries: Counter[str] = Counter()
    absent = ""
    for fqid, status, output in order.subjobs:
        if status is not JobStatus.COMPLETED:
            continue
        paths, missing = files_of(output, order.spec.files)
        if missing and order.spec.files_must_exist:
            absent = _missing(missing, fqid)
        for path in paths:
            if os.path.basename(path) == os.path.basename(merged):
                _add(fqid, _trees(path), mine, entries)
    # Of a tree without a subjob to compare it with Ganga counts nothing.
    if sorted(entries.items()) != sorted((name, n) for name, (n, _) in mine.items()):
        raise CheckFailed(
            "Sum of subjob tree entries is not the same as merged tree entries for file "
            f"{os.path.basename(merged)}, failing job (check hadd output)"
        )
    return absent


def _add(fqid: str, theirs: _Trees, mine: _Trees, entries: Counter[str]) -> None:
    if theirs.keys() != mine.keys():
        raise CheckFailed(
            f"File structure of subjob {fqid} is not the same as master job, failing job"
        )
    for name, (number, branches) in theirs.items():
        if branches != mine[name][1]:
            raise CheckFailed(
                f"The tree structure of subjob {fqid} is not the same as merged tree, failing job"
            )
        entries[name] += number


def _missing(path: str, fqid: str) -> str:
    return (
        f"The files {path} does not exist, RootFileChecker will fail job({fqid}) (to ignore "
        "missing files set filesMustExist to False)"
    )


def _impossible(text: str) -> CheckImpossible:
    """With the class before it, as Ganga writes an exception of its own."""
    return CheckImpossible(f"PostProcessException: {text}")
