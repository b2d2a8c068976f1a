"""docker-compose.yml for real: the stack is built and started from a clean clone by the command of
docs/deploy.md, and a Ganga job on Slurm completes through it while its containers are killed.

``make compose-test``, for it takes minutes; ``make compose-demo`` is the same with 1,000 subjobs.
"""

from __future__ import annotations

import base64
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from tests.support.composition import Composition, composed
from tests.support.played import SUBJOBS, Play, judge, works
from tests.support.waiting import until

#: Those that are killed, in this order, while the job runs.
KILLED = ("worker-poll", "redis", "worker-transfer", "worker-tick", "worker-merge", "beat")

pytestmark = pytest.mark.timeout(1500 + 3 * SUBJOBS)  # builds images, and may wait for others'


@pytest.fixture(scope="module")
def stack(docker: Mapping[str, str]) -> Iterator[Composition]:
    with composed(docker, "test") as found:
        yield found


def test_a_job_completes_while_containers_are_killed(stack: Composition) -> None:
    """Every container that was killed works again; Flower and the job page answer meanwhile."""
    with Play(stack) as play:
        play.some_completed()
        for service in KILLED:
            seconds = stack.kill(service)
            print(f"killed {service} with -9: its container ran again after {seconds:.1f} s")
        for service in KILLED:
            until(partial(works, stack, service), 240, f"{service} works again", stack.logs)
        answered = f"Flower answers {status(stack.flower, '/workers', flower_login(stack))}"
        print(f"{answered}, the job page: {shown(stack)}")
        play.open()
        facts = play.facts()
    judge(stack, facts)
    assert shown(stack) == {"completed": SUBJOBS}


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
        with error:
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
