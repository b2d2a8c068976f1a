"""FileChecker: searches the files of a job for regular expressions, line by line.

What passes, what fails, and the words for it are those of Ganga 8.7.12 (Lib/Checkers/FileChecker.py
and GPIDev/Adapters/IChecker.py). So a checker that cannot do its work fails nobody: no files or no
strings given, none of the files there (also with ``files_must_exist``), a file that cannot be read
or is not UTF-8, a faulty expression. One difference: in Ganga a checker object that has once missed
a file fails its job at every later attempt of the same session too; here each attempt counts.
"""

from __future__ import annotations

import errno
import os
import re
import stat

from gangamon.errors import CheckFailed, CheckImpossible, StorageAway
from gangamon.postprocess.plan import matches
from gangamon.protocols import CheckOrder

#: What a storage that is away says; the file itself is not to blame.
_AWAY = {errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.ETIMEDOUT}


class FileChecker:
    """Ganga's FileChecker. A line is held in memory, a file is not."""

    kind = "FileChecker"

    def check(self, order: CheckOrder) -> None:
        """See Checker."""
        spec = order.spec
        if not spec.search_strings:
            raise _impossible("No searchStrings specified, FileChecker will do nothing!")
        if not spec.files:
            raise _impossible("No files specified, FileChecker will do nothing!")
        found, missing = _found(order)
        if not found:
            raise _impossible("None of the files to check exist, FileChecker will do nothing!")
        for path in found:
            for string in spec.search_strings:
                if _has(path, string, spec.fail_if_found) is spec.fail_if_found:
                    raise CheckFailed(
                        f"The string {string} has {'' if spec.fail_if_found else 'not '}been "
                        f"found in file {path}, FileChecker will fail job({order.fqid})"
                    )
        if missing and spec.files_must_exist:
            raise CheckFailed(
                f"The files {missing} does not exist, FileChecker will fail job({order.fqid}) (to "
                "ignore missing files set filesMustExist to False)"
            )


def _found(order: CheckOrder) -> tuple[list[str], str]:
    """The files that are there, and the first pattern that none of them matches, as a path."""
    if not os.path.isdir(os.path.dirname(order.output)):
        raise StorageAway(f"{order.output}: its directory is not there; not mounted?")
    found: list[str] = []
    missing = ""
    for pattern in order.spec.files:
        here = matches(order.output, pattern)
        found += here
        if not here:
            missing = missing or os.path.join(order.output, pattern)
    return found, missing


def _has(path: str, string: str, once: bool) -> bool:
    """Whether a line of the file matches. ``once``: the first that does is enough, else the rest
    is read too, and what is wrong with it is an error, as in Ganga."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
            raise CheckImpossible(f"{path} is not a regular file")  # reading it may never end
        found = False
        with open(path, encoding="utf-8") as file:
            for line in file:
                if re.search(string, line):
                    found = True
                    if once:
                        break
        return found
    except OSError as error:
        if error.errno in _AWAY:
            raise StorageAway(f"{path}: {error.strerror}") from error
        raise CheckImpossible(str(error)) from error
    except (ValueError, re.error, RecursionError) as error:
        raise CheckImpossible(str(error)) from error


def _impossible(text: str) -> CheckImpossible:
    """With the class before it, as Ganga writes an exception of its own."""
    return CheckImpossible(f"PostProcessException: {text}")
