"""What ``gangamon doctor backend`` tries: what the backend itself looks at, and one real query."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gangamon.domain.lane import Lane
from gangamon.domain.observation import Unreachable
from gangamon.domain.status import JobStatus
from gangamon.errors import CredentialMissing, RateLimited
from gangamon.protocols import FAIL, OK, WARN, Backend, Examined, Finding, PollItem

#: An id that no batch system has come to yet.
NOBODY = "999999998"

#: A query that takes this part of its time-out will not end in time on a bad day.
SLOW = 0.5

#: Hours a credential should still have: a night.
HOURS = 12


def examine(backend: Backend, lane: Lane, owner: str) -> Iterator[Finding]:
    """Try a lane for real, as ``owner``. Every fault is a finding; nothing is raised."""
    yield _limits(backend)
    queried = False
    if isinstance(backend, Examined):
        try:
            for finding in backend.doctor(lane):
                queried |= finding.name == "query"
                yield finding
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything; it is told
            yield fault("doctor", error)
    if not queried:
        yield query(backend, lane, owner)


def commands(needed: Sequence[str], useful: Iterable[str] = ()) -> Iterator[Finding]:
    """Whether the programs are in this process's PATH; without ``useful`` ones less is known."""
    for names, level in ((needed, FAIL), (useful, WARN)):
        for name in names:
            if path := shutil.which(name):
                yield Finding(f"command {name}", OK, path)
            else:
                fix = "install it on this host, or set the PATH with which gangamon is started"
                yield Finding(f"command {name}", level, "not found in PATH", fix)


def fault(name: str, error: Exception) -> Finding:
    """An error as a finding."""
    fix = ""
    if isinstance(error, CredentialMissing):
        fix = "renew the credential: the lane goes on by itself"
    elif isinstance(error, RateLimited):
        fix = "the service waits by itself; see `gangamon report politeness`"
    return Finding(name, FAIL, f"{type(error).__name__}: {error}", fix)


def lasts(path: str, ends: float | None, fix: str) -> Finding:
    """A credential that is good until ``ends`` (seconds since the epoch; None: it has no end)."""
    hours = math.inf if ends is None else (ends - time.time()) / 3600
    text = f"{path} is good for {hours:.1f} hours"
    return (
        Finding("credential", WARN, text, fix) if hours < HOURS else Finding("credential", OK, text)
    )


def query(backend: Backend, lane: Lane, owner: str) -> Finding:
    """One poll about a job that is nobody's: whether it is answered, and in what time."""
    folder = tempfile.mkdtemp(prefix="gangamon-doctor-")
    try:
        output = Path(folder, NOBODY, "output")
        output.mkdir(parents=True)
        item = PollItem(NOBODY, NOBODY, JobStatus.SUBMITTED, str(output), home=f"{owner}:doctor")
        begun = time.monotonic()
        answer = backend.poll(lane, [item]).get(item.key)
        took = time.monotonic() - begun
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything; it is told
        return fault("query", error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if answer is None or isinstance(answer, Unreachable):
        why = answer.reason if answer else "it left the job out"
        return Finding("query", FAIL, f"nothing is learnt: {why}")
    text = f"one query answered in {1000 * took:.0f} ms"
    if took > SLOW * backend.limits.timeout:
        fix = f"raise backends.{backend.name}.timeout, now {backend.limits.timeout:g} s"
        return Finding("query", WARN, text, fix)
    return Finding("query", OK, text)


def _limits(backend: Backend) -> Finding:
    of, cadence = backend.limits, backend.limits.cadence
    return Finding(
        "limits",
        OK,
        f"{of.jobs} jobs a query, {of.slots} at once ({of.endpoint_slots} at the endpoint), "
        f"{60 * of.rate:g} a minute (burst {of.burst}), every {cadence.floor:g} to "
        f"{cadence.cap:g} s, time-out {of.timeout:g} s",
    )
