"""Ganga's checkers as the service knows them."""

from __future__ import annotations

from typing import Any

from GangaCore.GPIDev.Base.Proxy import getName

from gangamon.adapter.handover.mergers import inside, path, texts
from gangamon.client import Client
from gangamon.domain.command import CheckerSpec


def spec(checker: Any) -> CheckerSpec | None:
    """What the service is to do for a checker of Ganga; None: Ganga must run it, for the service
    has none of that name, or its attributes are what Ganga takes and makes something odd of: a
    string for a list, numbers."""
    kind = str(getName(checker))
    make = {"FileChecker": _file, "CustomChecker": _custom, "RootFileChecker": _root}.get(kind)
    if make is None or kind not in Client.checkers():
        return None
    flags = (checker.checkSubjobs, checker.checkMaster)
    return make(checker) if all(type(flag) is bool for flag in flags) else None


def _file(checker: Any) -> CheckerSpec | None:
    files, strings = inside(checker.files), texts(checker.searchStrings)
    flags = (
        checker.failIfFound, checker.filesMustExist, checker.checkSubjobs, checker.checkMaster,
    )  # fmt: skip
    if files is None or strings is None or not all(type(flag) is bool for flag in flags):
        return None
    return CheckerSpec("FileChecker", files, strings, *flags)


def _custom(checker: Any) -> CheckerSpec | None:
    return CheckerSpec(
        "CustomChecker",
        (),
        (),
        check_subjobs=checker.checkSubjobs,
        check_master=checker.checkMaster,
        options={"module": path(checker.module)},
    )


def _root(checker: Any) -> CheckerSpec | None:
    files = inside(checker.files)
    flags = (checker.filesMustExist, checker.checkMerge)
    if files is None or not all(type(flag) is bool for flag in flags):
        return None
    return CheckerSpec(
        "RootFileChecker",
        files,
        (),
        files_must_exist=checker.filesMustExist,
        check_subjobs=checker.checkSubjobs,
        check_master=checker.checkMaster,
        options={"checkMerge": checker.checkMerge},
    )
