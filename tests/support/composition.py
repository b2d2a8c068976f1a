"""docker-compose.yml, started from a clean clone by the command that docs/deploy.md names."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.integration.backends.daemons import free_ports
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
BASE = "gangamon-test-base"
TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")

#: What the profile `test` needs of Debian's packages.
PACKAGES = ("munge", "slurm-client", "slurm-wlm-basic-plugins", "slurmctld", "slurmd")

#: Jobs that its Slurm runs at the same time.
SLOTS = 32

#: Seconds until a container is there, on a machine that stands still.
WITHIN = 240.0


def run(
    command: list[str], environ: Mapping[str, str], cwd: Path, text: str = "", check: bool = True
) -> str:
    """What it prints; ``check``: it must succeed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environ,
        input=text,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    said = f"{' '.join(command[:4])}: {done.returncode}"
    said = "\n".join((said, done.stdout[-6000:], done.stderr[-6000:]))
    assert done.returncode == 0 or not check, said
    return done.stdout


def build_base(environ: Mapping[str, str], cache: Path | None) -> None:
    """No registry need be reached: the base image is made of Debian's packages."""
    given = {"CACHE": str(cache)} if cache else {}
    given |= {"CA": str(TRUSTED)} if TRUSTED.exists() else {}
    command = [str(ROOT / "config/compose/base-image"), BASE, *PACKAGES]
    run(command, {**environ, **given}, ROOT)


@contextmanager
def composed(
    environ: Mapping[str, str], profiles: str, *options: str, **more: str
) -> Iterator[Composition]:
    """One that is up, and nothing is left of it. ``options``: of `up`."""
    # All may go through it: the gangadir below it belongs to a user whom the host need not know.
    folder = Path(tempfile.mkdtemp(prefix="gm-"))
    folder.chmod(0o755)
    found = Composition(environ, folder, profiles, more)
    begun = time.monotonic()
    try:
        found.up(*options)
        print(f"built and up in {time.monotonic() - begun:.0f} s\n{found.ps()}")
        yield found
    finally:
        if found.clone.exists():
            print(found.logs())
            found.down()
        shutil.rmtree(folder, ignore_errors=True)


class Composition:
    """``folder``: of the clone, and of the gangadir, which has the same path inside. ``uid``: of an
    owner that the host need not know. ``profiles``: with commas; ``more``: variables for them."""

    def __init__(
        self, environ: Mapping[str, str], folder: Path, profiles: str, more: Mapping[str, str]
    ) -> None:
        self.folder, self.clone, self.gangadir = folder, folder / "clone", folder / "gangadir"
        self.uid = 1000
        self.project = f"gm{folder.name.lower().replace('-', '').replace('_', '')}"
        self.flower, self.web, self.prometheus = free_ports(3)
        self.environ = {
            **{k: v for k, v in environ.items() if not k.startswith(("GANGAMON_", "COMPOSE_"))},
            "COMPOSE_PROJECT_NAME": self.project,
            "COMPOSE_PROFILES": profiles,
            "GANGAMON_OWNER": "gangamon",
            "GANGADIR": str(self.gangadir),
            "GANGAMON_UID": str(self.uid),
            "GANGAMON_GID": str(self.uid),
            "IMAGE": "gangamon-test",
            "BASE_IMAGE": BASE,
            "REDIS_IMAGE": BASE,
            "SLOTS": str(SLOTS),
            "BUILD_NETWORK": "host",
            "EXTRAS": "server,web,metrics",
            "FLOWER_PORT": str(self.flower),
            "WEB_PORT": str(self.web),
            "PROMETHEUS_PORT": str(self.prometheus),
            **({"PIP_CERT": str(TRUSTED)} if TRUSTED.exists() else {}),
            **more,
        }

    # --- its life ---------------------------------------------------------------------------

    def up(self, *options: str) -> None:
        self._run(["git", "clone", "-q", str(ROOT), str(self.clone)])
        self._run(["config/compose/up", *options])
        until(lambda: self.health("client") == "healthy", WITHIN, "the client is healthy", self.ps)

    def down(self) -> None:
        """Containers, networks and volumes; images stay with an engine that is not ours."""
        self._run(["docker-compose", "down", "-v", "--remove-orphans", "-t", "5"])

    def logs(self) -> str:
        return self._run(["docker-compose", "logs", "--no-color", "--tail=40"], check=False)

    # --- its containers ---------------------------------------------------------------------

    def containers(self) -> dict[str, str]:
        """Service -> id of its container, which may run or not."""
        label = f"label=com.docker.compose.project={self.project}"
        shown = '{{.Label "com.docker.compose.service"}} {{.ID}}'
        lines = self._run(["docker", "ps", "-a", "--filter", label, "--format", shown])
        return dict(line.split() for line in lines.splitlines())

    def inspect(self, service: str) -> dict[str, Any]:
        return dict(json.loads(self._run(["docker", "inspect", self.containers()[service]]))[0])

    def health(self, service: str) -> str:
        state = self.inspect(service)["State"]
        return str(state.get("Health", {}).get("Status", state["Status"]))

    def ps(self) -> str:
        return self._run(["docker-compose", "ps"], check=False)

    def command(self, service: str, *words: str) -> list[str]:
        return ["docker", "exec", "-i", self.containers()[service], *words]

    def does(self, service: str, *words: str) -> bool:
        done = subprocess.run(
            self.command(service, *words), env=self.environ, capture_output=True, check=False
        )
        return done.returncode == 0

    def run(self, service: str, *words: str, text: str = "", check: bool = True) -> str:
        """What a command in a container prints; ``check``: it must succeed."""
        return self._run(self.command(service, *words), text, check)

    def kill(self, service: str) -> float:
        """SIGKILL from outside, as the kernel would send it (docker's own kill is an order to stop,
        after which nothing is started again). Seconds until the container runs again."""
        before = self.inspect(service)["State"]["Pid"]
        begun = time.monotonic()
        os.kill(before, signal.SIGKILL)

        def again() -> bool:
            state = self.inspect(service)["State"]
            return bool(state["Running"]) and state["Pid"] not in (0, before)

        until(again, WITHIN, f"{service} runs again", self.ps)
        return time.monotonic() - begun

    def stop(self, service: str) -> None:
        """SIGKILL by the engine, which takes it for an order: it stays away until ``start``."""
        self._run(["docker", "kill", self.containers()[service]])

    def start(self, service: str) -> None:
        self._run(["docker", "start", self.containers()[service]])

    def _run(self, command: list[str], text: str = "", check: bool = True) -> str:
        cwd = self.clone if self.clone.exists() else self.folder
        return run(command, self.environ, cwd, text, check)
