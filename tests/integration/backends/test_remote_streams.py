"""Outputs of many Remote jobs, sent by few shells of a real sshd."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from gangamon.errors import (
    BackendUnreachable,
    GangamonError,
    OutputMissing,
    StorageAway,
    TransientError,
)
from gangamon.fetchers import sessions, unpacking
from gangamon.fetchers.remote import RemoteFetcher
from gangamon.protocols import FetchOrder, Streaming
from gangamon.ssh import Ssh, Talk
from tests.integration.backends.far import Far
from tests.integration.backends.sshd import Sshd
from tests.support.waiting import until


class Talks:
    """Shells that were begun; ``at_most``: at one time."""

    def __init__(self) -> None:
        self.begun: list[Talk] = []
        self.now = self.at_most = 0
        self.lock = threading.Lock()


@pytest.fixture
def talks(monkeypatch: pytest.MonkeyPatch) -> Talks:
    found = Talks()
    talk, end = Ssh.talk, Talk.end

    def counted(link: Ssh, script: str, timeout: float, idle: float) -> Talk:
        made = talk(link, script, timeout, idle)
        with found.lock:
            found.begun.append(made)
            found.now += 1
            found.at_most = max(found.at_most, found.now)
        return made

    def ended(self: Talk) -> None:
        with found.lock:
            found.now -= 1
        end(self)

    monkeypatch.setattr(Ssh, "talk", counted)
    monkeypatch.setattr(Talk, "end", ended)
    return found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What shells were asked for, without where it is."""
    found: list[str] = []
    ask = sessions.Shell.ask

    def noted(shell: sessions.Shell, places: list[str]) -> list[int]:
        found.extend(p.partition(":")[0] if p.startswith("+") else Path(p).name for p in places)
        return ask(shell, places)

    monkeypatch.setattr(sessions.Shell, "ask", noted)
    return found


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path / "here"


@pytest.fixture
def wrapped(remote: Sshd, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Gives the other host a tar that is this shell script; ``/bin/tar`` is the real one."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def put(script: str) -> None:
        (folder / "tar").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "tar").chmod(0o755)
        remote.greet(f'PATH="{folder}:$PATH"')

    yield put
    remote.greet("")


def bring(orders: list[FetchOrder]) -> list[GangamonError | None]:
    """What became of each, in one stream."""
    found: list[GangamonError | None] = []
    with RemoteFetcher().stream(orders) as stream:
        for order in orders:
            try:
                stream.fetch(order)
                found.append(None)
            except GangamonError as error:
                found.append(error)
    return found


def nothing_half_done(order: FetchOrder) -> bool:
    """No temporary is left."""
    return not list(Path(order.target).rglob(".gangamon-manifest.json.*"))


def test_it_is_one(remote: Sshd) -> None:
    assert isinstance(RemoteFetcher(), Streaming)


def test_many_jobs_from_one_shell(remote: Sshd, far: Far, here: Path, talks: Talks) -> None:
    orders = far.orders(here, remote.endpoint, 30)
    assert bring(orders) == [None] * 30
    assert all(map(far.came, orders))
    assert len(talks.begun) == 1
    assert talks.now == 0


def test_what_is_known_is_not_sent_again(
    remote: Sshd, far: Far, here: Path, asked: list[str]
) -> None:
    orders = far.orders(here, remote.endpoint, 4)
    assert bring(orders[:2]) == [None] * 2
    assert bring([orders[2], orders[0], orders[1], orders[3]]) == [None] * 4
    assert asked == ["0", "1", "+2 3"]


def test_one_that_is_withdrawn_meanwhile_is_read_over(
    remote: Sshd, far: Far, here: Path, talks: Talks
) -> None:
    orders = far.orders(here, remote.endpoint, 4)
    with RemoteFetcher().stream(orders) as stream:
        for n in (0, 3):
            stream.fetch(orders[n])
    assert [far.came(order) for order in orders] == [True, False, False, True]
    assert not list(Path(orders[1].target).iterdir())
    assert len(talks.begun) == 1


def test_one_that_is_not_there_among_others(remote: Sshd, far: Far, here: Path) -> None:
    orders = far.orders(here, remote.endpoint, 4)
    shutil.rmtree(far.top / "1")
    shutil.rmtree(far.top / "2" / "output")
    found = bring(orders)
    assert [type(error) for error in found] == [
        type(None),
        OutputMissing,
        OutputMissing,
        type(None),
    ]
    assert far.came(orders[0]) and far.came(orders[3])


def test_names_and_links_that_lead_elsewhere(remote: Sshd, far: Far, here: Path) -> None:
    """Left out, of the one that has them; the others know nothing of it."""
    orders = far.orders(here, remote.endpoint, 3)
    output = far.top / "1" / "output"
    (output / "link").symlink_to("../../..")
    (output / ".gangamon-manifest.json").write_text("{}")
    (output / "new\nline\x01").write_text("x")
    os.mkfifo(output / "pipe")
    with RemoteFetcher().stream(orders) as stream:
        told = [stream.fetch(order).left_out for order in orders]
    assert [len(lines) for lines in told] == [0, 3, 0]
    assert far.came(orders[0]) and far.came(orders[2])
    assert (Path(orders[1].target) / "new\nline\x01").read_text() == "x"
    assert not (Path(orders[1].target) / "link").is_symlink()


def test_a_tar_that_looks_like_several(remote: Sshd, far: Far, here: Path) -> None:
    """What a file holds is a file's, whatever it looks like."""
    orders = far.orders(here, remote.endpoint, 3)
    hostile = b"\ngangamon-" + b"0" * 24 + b" 1 0\n" + bytes(20480) + b"\n1 2 there\n"
    (far.top / "0" / "output" / "out0").write_bytes(hostile)
    assert bring(orders) == [None] * 3
    assert all(map(far.came, orders))


def test_a_tar_that_is_killed(
    remote: Sshd, far: Far, here: Path, wrapped: Callable[[str], None], talks: Talks
) -> None:
    """In the middle of a file: the next job's bytes do not become its own."""
    orders = far.orders(here, remote.endpoint, 3)
    (far.top / "1" / "output" / "big").write_bytes(os.urandom(1 << 20))
    wrapped('case $PWD in */1/output) /bin/tar "$@" | head -c 300000; exit 9;; esac; /bin/tar "$@"')
    found = bring(orders)
    assert found[0] is found[2] is None
    assert type(found[1]) is TransientError and "exit code 9" in str(found[1])
    assert far.came(orders[0]) and far.came(orders[2])
    assert not (Path(orders[1].target) / "big").exists()
    assert not (Path(orders[1].target) / ".gangamon-manifest.json").exists()
    assert all(map(nothing_half_done, orders))
    assert len(talks.begun) == 1


def test_one_that_cannot_be_read_whole(
    remote: Sshd, far: Far, here: Path, wrapped: Callable[[str], None]
) -> None:
    """tar goes on without a file, and says so with its exit code."""
    orders = far.orders(here, remote.endpoint, 3)
    wrapped('/bin/tar "$@"; case $PWD in */1/output) echo no rights >&2; exit 2;; esac')
    found = bring(orders)
    assert found[0] is found[2] is None
    assert isinstance(found[1], BackendUnreachable)
    assert "exit code 2" in str(found[1])
    assert not (Path(orders[1].target) / ".gangamon-manifest.json").exists()


def test_what_is_no_archive(
    remote: Sshd, far: Far, here: Path, wrapped: Callable[[str], None]
) -> None:
    orders = far.orders(here, remote.endpoint, 3)
    wrapped('case $PWD in */1/output) head -c 99999 /dev/urandom; exit;; esac; /bin/tar "$@"')
    found = bring(orders)
    assert found[0] is found[2] is None
    assert isinstance(found[1], TransientError)
    assert "no tar archive" in str(found[1])
    assert not list(Path(orders[1].target).iterdir())


def test_a_connection_that_is_cut_in_the_middle(
    remote: Sshd, far: Far, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All come nevertheless, over another one; what was there before is there once."""
    orders = far.orders(here, remote.endpoint, 8)
    os.truncate(far.top / "3" / "output" / "out0", 64 << 20)  # more than can be under way
    cut: list[int] = []
    unpack = unpacking.unpack

    def cutting(source: unpacking.Source, target: str) -> unpacking.Unpacked:
        if target == os.path.realpath(orders[3].target) and not cut:
            for process in remote.connections():
                cut.append(process.pid)
                with contextlib.suppress(psutil.NoSuchProcess):  # with the one before it
                    process.kill()
            source.skip(1 << 40)
        return unpack(source, target)

    monkeypatch.setattr(unpacking, "unpack", cutting)
    assert bring(orders) == [None] * 8
    assert cut
    assert all(map(far.came, orders))


def test_a_shell_that_dies_with_one_job(
    remote: Sshd, far: Far, here: Path, wrapped: Callable[[str], None]
) -> None:
    """However often: that job is put off, the others come."""
    orders = far.orders(here, remote.endpoint, 5)
    wrapped('case $PWD in */2/output) kill -9 $PPID; exit;; esac; /bin/tar "$@"')
    found = bring(orders)
    assert [type(error) for error in found] == [type(None)] * 2 + [StorageAway] + [type(None)] * 2
    assert [far.came(order) for order in orders] == [True, True, False, True, True]


def test_a_host_that_is_away(remote: Sshd, far: Far, here: Path, talks: Talks) -> None:
    """It waits, however long, and is asked once for all jobs of a claim."""
    orders = far.orders(here, remote.endpoint, 3)
    remote.lock_out()
    try:
        found = bring(orders)
    finally:
        remote.let_in()
    assert [type(error) for error in found] == [StorageAway] * 3
    assert not talks.begun
    assert bring(orders) == [None] * 3


def test_few_shells_for_many_claims(
    remote: Sshd, far: Far, here: Path, talks: Talks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a host bears, whoever asks; each comes whole."""
    most = sessions.SHELLS * sessions.ASKED
    orders = far.orders(here, remote.endpoint, 3 * (most + 4))
    claims = [orders[at : at + 3] for at in range(0, len(orders), 3)]
    go, unpack = threading.Event(), unpacking.unpack

    def held(source: unpacking.Source, target: str) -> unpacking.Unpacked:
        assert go.wait(120)
        return unpack(source, target)

    def asked() -> int:
        places = [place for host in sessions._hosts.values() for place in host._places]
        return sum(len(place.turns) for place in places)

    monkeypatch.setattr(unpacking, "unpack", held)
    monkeypatch.setattr(sessions, "SEAT", 120.0)
    with ThreadPoolExecutor(len(claims)) as pool:
        made = pool.map(bring, claims)
        try:
            until(lambda: asked() == most, 120, "all shells are asked as often as they may")
        finally:
            go.set()
        found = list(made)
    assert found == [[None] * 3] * len(claims)
    assert all(map(far.came, orders))
    assert talks.at_most == sessions.SHELLS
    assert talks.now == 0


def test_who_finds_no_shell_is_put_off(
    remote: Sshd, far: Far, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "SHELLS", 1)
    monkeypatch.setattr(sessions, "ASKED", 1)
    monkeypatch.setattr(sessions, "SEAT", 0.2)
    orders = far.orders(here, remote.endpoint, 4)
    with RemoteFetcher().stream(orders[:2]) as stream:
        stream.fetch(orders[0])
        found = bring(orders[2:])
        assert [type(error) for error in found] == [StorageAway] * 2
        assert "busy" in str(found[0])
        stream.fetch(orders[1])
    assert bring(orders[2:]) == [None] * 2


def test_who_waits_too_long_behind_another(
    remote: Sshd, far: Far, here: Path, talks: Talks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is put off; the shell is not asked again, and counts until it has ended."""
    orders = far.orders(here, remote.endpoint, 4)
    with monkeypatch.context() as short, RemoteFetcher().stream(orders[:2]) as stream:
        short.setattr(sessions, "SHELLS", 1)
        stream.fetch(orders[0])
        short.setattr(sessions, "IDLE", 0.2)
        short.setattr(sessions, "SEAT", 0.2)
        found = bring(orders[2:])
        assert [type(error) for error in found] == [StorageAway] * 2
        stream.fetch(orders[1])
    assert talks.at_most == 1
    assert talks.now == 0
    assert bring(orders[2:]) == [None] * 2


def test_the_queue_behind_a_shell_that_dies(
    remote: Sshd, far: Far, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked of it comes from another."""
    monkeypatch.setattr(sessions, "SHELLS", 1)
    monkeypatch.setattr(sessions, "SEAT", 120.0)
    orders = far.orders(here, remote.endpoint, 4)
    with ThreadPoolExecutor(1) as pool, RemoteFetcher().stream(orders[:2]) as stream:
        stream.fetch(orders[0])
        behind = pool.submit(bring, orders[2:])
        (host,) = [host for host in sessions._hosts.values() if host._places]
        (place,) = host._places
        until(lambda: len(place.turns) == 2, 120, "another claim has asked the same shell")
        assert place.shell is not None
        place.shell.kill()
        stream.fetch(orders[1])
        assert behind.result(120) == [None] * 2
    assert all(map(far.came, orders))


def test_a_workspace_whose_name_has_two_lines(remote: Sshd, tmp_path: Path, here: Path) -> None:
    odd = Far(tmp_path / "two\nlines")
    (found,) = bring(odd.orders(here, remote.endpoint, 1))
    assert found is not None and "one line" in str(found)


def test_a_name_that_a_shell_would_read(remote: Sshd, tmp_path: Path, here: Path) -> None:
    odd = Far(tmp_path / "$(touch spoilt) '\"`x`\\ *")
    orders = odd.orders(here, remote.endpoint, 2)
    assert bring(orders) == [None] * 2
    assert all(map(odd.came, orders))


def test_a_large_one_among_small_ones(remote: Sshd, far: Far, here: Path) -> None:
    """Larger than what is kept, or read, at once."""
    orders = far.orders(here, remote.endpoint, 3)
    (far.top / "1" / "output" / "big").write_bytes(os.urandom(5 << 20))
    deep = far.top / "1" / "output" / "out0"
    deep.write_bytes(b"")
    assert bring(orders) == [None] * 3
    assert all(map(far.came, orders))


# --- small ones, in one archive --------------------------------------------------------------


@pytest.fixture
def small(remote: Sshd, far: Far, here: Path, asked: list[str]) -> list[FetchOrder]:
    """Jobs of which it is known that they are, and which have come before."""
    orders = far.orders(here, remote.endpoint, 6)
    assert bring(orders[:1]) == [None]
    asked.clear()
    return orders[1:]


def test_small_jobs_come_in_one_archive(
    small: list[FetchOrder], far: Far, asked: list[str], talks: Talks
) -> None:
    deep = far.top / "2" / "output" / "sub" / "deep" / "new\nline"
    deep.parent.mkdir(parents=True)
    deep.write_bytes(os.urandom(100_000))
    (far.top / "3" / "output" / "link").symlink_to("out0")
    with RemoteFetcher().stream(small) as stream:
        told = [stream.fetch(order) for order in small]
    assert asked == ["+1 2 3 4 5"]
    assert [len(manifest.left_out) for manifest in told] == [0, 0, 1, 0, 0]
    assert told[2].left_out[0].startswith("'./link': a symbolic link")
    assert [len(manifest.files) for manifest in told] == [3, 4, 3, 3, 3]
    came = Path(small[1].target) / deep.relative_to(far.top / "2" / "output")
    assert came.read_bytes() == deep.read_bytes()
    (far.top / "3" / "output" / "link").unlink()
    assert all(map(far.came, [small[0], *small[2:]]))
    assert len(talks.begun) == 1 and talks.now == 0


def test_large_jobs_do_not(
    remote: Sshd, far: Far, here: Path, small: list[FetchOrder], asked: list[str]
) -> None:
    """As the last one was."""
    for number in range(1, 6):
        (far.top / str(number) / "output" / "big").write_bytes(bytes(1 << 20))
    assert bring(small) == [None] * 5
    orders = [far.order(here, remote.endpoint, number) for number in (6, 7)]
    assert bring(orders) == [None] * 2
    assert asked == ["+1 2 3 4 5", "6", "7"]
    assert all(map(far.came, [*small, *orders]))


def test_one_that_is_withdrawn_before_its_bundle_is_read(
    small: list[FetchOrder], far: Far, asked: list[str]
) -> None:
    with RemoteFetcher().stream(small) as stream:
        stream.fetch(small[2])
        stream.fetch(small[4])
    assert asked == ["+3 4 5"]
    assert far.came(small[2]) and far.came(small[4])


@pytest.mark.parametrize("fault", ["missing", "killed", "unreadable", "no archive", "hard link"])
def test_a_bundle_with_a_fault(
    fault: str,
    small: list[FetchOrder],
    far: Far,
    asked: list[str],
    wrapped: Callable[[str], None],
) -> None:
    """Each job has the verdict that it has alone."""
    third = far.top / "3" / "output"
    if fault == "missing":
        shutil.rmtree(third.parent)
    elif fault == "hard link":
        os.link(far.top / "2" / "output" / "out0", third / "same")
    else:
        wrapped({
            "killed": 'case $PWD in */LocalXML) /bin/tar "$@" | head -c 5000; exit 9;; esac',
            "unreadable": 'case $PWD in *[L3]*/output|*/LocalXML) /bin/tar "$@"; exit 2;; esac',
            "no archive": "case $PWD in */LocalXML) head -c 99999 /dev/urandom; exit;; esac",
        }[fault] + '\nexec /bin/tar "$@"')  # fmt: skip
    found = bring(small)
    assert asked == ["+1 2 3 4 5", "1", "2", "3", "4", "5"]
    if fault == "missing":
        assert isinstance(found.pop(2), OutputMissing)
        small.pop(2)
    if fault == "unreadable":
        assert all(isinstance(error, BackendUnreachable) for error in found)
        assert not any((Path(one.target) / ".gangamon-manifest.json").exists() for one in small)
        return
    assert found == [None] * len(small)
    assert all(map(far.came, small))


def test_a_bundle_whose_place_here_fails(
    small: list[FetchOrder], far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is that job's fault only."""
    target = Path(small[1].target)
    (target / "out0").mkdir()
    (target / "out0" / "kept").write_text("kept")
    found = bring(small)
    assert [type(error) for error in found] == [type(None), StorageAway] + [type(None)] * 3
    assert (target / "out0" / "kept").read_text() == "kept"
    assert all(map(far.came, [small[0], *small[2:]]))
    assert all(map(nothing_half_done, small))


def test_a_workspace_that_looks_like_a_bundle(remote: Sshd, tmp_path: Path, here: Path) -> None:
    far = Far(tmp_path)
    orders = far.orders(here, remote.endpoint, 2)
    extra = {"workspace": "+1 2:/"}
    odd = [replace(order, extra=extra) for order in orders]
    assert all(isinstance(error, (OutputMissing, StorageAway)) for error in bring(odd))
