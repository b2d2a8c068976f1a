"""What Ganga does when a DIRAC job ends (DiracBase.py ``complete_dirac_job``, 8.7.12): its output
sandbox comes home, and where its files on the grid are is noted for its DiracFiles."""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import io
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from gangamon.domain.lane import NO_CREDENTIAL
from gangamon.errors import (
    BackendUnreachable,
    BadInput,
    CredentialMissing,
    OutputMissing,
    StorageAway,
    TransientError,
)
from gangamon.fetchers import manifest
from gangamon.fetchers.dirac import archive
from gangamon.grid import credential
from gangamon.grid.dirac.process import PROGRAMS, Program
from gangamon.protocols import FetchOrder, Manifest

_log = logging.getLogger(__name__)

#: Seconds of a whole fetch.
TIMEOUT = 600.0

#: Seconds after its end in which a failed job that ran may still upload its sandbox: JobWrapper may
#: report the failure first (JobWrapper.py ``execute``, DIRAC 9.1.22).
YET = 120.0

#: ``[Output]PostProcessLocationsFileName`` of Ganga.
LOCATIONS = "__postprocesslocations__"


class DiracFetcher:
    """``extra`` of an order, all as Ganga's own defaults if absent: ``sandbox``
    (``backend.downloadSandbox``), ``unpack`` (``unpackOutputSandbox``), ``failed``
    (``[DIRAC]failed_sandbox_download``); ``dirac_files``: the name patterns of the job's DiracFiles
    as JSON, absent or '': it has none."""

    name = "Dirac"

    def fetch(self, order: FetchOrder) -> Manifest:
        """See Fetcher. Raises OutputMissing if there is no sandbox, or too much in it; StorageAway
        while DIRAC cannot be asked or the proxy is missing, and for what the file system refuses
        now; BadInput if the target is not under the roots."""
        target = os.path.realpath(order.target)
        if not manifest.under(target, order.roots):
            raise BadInput([f"target: got {order.target!r}; accepted: a path under {order.roots}"])
        try:
            manifest.make(target, order.fqid)
            done = manifest.known(target, order.attempt, manifest.listing(target, order.roots))
            return done or self._fetch(order, target)
        except (CredentialMissing, BackendUnreachable) as error:
            # The outputs wait there: they are not lost, however long this takes.
            raise StorageAway(str(error)) from error
        except OSError as error:
            raise StorageAway(f"{error.filename or target}: {error.strerror}") from error

    def _fetch(self, order: FetchOrder, target: str) -> Manifest:
        deadline = time.monotonic() + TIMEOUT
        proxy, job = order.lane.credential, _number(order.native_id)
        if proxy != NO_CREDENTIAL:
            credential.read(proxy)
        with PROGRAMS.lent(order.lane.endpoint, proxy, deadline) as program:
            lfn, left_out = "", list[str]()
            if order.extra.get("sandbox", True):
                lfn, left_out = _sandbox(program, deadline, job, order, target)
                if lfn and left_out:
                    left_out.insert(0, f"what follows; all of it is on the grid still: {lfn}")
            if patterns := _patterns(order):
                _locations(program.ask(deadline, "data", job=job), patterns, target)
            found = manifest.listing(target, order.roots)
            done = manifest.write(target, order.fqid, order.attempt, found, left_out=left_out)
            if lfn and not left_out:
                _forget(program, deadline, lfn)
        return done


def _number(native_id: str) -> int:
    if not native_id.isdecimal():
        raise OutputMissing(f"DIRAC has given the job no number: {native_id!r}")
    return int(native_id)


def _sandbox(
    program: Program, deadline: float, job: int, order: FetchOrder, target: str
) -> tuple[str, list[str]]:
    """Bring it; where on the grid it lay, if it was too large for the store, and what was left
    out of it."""
    left_out: list[str] = []
    # Nobody wants the outputs of a job that was killed, nor have deleted ones any more.
    skip = ["Killed", "Deleted", *([] if order.extra.get("failed", True) else ["Failed"])]
    with _folder(program) as folder:
        answer = program.ask(deadline, "sandbox", job=job, folder=folder, skip=skip)
        if missing := answer.get("missing"):
            fresh = time.time() - (answer.get("changed") or 0.0) < YET
            if answer.get("status") == "Failed" and answer.get("started") and fresh:
                raise StorageAway(f"not yet there: {missing}")
            raise OutputMissing(str(missing))
        for path in answer["archives"]:
            if order.extra.get("unpack", True):
                left_out += archive.unpack(path, target)
            else:
                with open(path, "rb") as file:
                    manifest.put(os.path.join(target, os.path.basename(path)), file)
    archive.name_stdout(target)
    return str(answer.get("lfn") or ""), left_out


@contextlib.contextmanager
def _folder(program: Program) -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="fetch-", dir=program.folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _patterns(order: FetchOrder) -> list[str]:
    text = order.extra.get("dirac_files") or "[]"
    try:
        found = json.loads(str(text))
        if isinstance(found, list) and all(isinstance(pattern, str) for pattern in found):
            return found
    except ValueError:
        pass
    raise BadInput([f"dirac_files: got {text!r}; accepted: name patterns, a JSON list of text"])


def _locations(answer: dict[str, Any], patterns: list[str], target: str) -> None:
    """Lines that DiracFile.setLocation reads (DiracFile.py ``dirac_line_processor``) after those
    that came with the sandbox; anew each time."""
    wild = [pattern for pattern in patterns if glob.has_magic(pattern)]
    lines = []
    for name, lfn, places, guid, failed in answer["files"]:
        where = str(failed) if failed else str(places)
        known = "###FAILED###" if failed else lfn
        for pattern in [p for p in wild if fnmatch.fnmatch(name, p)] or [""]:
            line = f"DiracFile:::{pattern}&&{name}->{known}:::{where}:::{guid or 'NotAvailable'}"
            lines.append(" ".join(line.splitlines()))
    path = os.path.join(target, LOCATIONS)
    kept = []
    if os.path.isfile(path) and not os.path.islink(path):
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            kept = [line.rstrip("\n") for line in file if not line.startswith("DiracFile:::")]
    text = "".join(f"{line}\n" for line in (*kept, *lines))
    manifest.put(path, io.BytesIO(text.encode("utf-8", "surrogateescape")))


def _forget(program: Program, deadline: float, lfn: str) -> None:
    """Ganga removes an oversized sandbox from the grid when it has it; so do we, once what was in
    it is in place."""
    try:
        program.ask(deadline, "remove", lfn=lfn)
    except TransientError as error:
        _log.warning("%s stays on the grid: %s", lfn, error)
