"""A Docker engine of Debian's packages for a test: the one that runs, else one of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import tail, until

#: Program -> the package of Debian 12 that it is in.
NEEDED = {
    "docker": "docker.io",
    "dockerd": "docker.io",
    "docker-compose": "docker-compose",
    "debootstrap": "debootstrap",
}

#: Nothing of the host's network is changed: networks of a composition have bridges of their own,
#: ports are published by docker-proxy, and images are built on the host's network.
FLAGS = (
    *("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"),
    "--log-level=warn",
)


class CannotStart(Exception):
    """No engine can be started here; its text says why."""


def answers(environ: Mapping[str, str]) -> bool:
    return subprocess.run(["docker", "version"], env=environ, capture_output=True).returncode == 0


@contextmanager
def engine(cache: Path | None) -> Iterator[dict[str, str]]:
    """The environment in which docker's commands find the engine. One that was started here is
    ended with all it made, but for ``cache``, where it keeps its images. CannotStart."""
    missing = sorted({p for name, p in NEEDED.items() if shutil.which(name) is None})
    if missing:
        raise CannotStart(f"not installed: {', '.join(missing)}")
    if answers(os.environ):
        yield dict(os.environ)
        return
    if os.geteuid() != 0:
        raise CannotStart("no engine runs, and only root may start one")
    folder = Path(tempfile.mkdtemp(prefix="gm-docker-"))
    environ = {**os.environ, "DOCKER_HOST": f"unix://{folder}/docker.sock"}
    log = folder / "dockerd.log"
    data = cache / "docker" if cache else folder / "data"
    with log.open("wb") as out:
        daemon = subprocess.Popen(
            ["dockerd", *FLAGS, "-H", environ["DOCKER_HOST"], "--data-root", str(data),
             "--exec-root", str(folder / "exec"), "--pidfile", str(folder / "pid")],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    try:
        until(lambda: daemon.poll() is not None or answers(environ), 120, "dockerd answers")
        if daemon.poll() is not None:
            raise CannotStart(f"dockerd ended with {daemon.returncode}; {tail(log)}")
        yield environ
    finally:
        if daemon.poll() is None:
            daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(120)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            if line.split()[1].startswith(f"{folder}/"):
                subprocess.run(["umount", "-l", line.split()[1]], check=False)
        shutil.rmtree(folder, ignore_errors=True)
