"""Which files a merger merges into what: the choice that Ganga's mergers share.

As ``IMerger.merge`` of Ganga 8.7.12 (GPIDev/Adapters/IMerger.py), with its messages. Ganga merges
file by file and stops at the first trouble; here all is checked before anything is written.
"""

from __future__ import annotations

import glob
import hashlib
import json
import logging
import os
import stat
from collections.abc import Mapping, MutableMapping, Sequence
from functools import cache

from gangamon.domain.command import ACCEPTANCE, MergerSpec
from gangamon.domain.status import JobStatus
from gangamon.errors import MergeFailed, StorageAway, TransientError
from gangamon.protocols import MergeOrder

_log = logging.getLogger(__name__)

#: Our own files in an output directory begin with this; no pattern of the user means them.
OURS = ".gangamon-"

#: Of a regular file: (bytes, st_mtime_ns).
Facts = tuple[int, int]

_OVERRIDE = "This can be overridden with the ignorefailed flag."


def plan(
    order: MergeOrder, looked: MutableMapping[str, Facts] | None = None
) -> dict[str, list[str]]:
    """The inputs of each output, both as Ganga names them: outputs relative to the target, inputs
    in the order of the subjobs, and of the patterns within one (a file that two patterns match is
    merged twice, as by Ganga). ``looked`` is given what was learnt of files, by path.

    Raises MergeFailed with Ganga's text, TransientError if a directory cannot be read.
    """
    mounted(order)
    inputs: dict[str, list[str]] = {}
    for given in order.inputs:
        for name, path in of_subjob(order.spec, *given, looked):
            inputs.setdefault(name, []).append(path)
    return inputs


def accepted(order: MergeOrder) -> None:
    """Of an order of all subjobs: where enough of them have completed (ACCEPTANCE), the failed and
    killed ones are left out, as with ``ignorefailed``. MergeFailed if too few have."""
    share = order.spec.options.get(ACCEPTANCE)
    if not isinstance(share, float) or order.spec.ignorefailed:
        return
    others = [(fqid, status) for fqid, status, _ in order.inputs if status != JobStatus.COMPLETED]
    total = len(order.inputs)
    if total - len(others) >= share * total:
        return
    try:
        _excuse(*others[0], False)
    except MergeFailed as error:
        raise MergeFailed(
            f"{error} {total - len(others)} of {total} subjobs have completed; "
            f"[Gangamon] MergeAcceptance is {share:g}."
        ) from error


@cache
def is_name(pattern: str) -> bool:
    """Whether a pattern is the name of one file, as ``os.path.relpath`` would write it."""
    plain = not glob.has_magic(pattern) and os.path.normpath(pattern) == pattern
    inside = not os.path.isabs(pattern) and ".." not in pattern.split("/")
    return plain and inside and not os.path.basename(pattern).startswith((OURS, "."))


def mounted(order: MergeOrder) -> None:
    """TransientError if the master's own directory is not there."""
    if not os.path.isdir(os.path.dirname(order.target.rstrip("/"))):
        raise TransientError(f"{order.target}: its directory is not there; not mounted?")


def of_subjob(
    spec: MergerSpec,
    fqid: str,
    status: JobStatus,
    output: str,
    looked: MutableMapping[str, Facts] | None = None,
) -> list[tuple[str, str]]:
    """(output, input) of what one subjob gives to a merge. ``looked`` and errors: as ``plan``."""
    if status is not JobStatus.COMPLETED:
        _excuse(fqid, status, spec.ignorefailed or ACCEPTANCE in spec.options)
        return []
    given = []
    base = output if output.endswith("/") else f"{output}/"
    for pattern in spec.files:
        if is_name(pattern) and _is_there(path := base + pattern, looked):
            given.append((pattern, path))  # what follows would find no more, ten times as slowly
            continue
        found = matches(output, pattern)
        given += [(os.path.relpath(match, output), match) for match in found]
        if not found and not spec.ignorefailed:
            raise MergeFailed(
                f"The file pattern {pattern} in Job {fqid} was not found and so the merge can "
                f"not continue. {_OVERRIDE}"
            )
        if not found:
            _log.warning("job %s: no file matches %s; ignored", fqid, pattern)
    return given


def _is_there(path: str, looked: MutableMapping[str, Facts] | None) -> bool:
    try:
        facts = os.stat(path)
    except OSError:
        return False  # perhaps a link that leads nowhere
    if looked is not None and stat.S_ISREG(facts.st_mode):
        looked[path] = (facts.st_size, facts.st_mtime_ns)
    return True


def refuse(order: MergeOrder, inputs: Mapping[str, list[str]]) -> None:
    """MergeFailed, with Ganga's text, if an output exists that may not be overwritten, or is an
    input."""
    for name, paths in inputs.items():
        output = os.path.join(order.target, name)
        if os.path.exists(output) and not order.spec.overwrite:
            raise MergeFailed(
                "The merge process can not continue as it will result in over writing. Either "
                f"move the file {output} or set the overwrite flag to True."
            )
        if output in paths:
            raise MergeFailed(
                f"Output file {output} equals input file {output}. The merge will fail."
            )
        if os.path.isdir(output):
            raise MergeFailed(f"The output {output} is a directory.")


def fingerprint(
    inputs: Mapping[str, list[str]], looked: MutableMapping[str, Facts] | None = None
) -> str:
    """Of the inputs' names, sizes and times: the same after another look means that a merge of
    the same inputs is meant. ``looked``: what is known of some, it is given the rest.
    TransientError if one cannot be looked at."""
    digest, text = hashlib.blake2b(digest_size=16), json.encoder.encode_basestring_ascii
    looked = {} if looked is None else looked
    for name, paths in inputs.items():
        start = f"[{text(name)}, "
        for path in paths:
            facts = looked.get(path)
            if facts is None:
                facts = looked[path] = _look(path)
            # As json.dumps writes a list of them, which takes four times as long.
            digest.update(f"{start}{text(path)}, {facts[0]}, {facts[1]}]".encode())
    return digest.hexdigest()


def _look(path: str) -> Facts:
    try:
        facts = os.stat(path)
    except FileNotFoundError as error:
        if os.path.islink(path):
            raise MergeFailed(f"The input file {path} is a broken link.") from error
        raise TransientError(f"{path}: vanished meanwhile") from error
    except OSError as error:
        raise TransientError(f"{path}: {error.strerror}") from error
    if not stat.S_ISREG(facts.st_mode):
        raise MergeFailed(f"The input {path} is not a regular file.")
    return facts.st_size, facts.st_mtime_ns


def _excuse(fqid: str, status: JobStatus, ignorefailed: bool) -> None:
    if status not in (JobStatus.FAILED, JobStatus.KILLED):
        # Ganga's text has a stray quote and twenty blanks in its middle; it cannot come here
        # from a master job whose subjobs have ended.
        raise MergeFailed(
            f"Job {fqid} is in an unsupported status {status} and so the merge can not continue. "
            "Supported statuses are 'completed', 'failed' or 'killed' (if the ignorefailed flag "
            "is set)."
        )
    if not ignorefailed:
        raise MergeFailed(
            f"Job {fqid} has status {status} and so the merge can not continue. {_OVERRIDE}"
        )
    _log.warning("job %s: status %s, ignored by the merge", fqid, status)


def matches(output: str, pattern: str) -> list[str]:
    """As ``glob.glob(os.path.join(output, pattern))``, but brackets and stars in the path of the
    directory are letters, and a directory that cannot be read is not an empty one."""
    try:
        os.stat(output)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise TransientError(f"{output}: {error.strerror}") from error
    found = glob.glob(os.path.join(glob.escape(output), pattern))
    return [path for path in found if not os.path.basename(path).startswith(OURS)]


def files_of(output: str, patterns: Sequence[str]) -> tuple[list[str], str]:
    """The files of a checker that are there, and the first pattern that none of them matches, as a
    path. StorageAway if the directory of ``output`` is not there."""
    if not os.path.isdir(os.path.dirname(output)):
        raise StorageAway(f"{output}: its directory is not there; not mounted?")
    paths: list[str] = []
    missing = ""
    for pattern in patterns:
        here = matches(output, pattern)
        paths += here
        if not here:
            missing = missing or os.path.join(output, pattern)
    return paths, missing
