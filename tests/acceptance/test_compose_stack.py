"""docker-compose.yml for real: the stack is built and started from a clean clone by the command of
docs/deploy.md, and a Ganga job on Slurm completes through it while its containers are killed.

``make compose-test``, for it takes minutes; ``make compose-demo`` is the same with 1,000 subjobs.
COMPOSE_CACHE names a directory that keeps the base image and the engine's layers between runs.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integration.backends.daemons import free_ports
from tests.support.composition import Composition
from tests.support.engine import CannotStart, engine
from tests.support.waiting import until

SUBJOBS = int(os.environ.get("COMPOSE_SUBJOBS", "50"))
#: These wait until all that was killed works again.
HELD = SUBJOBS // 2
CACHE = Path(os.environ["COMPOSE_CACHE"]) if os.environ.get("COMPOSE_CACHE") else None
HERE = Path(__file__).parent
AUDIT = HERE.parents[1] / "benchmarks" / "demo" / "audit.py"

#: Those that are killed, in this order, while the job runs.
KILLED = ("worker-poll", "redis", "worker-transfer", "worker-tick", "worker-merge", "beat")

pytestmark = pytest.mark.timeout(1500 + 3 * SUBJOBS)  # builds images, and may wait for others'


@pytest.fixture(scope="module")
def stack() -> Iterator[Composition]:
    # All may go through it: the gangadir below it belongs to a user whom the host need not know.
    folder = Path(tempfile.mkdtemp(prefix="gm-"))
    folder.chmod(0o755)
    try:
        with engine(CACHE) as environ:
            first, second = free_ports(2)
            found = Composition(environ, folder, (first, second))
            try:
                begun = time.monotonic()
                found.build_base(CACHE)
                based = time.monotonic()
                found.up()
                print(
                    f"base image in {based - begun:.0f} s; built and up in "
                    f"{time.monotonic() - based:.0f} s\n{found.ps()}"
                )
                yield found
            finally:
                if found.clone.exists():
                    print(found.logs())
                    found.down()
    except CannotStart as why:
        pytest.skip(f"no Docker engine: {why}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Play:
    """The session in the client's container, and what it has printed so far."""

    def __init__(self, stack: Composition, limit: float) -> None:
        text = (HERE / "compose_session.py").read_text()
        stack.run("client", "sh", "-c", "cat >/tmp/session.py", text=text)
        words = ["ganga", "--no-prompt", "--very-quiet", "-o[Slurm]heartbeat_frequency=0.2"]
        numbers = [str(SUBJOBS), str(HELD), str(limit)]
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            stack.command("client", *words, "/tmp/session.py", *numbers),
            env=stack.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self.lines.append(line.rstrip())
                print(self.lines[-1][:200], flush=True)

    def completed(self) -> int:
        assert self.process.poll() is None, "the session ended:\n" + "\n".join(self.lines)
        found = [re.search(r"completed=(\d+)", line) for line in self.lines]
        return max((int(match[1]) for match in found if match), default=0)

    def facts(self, within: float) -> dict[str, Any]:
        self.process.wait(within)
        self._reader.join(60)
        told = [line for line in self.lines if line.startswith("FACTS ")]
        assert told, "the session did not get to its end:\n" + "\n".join(self.lines[-40:])
        return dict(json.loads(told[0].removeprefix("FACTS ")))


def test_a_job_completes_while_containers_are_killed(stack: Composition) -> None:
    """Every subjob completed and merged exactly once, each history legal, all files the owner's;
    every container that was killed works again."""
    limit = 300.0 + SUBJOBS
    play = Play(stack, limit)
    try:
        until(lambda: play.completed() >= SUBJOBS // 5, limit, "some have completed", stack.ps)
        for service in KILLED:
            seconds = stack.kill(service)
            print(f"killed {service} with -9: its container ran again after {seconds:.1f} s")
        for service in KILLED:
            until(partial(works, stack, service), 240, f"{service} works again", stack.logs)
        answered = f"Flower answers {status(stack.flower, '/workers', flower_login(stack))}"
        print(f"{answered}, the job page: {shown(stack)}")
        (stack.gangadir / "gate").touch()
        facts = play.facts(limit)
    finally:
        if play.process.poll() is None:
            play.process.kill()
            play.process.wait()
    assert facts["monitoring"].startswith("gangamon.")
    lags = sorted(facts["lags"])
    print(
        f"{SUBJOBS} subjobs submitted in {facts['submit_s']:.0f} s, over after "
        f"{facts['run_s']:.0f} s; lag p50 {lags[len(lags) // 2]:.1f} s, max {lags[-1]:.1f} s"
    )
    assert (facts["status"], facts["subjobs"]) == ("completed", {"completed": SUBJOBS})
    lines = [line for line in facts["text"].splitlines() if line.startswith("subjob ")]
    assert lines == [f"subjob {i} as {stack.uid}" for i in range(SUBJOBS)]
    assert {Path(p).stat().st_uid for p in (facts["merged"], *facts["outputs"])} == {stack.uid}
    assert faults(stack, facts["job"]) == []
    assert shown(stack) == {"completed": SUBJOBS}


def works(stack: Composition, service: str) -> bool:
    if service == "redis":
        return stack.health(service) == "healthy"
    check = ["tick"] if service == "beat" else ["worker", service.removeprefix("worker-")]
    return stack.does(service, "python", "-m", "workers.health", *check)


def faults(stack: Composition, job: int) -> list[str]:
    """What the service itself remembers of the job: the audit of `make demo`, in a container."""
    said = stack.run(
        "client",
        "python",
        "-",
        text=AUDIT.read_text()
        + f"""
import json
from gangamon import settings
client = Client(settings.load())
(repository,) = client.repositories()
print(json.dumps(audit(client, repository, {job})))
""",
    )
    return list(json.loads(said))


def shown(stack: Composition) -> dict[str, int]:
    """Subjobs by status of the one job that the job page knows."""
    url = f"http://127.0.0.1:{stack.web}/api/v1/jobs"
    with urllib.request.urlopen(asking(url, page_login(stack)), timeout=60) as answer:
        (row,) = json.load(answer)["rows"]
    return {name: count for name, count in row["subjobs"].items() if count}


def test_flower_answers_with_a_login_only(stack: Composition) -> None:
    """401 without and with a wrong one; its password is in a file of the owner's alone."""
    assert (stack.clone / "secrets" / "flower-auth").stat().st_mode & 0o777 == 0o600
    until(lambda: status(stack.flower, "/healthcheck") == 200, 240, "Flower answers", stack.logs)
    assert status(stack.flower, "/workers") == 401
    assert status(stack.flower, "/workers", basic("gangamon:guess")) == 401
    assert status(stack.flower, "/workers", flower_login(stack)) == 200


def test_the_job_page_answers_with_a_login_only(stack: Composition) -> None:
    """A person is sent to the login, a program refused; with it the page and its API are there."""
    assert (stack.clone / "secrets" / "web-password").stat().st_mode & 0o777 == 0o600
    until(lambda: status(stack.web, "/healthz") == 200, 240, "the page answers", stack.logs)
    assert status(stack.web, "/api/v1/jobs") == 401
    assert status(stack.web, "/api/v1/jobs", "Bearer guess") == 401
    assert status(stack.web, "/api/v1/jobs", page_login(stack)) == 200
    assert status(stack.web, "/", page_login(stack)) == 200


def flower_login(stack: Composition) -> str:
    return basic((stack.clone / "secrets" / "flower-auth").read_text().strip())


def basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


def page_login(stack: Composition) -> str:
    return f"Bearer {(stack.clone / 'secrets' / 'web-password').read_text().strip()}"


def asking(url: str, login: str) -> urllib.request.Request:
    return urllib.request.Request(url, headers={"Authorization": login} if login else {})


def status(port: int, path: str, login: str = "") -> int:
    """Of an answer; 0: there is none."""
    try:
        request = asking(f"http://127.0.0.1:{port}{path}", login)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_every_container_is_confined(stack: Composition) -> None:
    """By what engine and kernel say of the process: no root, no capability,
    no new privileges, a read-only root file system, a limit of memory and of processes."""
    services = stack.containers()
    assert {"redis", "beat", "flower", "web", "slurm", "client", *KILLED} <= set(services)
    for service in services:
        found = stack.inspect(service)
        host, state = found["HostConfig"], found["State"]
        assert found["Config"]["User"] == f"{stack.uid}:{stack.uid}", service
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"] and not host["CapAdd"], service
        assert not host["Privileged"], service
        assert "no-new-privileges:true" in host["SecurityOpt"], service
        assert host["Memory"] > 0 and host["PidsLimit"] > 0, service
        lines = Path(f"/proc/{state['Pid']}/status").read_text().splitlines()
        kernel = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        assert set(kernel["Uid"].split()) == {str(stack.uid)}, service
        assert int(kernel["CapEff"], 16) == int(kernel["CapBnd"], 16) == 0, service
        assert kernel["NoNewPrivs"] == "1", service
        assert not stack.does(service, "sh", "-c", "echo >/usr/tried || echo >/srv/tried"), service


def test_no_secret_is_in_a_command_line_or_an_environment(stack: Composition) -> None:
    secrets = [path.read_text().strip() for path in (stack.clone / "secrets").iterdir()]
    assert len(secrets) == 5
    for service in stack.containers():
        found = json.dumps(stack.inspect(service))
        shown = stack.run(service, "sh", "-c", "cat /proc/[0-9]*/cmdline /proc/1/environ")
        words = [
            part for secret in secrets for part in re.split(r"[:@/]", secret) if len(part) > 40
        ]
        assert len(words) == 5
        assert not any(word in found or word in shown for word in words), service


def test_only_loopback_is_published(stack: Composition) -> None:
    for service in stack.containers():
        for bindings in (stack.inspect(service)["HostConfig"]["PortBindings"] or {}).values():
            assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}, service


def test_redis_refuses_without_its_password(stack: Composition) -> None:
    assert "NOAUTH" in stack.run("redis", "redis-cli", "ping")
