"""Commands: in time, bounded, believed only where they succeed."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from gangamon.backends.command import CommandFailed, Commands, Dialect
from gangamon.errors import BackendUnreachable, CredentialMissing, RateLimited
from tests.support.waiting import until

DIALECT = Dialect(
    faults=(
        (re.compile("too many"), RateLimited),
        (re.compile("ticket expired"), CredentialMissing),
    ),
    despite=re.compile("cannot reach"),
    variables={"TZ": "UTC"},
    without=("MYQ_",),
)


def run(script: str, timeout: float = 60.0, most: int = 1000) -> str:
    return Commands(DIALECT, timeout, most).run("/bin/sh", "-c", script)


def test_what_it_prints() -> None:
    assert run("echo one; echo two; echo noise >&2") == "one\ntwo\n"


def test_bytes_that_are_no_text() -> None:
    assert run(r"printf 'a\377b'") == "a\ufffdb"


def test_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """English, in the zone asked for, without the user's own defaults."""
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("MYQ_FORMAT", "short")
    monkeypatch.setenv("OTHER", "stays")
    assert run('echo "$LC_ALL $TZ ${MYQ_FORMAT-none} $OTHER"') == "C UTC none stays\n"


@pytest.mark.parametrize(
    ("script", "error", "text"),
    [
        ("echo no such queue >&2; exit 3", CommandFailed, "exit code 3: no such queue"),
        ("exit 1", CommandFailed, "exit code 1: no message"),
        ("kill -9 $$", CommandFailed, "ended by signal 9"),
        ("echo too many requests >&2; exit 1", RateLimited, "too many requests"),
        ("echo ticket expired >&2; exit 1", CredentialMissing, "ticket expired"),
        ("echo cannot reach it >&2", CommandFailed, "exit code 0: cannot reach it"),
    ],
)
def test_what_fails_is_an_error(script: str, error: type[Exception], text: str) -> None:
    """Whatever it printed before."""
    with pytest.raises(error, match=text) as caught:
        run(f"echo half an answer; {script}")
    assert type(caught.value) is error


def test_a_command_that_is_not_there() -> None:
    with pytest.raises(BackendUnreachable, match="no-such-queue: there is no such command"):
        Commands(DIALECT, 60.0).run("no-such-queue")


def test_too_much_is_no_answer() -> None:
    with pytest.raises(BackendUnreachable, match="more than 1000 bytes"):
        run("while :; do echo xxxxxxxxxxxxxxxx; done")


def test_long_complaints_are_cut() -> None:
    with pytest.raises(CommandFailed) as caught:
        run("i=0; while [ $i -lt 20000 ]; do echo bad line >&2; i=$((i+1)); done; exit 1")
    assert len(str(caught.value)) < 400
    assert len(caught.value.complaint) < 100_000


def test_one_that_hangs_is_killed_with_all_it_started(tmp_path: Path) -> None:
    """Also with a child that holds its output open."""
    pids = tmp_path / "pids"
    script = f"sleep 600 & echo $! $$ > {pids}.part; mv {pids}.part {pids}; sleep 600"
    with pytest.raises(BackendUnreachable, match="no answer within 4 s"):
        run(script, timeout=4.0)
    for pid in map(int, pids.read_text().split()):
        until(lambda pid=pid: not _lives(pid), 60, f"{pid} is gone")


def test_all_commands_share_the_time() -> None:
    commands = Commands(DIALECT, 3.0)
    begun = time.monotonic()
    with pytest.raises(BackendUnreachable, match="no answer within 3 s"):
        while time.monotonic() < begun + 60:
            commands.run("/bin/sleep", "0.5")


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return os.path.exists(f"/proc/{pid}")
