"""Outputs of Ganga's Local jobs: their wrapper has copied them, so they are only verified."""

from __future__ import annotations

import logging
import os
import shutil
import stat

from gangamon.errors import BadInput, OutputMissing, StorageAway
from gangamon.fetchers import manifest
from gangamon.protocols import FetchOrder, Manifest

_log = logging.getLogger(__name__)

#: What the wrapper copies last, and what Ganga's own ``kill`` saves where the wrapper could not
#: (Lib/Localhost/Localhost.py, 8.7.12).
LOGS = ("stdout", "stderr", "__syslog__")


class LocalFetcher:
    """Lists and checksums what the wrapper left, and removes the job's work directory.

    ``extra`` of an order: ``workdir``, the directory to remove (absent or '': none, as with
    Ganga's ``[Local]remove_workdir`` off).
    """

    name = "Local"

    def fetch(self, order: FetchOrder) -> Manifest:
        """See Fetcher. Raises OutputMissing if there is no output directory, BadInput if it is
        not under the roots, StorageAway (DiskFull) for what the file system
        refuses now, TransientError for files that still change."""
        target = os.path.realpath(order.target)
        if not manifest.under(target, order.roots):
            raise BadInput([f"target: got {order.target!r}; accepted: a path under {order.roots}"])
        workdir = _workdir(order, target)
        try:
            _require(order, target)
            if workdir is not None:
                _save_logs(workdir, target)
            found = manifest.listing(target, order.roots)
            done = manifest.known(target, order.attempt, found) or manifest.write(
                target, order.fqid, order.attempt, found
            )
        except OSError as error:
            raise StorageAway(f"{error.filename or target}: {error.strerror}") from error
        if workdir is not None:
            _remove(workdir)
        return done


def _require(order: FetchOrder, target: str) -> None:
    """OutputMissing only where the directory of all master jobs is there and holds something:
    a home that is not mounted must not fail jobs."""
    if os.path.isdir(target):
        return
    top = target
    for _ in range(3 if "." in order.fqid else 2):
        top = os.path.dirname(top)
    with os.scandir(top) as entries:
        if next(entries, None) is None:
            raise StorageAway(f"{top}: empty, though it must hold the job {order.fqid}")
    raise OutputMissing(f"{order.target}: there is no output directory")


def _workdir(order: FetchOrder, target: str) -> str | None:
    """The work directory, if it is there and may be removed: a directory of ours, no link,
    strictly under a root, which holds neither a root nor the outputs."""
    given = order.extra.get("workdir")
    if not given or not isinstance(given, str):
        return None
    try:
        facts = os.lstat(given)
    except FileNotFoundError:
        return None
    except OSError as error:
        _log.warning("job %s: work directory %s: %s", order.fqid, given, error.strerror)
        return None
    path = os.path.realpath(given)
    why = _unfit(given, path, facts, (target, *map(os.path.realpath, order.roots)))
    if not why and not manifest.under(path, order.roots):
        why = "is not under the registered roots"
    if why:
        _log.warning("job %s: work directory %s %s: not removed", order.fqid, given, why)
        return None
    return path


def _unfit(given: str, path: str, facts: os.stat_result, kept: tuple[str, ...]) -> str:
    if not os.path.isabs(given):
        return "is no absolute path"
    if not stat.S_ISDIR(facts.st_mode):
        return "is no directory"
    if facts.st_uid != os.getuid():
        return "belongs to another user"
    if any(os.path.commonpath((path, keep)) == path for keep in kept):
        return "holds what must stay"
    return ""


def _save_logs(workdir: str, target: str) -> None:
    """Of a job whose wrapper was killed, the logs lie in the work directory only."""
    for name in LOGS:
        source, copy = os.path.join(workdir, name), os.path.join(target, name)
        if os.path.lexists(copy) or os.path.islink(source) or not os.path.isfile(source):
            continue
        with open(source, "rb") as file:
            manifest.put(copy, file)


def _remove(workdir: str) -> None:
    # rmtree follows no link, neither at the top nor below.
    try:
        shutil.rmtree(workdir)
    except OSError as error:
        _log.warning("work directory %s: something is left: %s", workdir, error)
        shutil.rmtree(workdir, ignore_errors=True)
