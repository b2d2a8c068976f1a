"""Ganga's checkers as the service knows them."""

from __future__ import annotations

from typing import Any

from GangaCore.GPIDev.Base.Proxy import getName

from gangamon.adapter.handover.mergers import inside, other_options, texts
from gangamon.client import Client
from gangamon.domain.command import CheckerSpec

#: Flags that each checker's spec has as fields, and Ganga's names of them.
_FLAGS = {
    "fail_if_found": "failIfFound",
    "files_must_exist": "filesMustExist",
    "check_subjobs": "checkSubjobs",
    "check_master": "checkMaster",
}
_FIELDS = ("files", "searchStrings", *_FLAGS.values())


def spec(checker: Any) -> CheckerSpec | None:
    """What the service is to do for a checker of Ganga; None: Ganga must run it, for the service
    has none of that name, or its attributes are what Ganga takes and makes something odd of: a
    string for a list, numbers."""
    kind = str(getName(checker))
    if kind not in Client.checkers():
        return None
    files = inside(getattr(checker, "files", ()))
    strings = texts(getattr(checker, "searchStrings", ()))
    flags = {field: getattr(checker, name, True) for field, name in _FLAGS.items()}
    options = other_options(checker, _FIELDS)
    if files is None or strings is None or options is None:
        return None
    if not all(type(flag) is bool for flag in flags.values()):
        return None
    return CheckerSpec(kind, files, strings, **flags, options=options)
