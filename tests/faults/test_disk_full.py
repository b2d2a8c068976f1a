"""Full disks, real ones: what does not fit waits, leaves nothing half done, and goes on."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gangamon import fetchers, postprocess, settings
from gangamon.client import Client
from gangamon.domain.command import UNSPLIT, MergerSpec, Refresh
from gangamon.domain.status import JobStatus
from gangamon.errors import DiskFull, StoreUnavailable
from gangamon.fetchers import storage
from gangamon.fetchers.storage import landing
from gangamon.postprocess import growth
from gangamon.protocols import Source
from gangamon.services.check import Check
from gangamon.services.fetch import Fetch
from gangamon.services.grow import Grow
from gangamon.services.merge import Merge
from gangamon.views.text import count
from tests.support.backend import DONE, RUNNING
from tests.support.commands import OWNER, REPOSITORY, enqueue, register, the_master
from tests.support.filestore import filestore
from tests.support.growing import GrowRig, begun
from tests.support.redis import PrivateRedis
from tests.support.rig import CHECK, FETCH, MERGE, POLL, Rig, why
from tests.support.waiting import until

SIZE = 4 << 20


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self, leave: int = 0) -> None:
        """Until only about ``leave`` bytes are free."""
        facts = os.statvfs(self.path)
        descriptor = os.open(self._filler, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            left = facts.f_bavail * facts.f_frsize - leave
            while left > 0 or not leave:
                left -= os.write(descriptor, b"x" * min(65536, max(left, 4096)))
        except OSError as error:
            assert error.errno == errno.ENOSPC
            assert not leave
        finally:
            os.close(descriptor)

    def free(self) -> None:
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(path)]
    done = subprocess.run(mount, capture_output=True, text=True, timeout=120)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here (needs root): {done.stderr.strip()}")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True, timeout=120)


def ended(disk: Disk, size: int) -> Rig:
    """A rig on the disk, with the real fetcher and merger: two jobs have ended there, each with
    one file of ``size`` bytes, and are not yet fetched."""
    rig = Rig(disk.path)
    rig.fetch = Fetch(
        rig.store,
        rig.keeper,
        rig.dispatcher,
        fetchers.for_backend,
        postprocess.checker,
        3,
        rig.clock,
    )
    rig.merge = Merge(rig.store, rig.keeper, rig.dispatcher, postprocess.for_kind)
    rig.check = Check(
        rig.store, rig.keeper, rig.dispatcher, postprocess.verify, postprocess.checker
    )
    for sub in (0, 1):
        output = disk.path / "7" / str(sub) / "output"
        output.mkdir(parents=True)
        (output / "data").write_bytes(b"%d" % sub * size)
    rig.begin(2, mergers=(MergerSpec("TextMerger", ("data",)),))
    rig.backend.answers = [{"7.0": DONE, "7.1": DONE}]
    rig.ask()
    return rig


def files(path: Path) -> list[str]:
    return sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())


def test_a_merge_that_does_not_fit_waits(disk: Disk) -> None:
    """Put off as often as it takes; not one byte of it stays; whole when there is room."""
    rig = ended(disk, 3 << 18)
    rig.fetch_all()
    disk.fill(leave=1 << 20)
    before = files(disk.path)
    for tries in (1, 2, 3, 4):
        rig.hurry(MERGE)
        assert rig.merge.run(rig.claim(MERGE).token, "w1") == 0
        assert files(disk.path) == before
        assert rig.store.tries(MERGE, f"{OWNER}:{REPOSITORY}:7@1") == tries
        told = why(rig, disk.path.parent, UNSPLIT)
        assert f"put off {count(tries, 'time')}, the last one for: " in told
        assert "No space left on device" in told
    assert the_master(rig.store).phase == "merge"
    disk.free()
    rig.hurry(MERGE)
    assert rig.merge.run(rig.claim(MERGE).token, "w1") == 1
    assert rig.check.run(rig.claim(CHECK).token, "w1") == 1
    results = the_master(rig.store).results
    assert results["merge"]["ok"]
    assert results["check"] == {"ok": True, "problems": []}
    merged = (disk.path / "7" / "output" / "data").read_bytes()
    assert merged.count(b"0" * (3 << 18)) == merged.count(b"1" * (3 << 18)) == 1


def test_a_merge_that_grows_gives_its_room_back(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    """What is half merged goes, and why is said; with room it grows anew, and ends whole."""
    rig = GrowRig(disk.path)
    rig.use(Grow(rig.store, rig.keeper, postprocess.for_kind, growth.forget))
    rig.merge = Merge(rig.store, rig.keeper, rig.dispatcher, postprocess.for_kind)
    for sub in range(4):
        output = disk.path / "7" / str(sub) / "output"
        output.mkdir(parents=True)
        (output / "out.txt").write_bytes(b"%d" % sub * (1 << 18))
    before = files(disk.path / "7")
    begun(rig)
    rig.end(0)
    rig.slice()
    assert len(files(disk.path / "7")) == len(before) + 2
    disk.fill(leave=1 << 17)
    rig.end(1)
    assert rig.slice() == 1
    assert files(disk.path / "7") == before
    assert "no room to merge job 7" in caplog.text
    disk.free()
    rig.slice()
    assert len(files(disk.path / "7")) == len(before) + 2
    rig.end(2, 3)
    assert rig.merge.run(rig.claim(MERGE).token, "w1") == 1
    merged = (disk.path / "7" / "output" / "out.txt").read_bytes()
    assert [merged.count(b"%d" % sub * (1 << 18)) for sub in range(4)] == [1] * 4
    assert len(files(disk.path / "7")) == len(before) + 3


def test_a_fetch_on_a_full_disk_waits(disk: Disk) -> None:
    """The job stays completing; no half manifest; it completes when there is room."""
    rig = ended(disk, 1000)
    disk.fill()
    before = files(disk.path)
    for _ in range(4):
        rig.hurry(FETCH)
        assert rig.fetch.run(rig.claim(FETCH).token, "w1") == 0
        assert files(disk.path) == before
        assert "No space left on device" in why(rig, disk.path.parent)
    assert rig.statuses() == [JobStatus.COMPLETING] * 2
    disk.free()
    rig.fetch_all()
    assert rig.statuses() == [JobStatus.COMPLETED] * 2


@pytest.mark.parametrize("size", [1 << 18, 3 << 20])
def test_what_comes_from_storage_and_does_not_fit(
    disk: Disk, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DiskFull, and not one byte stays, also of what could have been gone on with."""
    monkeypatch.setattr(landing, "LARGE", 1 << 20)
    output = disk.path / "output"
    output.mkdir()
    disk.fill(leave=size // 2)
    with filestore() as store:
        store.files["/data"] = os.urandom(size)
        with pytest.raises(DiskFull, match="data: No space left"):
            storage.bring(Source(f"{store.url}/data"), str(output / "data"))
        assert files(output) == []
        disk.free()
        storage.bring(Source(f"{store.url}/data"), str(output / "data"))
        assert (output / "data").read_bytes() == store.files["/data"]
    disk.fill()
    with pytest.raises(DiskFull, match="copy: No space left"):
        storage.bring(Source(str(output / "data")), str(output / "copy"))
    assert files(output) == ["data"]


def test_a_full_journal_keeps_commands_waiting_and_nothing_else(disk: Disk) -> None:
    """Commands stay in the inbox, no half line is left; polls go on; then all is taken in."""
    rig = Rig(disk.path)
    rig.send(register(str(disk.path)), enqueue(1, workspace=f"{disk.path}/7"))
    rig.backend.answers = [{"7.0": RUNNING}]
    rig.tick.run()
    assert rig.sent.queues() == [POLL]
    (path,) = (disk.path / "journal").glob("*.jsonl")
    before = path.read_bytes()
    disk.fill()
    jobs = [enqueue(100, f"e{n}", 10 + n, workspace=f"{disk.path}/{n}") for n in range(20)]
    rig.send(*jobs)
    for _ in range(3):
        rig.poll.run(rig.sent.take(POLL).token, "w1")
        rig.hurry(POLL)
        assert rig.tick.run() == 1
        assert path.read_bytes() == before
    assert len(rig.store.inbox(100)) == 20
    assert rig.statuses() == [JobStatus.RUNNING]
    disk.free()
    rig.tick.run()
    assert rig.store.inbox(100) == []
    assert len(path.read_text().splitlines()) == 22
    assert all(json.loads(line)["owner"] == OWNER for line in path.read_text().splitlines())


def test_a_full_spool_is_said_at_once(disk: Disk) -> None:
    """DiskFull to the caller, and no half command; what was there is kept."""
    client = Client(
        settings.load(
            {"GANGAMON_STATE_DIR": str(disk.path / "state"), "GANGAMON_CONFIG": os.devnull}
        )
    )
    client.submit(Refresh("f1", REPOSITORY, 7))
    disk.fill()
    with pytest.raises(DiskFull, match="spool"):
        client.submit(Refresh("f2", REPOSITORY, 7))
    assert files(disk.path / "state") == [
        str(path.relative_to(disk.path / "state")) for _, path in client._spool.pending()
    ]
    assert client.pending() == 1
    disk.free()
    client.submit(Refresh("f2", REPOSITORY, 7))
    assert client.pending() == 2


def test_redis_that_cannot_write_its_file_is_unavailable(disk: Disk) -> None:
    """It refuses writes: StoreUnavailable, not an error of its own; then it goes on."""
    redis = PrivateRedis(disk.path)
    redis.start()
    try:
        environment = {
            "GANGAMON_STATE_DIR": str(disk.path.parent / "state"),
            "GANGAMON_CONFIG": os.devnull,
            "GANGAMON_REDIS_URL": redis.url,
        }
        client = Client(settings.load(environment))
        disk.fill()

        def refused() -> str:
            client.submit(Refresh(client.new_id(), REPOSITORY, 7))
            try:
                client.flush()
            except StoreUnavailable as error:
                return str(error)
            return ""

        assert "MISCONF" in until(refused, 120, "Redis refuses")
        disk.free()
        until(lambda: not refused(), 120, "Redis takes writes again")
    finally:
        redis.close()
