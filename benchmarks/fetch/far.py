"""A host that is 50 ms away by ssh: a private sshd behind a long wire, and one warm connection to
it that all use, ours and the plain tool."""

from __future__ import annotations

import contextlib
import getpass
import io
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fetch import servers
from gangamon.domain.lane import Lane
from gangamon.errors import StorageAway
from gangamon.fetchers.remote import RemoteFetcher
from gangamon.protocols import FetchOrder
from gangamon.services.due import FETCHES
from gangamon.services.fetch import RETRY_BASE
from gangamon.services.streams import streamed
from gangamon.ssh import Host, Ssh
from tests.integration.backends.sshd import Sshd

#: Is called after each job.
Seen = Callable[[], None]


@dataclass(frozen=True)
class Far:
    """``endpoint``: as a lane has it; ``ssh``: the words of the client, without the host; both with
    ``environ``."""

    endpoint: str
    ssh: Sequence[str]
    environ: Mapping[str, str]


@contextlib.contextmanager
def running() -> Iterator[Far]:
    server = Sshd()
    try:
        server.start()
        with servers.running("wire", str(server.port)) as port:
            _, _, key = server.known_hosts.read_text().partition(" ")
            server.known_hosts.write_text(f"[127.0.0.1]:{port} {key}")
            # Where gangamon.ssh has its sockets: the connection is the same for both.
            sockets = server.temporary / f"gangamon-ssh-{os.getuid()}"
            sockets.mkdir(mode=0o700)
            user, path = getpass.getuser(), f"{server.bin}:{os.environ['PATH']}"
            environ = {**os.environ, "PATH": path, "TMPDIR": str(server.temporary)}
            control = ("-o", f"ControlPath={sockets}/%C", "-o", "BatchMode=yes")
            words = ("ssh", "-T", "-x", "-a", *control, "-l", user, "-p", str(port))
            keep = ("-f", "-N", "-o", "ControlMaster=yes", "-o", "ControlPersist=3600")
            subprocess.run(
                [*words, *keep, "127.0.0.1"], check=True, env=environ, stderr=subprocess.DEVNULL
            )
            yield Far(f"{user}@127.0.0.1:{port}", words, environ)
    finally:
        with contextlib.redirect_stdout(io.StringIO()):  # its log is for a test that failed
            server.close()


def bring(endpoint: str, workspace: str, jobs: Sequence[Path], threads: int, seen: Seen) -> int:
    """Files of all jobs, brought in claims of as many as the service makes, by so many threads."""
    extra, roots = {"workspace": workspace}, (str(jobs[0].parent),)
    lane, fetcher = Lane("Remote", endpoint), RemoteFetcher()
    claims = [jobs[at : at + FETCHES] for at in range(0, len(jobs), FETCHES)]

    def claim(those: Sequence[Path]) -> int:
        left = [
            FetchOrder(f"7.{job.name}", 1, str(job / "output"), job.name, extra, roots, lane)
            for job in those
        ]
        count = 0
        while left:
            put_off = []
            with streamed(lambda _: fetcher, left) as chosen:
                for order in left:
                    try:
                        count += len(chosen("Remote").fetch(order).files)
                        seen()
                    except StorageAway:
                        put_off.append(order)
            left = put_off
            if left:
                time.sleep(RETRY_BASE)  # others go first
        return count

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(claim, claims))


def warm(endpoint: str) -> None:
    """The connection is there."""
    Ssh(Host.parse(endpoint)).run("true", 60.0)
