"""Ganga's Remote over a real sshd: what lies on the other host, and a host that cannot be asked."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gangamon.backends import examine
from gangamon.backends.remote import RemoteBackend
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Seen, Unreachable
from gangamon.domain.status import JobStatus
from gangamon.errors import BackendUnreachable, CredentialMissing, StorageAway
from gangamon.fetchers.remote import RemoteFetcher
from gangamon.protocols import FetchOrder, PollItem
from gangamon.testing.conformance import (
    BackendCase,
    BackendConformance,
    FetcherCase,
    StreamingConformance,
)
from tests.integration.backends.far import START, Far
from tests.integration.backends.sshd import Sshd
from tests.support.waiting import until

STOP = "STOP: Mon Nov 23 03:09:47 2026\n"
HERE = socket.gethostname()


@pytest.fixture
def wrapper(far: Far) -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks as the wrapper of a job does."""
    script = far.top / "1" / "input" / "__jobscript__"
    code = "import signal; print(flush=True); signal.pause()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(script)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def ask(server: Sshd, *items: PollItem, timeout: float = 60.0) -> dict[str, Observation]:
    backend = RemoteBackend()
    backend.limits = replace(backend.limits, timeout=timeout)
    return dict(backend.poll(Lane("Remote", server.endpoint), items))


def one(server: Sshd, item: PollItem) -> Observation:
    return ask(server, item)[item.fqid]


class TestRemote(BackendConformance):
    """Over the real thing."""

    @pytest.fixture
    def case(self, remote: Sshd, far: Far) -> BackendCase:
        texts = (
            START,
            f"{START}WRAPPER: 11\nPID: 12\nEXITCODE: 0\n{STOP}",
            f"{START}WRAPPER: 13\nPID: 14\nEXITCODE: 1\n{STOP}",
            f"{START}WRAPPER: 15\nPID: 16\n",
        )
        return BackendCase(
            RemoteBackend(),
            Lane("Remote", remote.endpoint),
            [far.job(n, text) for n, text in enumerate(texts)],
            far.item(9),
            lambda: shutil.rmtree(far.top),
        )


class TestFetch(StreamingConformance):
    @pytest.fixture
    def case(self, remote: Sshd, far: Far, tmp_path: Path) -> FetcherCase:
        item = far.job(1, f"{START}EXITCODE: 0\n")
        output = far.top / "1" / "output"
        (output / "stdout").write_bytes(bytes(range(256)) * 9000)
        (output / "deep er").mkdir()
        (output / "deep er" / "data ü.txt").write_text("ü\n")
        (output / "empty").touch()
        target = tmp_path / "here" / "42" / "1" / "output"
        target.mkdir(parents=True)
        order = FetchOrder(
            *("42.1", 1, str(target), "1", item.extra, (str(tmp_path),)),
            Lane("Remote", remote.endpoint),
        )
        return FetcherCase(RemoteFetcher(), order, replace(order, native_id="7"))

    def test_all_of_it(self, case: FetcherCase, far: Far) -> None:
        """Byte for byte, directories as well."""
        done = case.fetcher.fetch(case.order)
        names = ["__jobstatus__", "deep er/data ü.txt", "empty", "stdout"]
        assert [name for name, _, _ in done.files] == names
        for name in names:
            there = far.top / "1" / "output" / name
            assert Path(case.order.target, name).read_bytes() == there.read_bytes()

    def test_a_far_home_that_is_not_mounted(self, case: FetcherCase, far: Far) -> None:
        shutil.rmtree(far.top / "1")
        with pytest.raises(StorageAway):
            case.fetcher.fetch(case.order)

    def test_a_file_that_cannot_be_read(self, case: FetcherCase, far: Far, remote: Sshd) -> None:
        """tar goes on without it, and says so with its exit code: nothing is done then."""
        folder = far.top.parent / "bin"
        folder.mkdir()
        (folder / "tar").write_text('#!/bin/sh\n/bin/tar "$@"; exit 2\n')
        (folder / "tar").chmod(0o755)
        remote.greet(f'PATH="{folder}:$PATH"')
        try:
            with pytest.raises(BackendUnreachable, match="exit code 2"):
                case.fetcher.fetch(case.order)
            assert not Path(case.order.target, ".gangamon-manifest.json").exists()
        finally:
            remote.greet("")


def test_every_state(remote: Sshd, far: Far) -> None:
    text = f"{START}WRAPPER: 1\nPID: 2\n"
    found = ask(
        remote,
        far.job(0, None),
        far.job(1, START),
        far.job(2, text),
        far.job(3, f"{text}EXITCODE: 0\n{STOP}"),
        far.job(4, f"{text}EXITCODE: 3\n{STOP}"),
        far.job(5, f"{START}EXITCODE: -9999\nPROBLEM STARTING THE APPLICATION SCRIPT: no\n"),
        far.job(6, f"{text}EXITCODE: 0"),  # still being written
        far.item(7),
    )
    told = [(o.native_status, o.status) if isinstance(o, Seen) else o for o in found.values()]
    assert told == [
        ("waiting", JobStatus.SUBMITTED),
        ("starting", JobStatus.SUBMITTED),
        ("running", JobStatus.RUNNING),
        ("done", JobStatus.COMPLETED),
        ("exited", JobStatus.FAILED),
        ("not started", JobStatus.FAILED),
        ("running", JobStatus.RUNNING),
        Absent("__jobstatus__"),
    ]
    exited = found["42.4"]
    assert isinstance(exited, Seen)
    assert (exited.exit_code, exited.site) == (3, HERE)
    assert exited.ended_at is not None and exited.started_at == exited.ended_at - 4


def test_a_wrapper_that_dies(remote: Sshd, far: Far, wrapper: subprocess.Popen[bytes]) -> None:
    """Judged on its own host only; also if another process has its number by now."""
    text = f"{START}WRAPPER: {{}}\nPID: 9\n"
    items = [
        far.job(1, text.format(wrapper.pid), host=HERE),
        far.job(2, text.format(wrapper.pid), host="other.example"),
        far.job(3, text.format(1), host=HERE),  # init has that number
        far.job(4, None, wrapper=wrapper.pid, host=HERE),
    ]

    def told() -> list[str]:
        found = ask(remote, *items).values()
        return [o.native_status if isinstance(o, Seen) else "absent" for o in found]

    assert told() == ["running", "running", "gone", "waiting"]
    wrapper.kill()
    # A zombie until it is waited for.
    until(lambda: told() == ["gone", "running", "gone", "absent"], 60, "it is seen to be gone")
    wrapper.wait()
    assert told() == ["gone", "running", "gone", "absent"]
    gone = one(remote, items[0])
    assert isinstance(gone, Seen) and gone.status is JobStatus.FAILED and gone.exit_code is None


def test_a_workspace_that_is_away(remote: Sshd, far: Far, tmp_path: Path) -> None:
    """Not one job of it is absent; those of another are answered."""
    known = far.job(1, START)
    elsewhere = Far(tmp_path / "unmounted").item(2)
    found = ask(remote, known, elsewhere)
    assert isinstance(found["42.1"], Seen)
    assert isinstance(found["42.2"], Unreachable)


def test_a_name_that_a_shell_would_read(remote: Sshd, tmp_path: Path) -> None:
    """Paths are data."""
    far = Far(tmp_path / "$(touch spoilt) '\"`x`\\")
    assert isinstance(one(remote, far.job(1, START)), Seen)


def test_one_connection_for_all(remote: Sshd, far: Far) -> None:
    before, item = remote.logins(), far.job(1, START)
    for _ in range(4):
        ask(remote, item)
    assert remote.logins() == before + 1


def test_many_jobs_in_one_command(remote: Sshd, far: Far) -> None:
    items = [far.job(n, f"{START}PID: 1\n") for n in range(1500)]
    found = ask(remote, *items)
    assert {type(o) for o in found.values()} == {Seen}
    assert len(found) == 1500


def test_a_login_that_prints(remote: Sshd, far: Far) -> None:
    """On both of its outputs, and what looks like an answer."""
    item = far.job(1, START)
    remote.greet("echo Welcome; echo 'job 0'; echo gangamon-0; echo Note >&2")
    try:
        assert isinstance(one(remote, item), Seen)
    finally:
        remote.greet("")


def test_a_login_that_prints_too_much(remote: Sshd, far: Far) -> None:
    item = far.job(1, START)
    remote.greet("head -c 3000000 /dev/zero | tr '\\0' x")
    try:
        with pytest.raises(BackendUnreachable, match="login"):
            ask(remote, item)
    finally:
        remote.greet("")
    assert isinstance(one(remote, item), Seen)


def test_a_key_that_is_refused(remote: Sshd, far: Far) -> None:
    """The lane waits for its credential, and goes on with it."""
    item = far.job(1, START)
    remote.lock_out()
    try:
        with pytest.raises(CredentialMissing, match="Permission denied"):
            ask(remote, item)
    finally:
        remote.let_in()
    assert isinstance(one(remote, item), Seen)


def test_a_host_that_is_not_known(remote: Sshd, far: Far) -> None:
    """Its key is not taken on trust."""
    item, known = far.job(1, START), remote.known_hosts.read_text()
    remote.known_hosts.write_text("")
    try:
        with pytest.raises(BackendUnreachable, match="by hand"):
            ask(remote, item)
    finally:
        remote.known_hosts.write_text(known)


def test_a_host_that_goes_and_comes_back(remote: Sshd, far: Far) -> None:
    item = far.job(1, START)
    assert isinstance(one(remote, item), Seen)
    remote.stop()
    try:
        with pytest.raises(BackendUnreachable):
            ask(remote, item)
    finally:
        remote.serve()
    assert isinstance(one(remote, item), Seen)


def test_a_connection_that_hangs(remote: Sshd, far: Far) -> None:
    """The query ends in time; the next one has a new connection."""
    item = far.job(1, START)
    assert isinstance(one(remote, item), Seen)
    hung = remote.connections()
    for process in hung:
        process.send_signal(signal.SIGSTOP)
    with pytest.raises(BackendUnreachable, match="in time"):
        ask(remote, item, timeout=3.0)
    assert isinstance(one(remote, item), Seen)
    for process in hung:
        process.kill()


def test_the_doctor(remote: Sshd) -> None:
    lane = Lane("Remote", remote.endpoint)
    told = {f.name: f for f in examine.examine(RemoteBackend(), lane, "alice")}
    assert [f.level for f in told.values()] == ["OK"] * 4
    assert HERE in told["query"].text
    remote.connection().close()
    remote.lock_out()
    try:
        told = {f.name: f for f in examine.examine(RemoteBackend(), lane, "alice")}
    finally:
        remote.let_in()
    assert told["query"].level == "FAIL"
    assert "renew" in told["query"].fix
