"""A host that is reached by ssh, on which another Ganga's Local backend has jobs: this one.

Its wrappers are in shell, and write the same status file. They are no children of sshd.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial

from benchmarks.outages.judge import Run
from benchmarks.outages.systems import Fault, Job, System, Work, available, slowed
from gangamon import ssh
from gangamon.backends.jobstatus import STATUS_FILE
from gangamon.domain.lane import Lane
from gangamon.domain.status import JobStatus
from tests.integration.backends import sshd

SLOTS = 100

#: As LocalHostExec.py.template (8.7.12): see gangamon/backends/jobstatus.py.
WRAPPER = """exec >{file} 2>/dev/null
utc() {{ LC_ALL=C date -u '+%a %b %d %H:%M:%S %Y'; }}
printf 'START: %s\\n' "`utc`"
sh -c '{line}' &
printf 'WRAPPER: %d\\nPID: %d\\n' $$ $!
wait $!; code=$?
printf 'EXITCODE: %d\\nSTOP: %s\\n' $code "`utc`"
exit $code
"""


class RemoteSystem:
    """See System."""

    behind = 0.0

    def __init__(self, server: sshd.Sshd) -> None:
        self._server = server
        self.lane = Lane("Remote", server.endpoint)
        self.folder, self.slots = server.folder, SLOTS
        self.environ: Mapping[str, str] = {
            "PATH": f"{server.bin}{os.pathsep}{os.environ['PATH']}",
            "TMPDIR": str(server.temporary),
        }
        self.version = ssh.version()
        self._workspace = server.folder / "workspace"
        self._threads = ThreadPoolExecutor(SLOTS)
        self._wrappers: dict[str, subprocess.Popen[bytes]] = {}
        #: By id.
        self._runs: dict[str, Run] = {}
        self._killed: dict[str, float] = {}

    def faults(self) -> Sequence[Fault]:
        s = self._server
        return [
            Fault("sshd and its connections killed, started again", s.stop, s.serve),
            Fault(
                "sshd stands still",
                partial(s.signal, signal.SIGSTOP),
                partial(s.signal, signal.SIGCONT),
            ),
            slowed("sshd is slow", s.signal),
            Fault("sshd lets nobody in", s.turn_away, s.let_in),
        ]

    def submit(self, works: Sequence[Work]) -> Sequence[Job]:
        extra = {"workspace": str(self._workspace), "host": socket.gethostname()}
        jobs = [Job(str(n), extra) for n in range(len(works))]
        for job, work in zip(jobs, works, strict=True):
            place = self._workspace / job.id
            for inner in ("input", "output"):
                (place / inner).mkdir(parents=True)
            text = WRAPPER.format(file=place / "output" / STATUS_FILE, line=work.line)
            (place / "input" / "__jobscript__").write_text(text)
        for job in jobs:
            self._threads.submit(self._run, job.id)
        return jobs

    def _run(self, id_: str) -> None:
        place = self._workspace / id_
        started = time.time()
        with subprocess.Popen(
            ["/bin/sh", str(place / "input" / "__jobscript__")],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        ) as wrapper:
            self._wrappers[id_] = wrapper
            code = wrapper.wait()
        ended = (place / "output" / STATUS_FILE).stat().st_mtime
        end = JobStatus.COMPLETED if code == 0 else JobStatus.FAILED
        self._runs[id_] = Run(started, self._killed.get(id_, ended), end)

    def cancel(self, ids: Sequence[str]) -> None:
        """As the far Ganga kills them: its file says nothing of it."""
        for id_ in ids:
            self._killed[id_] = time.time()
            with suppress(ProcessLookupError):
                os.killpg(self._wrappers[id_].pid, signal.SIGKILL)

    def record(self, ids: Sequence[str]) -> Mapping[str, Sequence[Run]]:
        """What became of the wrappers' processes, by who started them."""
        return {id_: [self._runs[id_]] if id_ in self._runs else [] for id_ in ids}

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for wrapper in list(self._wrappers.values()):
            if wrapper.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(wrapper.pid, signal.SIGKILL)
        self._threads.shutdown()


@contextmanager
def running() -> Iterator[System]:
    with available(sshd.missing()), sshd.running() as server:
        system = RemoteSystem(server)
        try:
            yield system
        finally:
            system.close()
