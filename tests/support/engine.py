"""A Docker engine of Debian's packages for a test: the one that runs, else one of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.waiting import tail, until

#: Program -> the package of Debian 12 that it is in.
NEEDED = {
    "docker": "docker.io",
    "dockerd": "docker.io",
    "docker-init": "tini",
    "docker-compose": "docker-compose",
    "debootstrap": "debootstrap",
}

#: Nothing of the host's network is changed: networks of a composition have bridges of their own,
#: ports are published by docker-proxy, and images are built on the host's network.
FLAGS = (
    *("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"),
    "--log-level=warn",
)

#: Seconds until it answers on a machine that stands still.
WITHIN = 120.0


class CannotStart(Exception):
    """No engine can be started here; its text says why."""


def missing() -> list[str]:
    """Packages that are not installed."""
    return sorted({package for name, package in NEEDED.items() if shutil.which(name) is None})


def answers(environ: Mapping[str, str]) -> bool:
    return subprocess.run(["docker", "version"], env=environ, capture_output=True).returncode == 0


#: What the kernel must grant, which it does not everywhere: how docker-compose.yml confines a
#: container, on a network of its own.
PROBE = (
    *("--rm", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges:true", "--init"),
    *("--tmpfs=/tmp", "--user=1000:1000", "--memory=64m", "--pids-limit=64"),
)


def prove(environ: Mapping[str, str], folder: Path) -> None:
    """A container of one static program runs. CannotStart."""
    program = shutil.which("docker-init")
    assert program is not None
    root, name = folder / "probe", f"gangamon-probe-{folder.name.lower()}"
    root.mkdir()
    shutil.copy(program, root / "probe")

    def docker(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", *words], env=environ, capture_output=True, text=True, timeout=WITHIN
        )

    subprocess.run(["tar", "-C", str(root), "-cf", str(folder / "probe.tar"), "probe"], check=True)
    driver = docker("info", "--format", "{{.Driver}}").stdout.strip()
    if driver == "vfs":
        raise CannotStart("it could only copy each layer of each container: its storage is vfs")
    steps = (
        ("import", str(folder / "probe.tar"), name),
        ("network", "create", name),
        ("run", *PROBE, f"--network={name}", name, "/probe", "--version"),
    )
    try:
        for words in steps:
            done = docker(*words)
            if done.returncode:
                raise CannotStart(f"docker {words[0]}: {done.stderr.strip()[-500:]}")
    except subprocess.TimeoutExpired as why:
        raise CannotStart(f"docker: {why}") from why
    finally:
        docker("network", "rm", name)
        docker("rmi", name)


@contextmanager
def engine(cache: Path | None) -> Iterator[dict[str, str]]:
    """The environment in which docker's commands find the engine; nothing may be ``missing``. One
    that was started here is ended with all it made, but for ``cache``, where it keeps its images.
    CannotStart."""
    folder = Path(tempfile.mkdtemp(prefix="gm-docker-"))
    if answers(os.environ):
        try:
            prove(os.environ, folder)
            yield dict(os.environ)
        finally:
            shutil.rmtree(folder)
        return
    if os.geteuid() != 0:
        folder.rmdir()
        raise CannotStart("no engine runs, and only root may start one")
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
        with suppress(AssertionError):
            until(lambda: daemon.poll() is not None or answers(environ), WITHIN, "dockerd answers")
        if daemon.poll() is not None:
            raise CannotStart(f"dockerd ended with {daemon.returncode}; {tail(log)}")
        if not answers(environ):
            raise CannotStart(f"dockerd does not answer; {tail(log)}")
        prove(environ, folder)
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
