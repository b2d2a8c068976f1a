"""The launcher: one holder of a lock, starts counted, nothing outlives its parent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
LAUNCH = [sys.executable, "-m", "workers.supervisor.launch"]
SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(3600)"]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_second_holder_of_the_lock_is_refused(tmp_path: Path) -> None:
    """The lock is held by the program itself: refused while it lives, free once it is killed."""
    lock = tmp_path / "lock"
    command = [*LAUNCH, "--lock", str(lock), "--", *SLEEP]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as first:
        try:
            assert first.stdout and first.stdout.readline() == "up\n"
            second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            assert second.returncode == 3
            assert second.stderr == f"{lock}: locked by another process; not started\n"
        finally:
            first.kill()
    third = subprocess.run(
        [*LAUNCH, "--lock", str(lock), "--", sys.executable, "-c", "print('got it')"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert third.stdout == "got it\n"


def test_starts_are_counted(tmp_path: Path) -> None:
    """One line for each start, whatever becomes of it."""
    for _ in range(3):
        command = [*LAUNCH, "--starts", str(tmp_path / "starts"), "--", "/bin/false"]
        assert subprocess.run(command, cwd=ROOT).returncode == 1
    assert len((tmp_path / "starts").read_text().splitlines()) == 3


def test_a_missing_program_is_said() -> None:
    """Exit code 127 and one line, as a shell does."""
    ran = subprocess.run([*LAUNCH, "--", "/no/such"], cwd=ROOT, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (127, "/no/such: No such file or directory\n")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_the_program_ends_with_its_parent(tmp_path: Path) -> None:
    """A parent killed with -9 has no time to end its children; the kernel does."""
    script = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen({[*LAUNCH, '--', *SLEEP]!r}, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    environment = {**os.environ, "GANGAMON_INSTANCE": "test-launch"}
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert not gone(child)
        parent.kill()
    until(lambda: gone(child), 60, "the kernel ends it")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_a_parent_that_is_not_the_instances_is_refused() -> None:
    """If the supervisor died before the launcher could ask for its end, nothing is started."""
    ran = subprocess.run(
        [*LAUNCH, "--", "/bin/true"],
        cwd=ROOT,
        env={**os.environ, "GANGAMON_INSTANCE": "not-the-parents"},
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stderr) == (1, "the supervisor is gone; not started\n")
