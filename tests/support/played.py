"""One Ganga session in the container `client` of a composition, and what must hold after its job.

COMPOSE_SUBJOBS: of its one job.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from pathlib import Path
from typing import Any

from tests.support.composition import ROOT, SLOTS, Composition
from tests.support.waiting import until

SUBJOBS = int(os.environ.get("COMPOSE_SUBJOBS", "50"))
#: These wait for ``Play.open``, each in a slot of Slurm's.
HELD = min(SUBJOBS // 2, SLOTS - 8)
#: Seconds that the job may take.
LIMIT = 300.0 + SUBJOBS
SESSION = ROOT / "tests" / "acceptance" / "compose_session.py"
AUDIT = ROOT / "benchmarks" / "demo" / "audit.py"


class Play:
    """The session, with ``lines``: what it has printed so far. As a context: ended with it."""

    def __init__(self, stack: Composition) -> None:
        self._stack = stack
        stack.run("client", "sh", "-c", "cat >/tmp/session.py", text=SESSION.read_text())
        words = ["ganga", "--no-prompt", "--very-quiet", "-o[Slurm]heartbeat_frequency=0.2"]
        numbers = [str(SUBJOBS), str(HELD), str(LIMIT)]
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

    def __enter__(self) -> Play:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(60)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self.lines.append(line.rstrip())
                print(self.lines[-1][:200], flush=True)

    def some_completed(self) -> None:
        """Waits until a fifth has."""

        def completed() -> bool:
            assert self.process.poll() is None, "the session ended:\n" + "\n".join(self.lines)
            found = [re.search(r"completed=(\d+)", line) for line in self.lines]
            return any(match and int(match[1]) >= SUBJOBS // 5 for match in found)

        until(completed, LIMIT, "some have completed", self._stack.ps)

    def open(self) -> None:
        """Those that are held may go on."""
        (self._stack.gangadir / "gate").touch()

    def facts(self) -> dict[str, Any]:
        """What the session says at its end."""
        self.process.wait(LIMIT)
        self._reader.join(60)
        told = [line for line in self.lines if line.startswith("FACTS ")]
        assert told, "the session did not get to its end:\n" + "\n".join(self.lines[-40:])
        return dict(json.loads(told[0].removeprefix("FACTS ")))


def judge(stack: Composition, facts: dict[str, Any]) -> None:
    """By the session's own word, the files, and what the service remembers: every subjob completed
    and was merged exactly once, each history is legal, all files are the owner's."""
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


def faults(stack: Composition, job: int) -> list[str]:
    """The audit of `make demo`, in a container."""
    asked = """
import json
(repository,) = client.repositories()
print(json.dumps(audit(client, repository, {job})))
"""
    return list(json.loads(asks(stack, AUDIT.read_text() + asked.format(job=job))))


def asks(stack: Composition, script: str, check: bool = True) -> str:
    """What a script prints that has a ``client`` of the service; ``check``: it must succeed."""
    head = "from gangamon import settings\nfrom gangamon.client import Client\n"
    made = "client = Client(settings.load())\n"
    future, _, rest = script.rpartition("from __future__ import annotations\n")
    text = f"{future}from __future__ import annotations\n{head}{made}{rest}"
    return stack.run("client", "python", "-", text=text, check=check)


def works(stack: Composition, service: str) -> bool:
    """By its own health check."""
    if service == "redis":
        return stack.health(service) == "healthy"
    check = ["worker", service.removeprefix("worker-")]
    if service.startswith("beat"):
        check = ["tick"]
    return stack.does(service, "python", "-m", "workers.health", *check)
