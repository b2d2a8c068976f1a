"""Every fault of a fetch: nothing lost, nothing half seen, and its reason where ``why`` is asked.

docs/outputs.md, "Faults and their words", lists them."""

from __future__ import annotations

import errno
import gzip
import io
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from gangamon import fetchers, postprocess
from gangamon.domain.lane import Lane
from gangamon.domain.status import JobStatus
from gangamon.fetchers import manifest, stored
from gangamon.fetchers.dirac import DiracFetcher, archive
from gangamon.fetchers.storage import file, web
from gangamon.grid.dirac import process
from gangamon.protocols import Fetcher, FetchOrder, Manifest
from gangamon.services.fetch import Fetch
from gangamon.views.subjobs import reason_of
from tests.support.backend import DONE, FAILED
from tests.support.commands import spec
from tests.support.fakedirac import FakeDirac
from tests.support.filestore import FileStore, filestore
from tests.support.rig import FETCH, Rig, why

LFN = "/gm/user/t/tester/sandbox.tar.gz"


class FromDirac:
    """DiracFetcher, of a master that another backend's name stands for."""

    name = "Local"

    def __init__(self, fake: FakeDirac) -> None:
        self._lane = Lane("Dirac", str(fake.source))

    def fetch(self, order: FetchOrder) -> Manifest:
        return DiracFetcher().fetch(replace(order, lane=self._lane, native_id="7"))


@pytest.fixture(autouse=True)
def none_left() -> Iterator[None]:
    yield
    process.PROGRAMS.close()


@pytest.fixture
def output(tmp_path: Path) -> Path:
    found = tmp_path / "7" / "0" / "output"
    found.mkdir(parents=True)
    return found


def rig_of(
    tmp_path: Path, fetcher: Callable[[str], Fetcher] = fetchers.for_backend, seen: object = DONE
) -> Rig:
    """One job at its end, whose outputs the real fetchers are to bring."""
    rig = Rig(tmp_path)
    rig.fetch = Fetch(
        rig.store,
        rig.keeper,
        rig.dispatcher,
        fetcher,
        postprocess.checker,
        3,
        rig.clock,
        stored=stored.complete,
    )
    rig.begin([spec(0, storage_files='["*"]')])  # type: ignore[arg-type]
    rig.backend.answers = [{"7.0": seen}]  # type: ignore[dict-item]
    rig.ask()
    return rig


def once(rig: Rig) -> None:
    rig.hurry(FETCH)
    rig.fetch.run(rig.claim(FETCH).token, "w1")


def visible(output: Path) -> set[str]:
    return {
        str(path.relative_to(output))
        for path in output.rglob("*")
        if not path.name.startswith(manifest.OURS)
    }


def member(name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE, link: str = ""):  # type: ignore[no-untyped-def]
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content), kind, link
    return info, content


def tarred(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path


def sandbox(tmp_path: Path, made: Path) -> FakeDirac:
    folder = tmp_path / "dirac"
    folder.mkdir()
    fake = FakeDirac(folder)
    fake.knows(
        jobs={"7": {"Status": "Done", "Owner": "tester"}},
        parameters={"7": {"OutputSandboxLFN": LFN, "UploadedOutputData": LFN}},
        grid={LFN: str(made)},
    )
    return fake


@pytest.mark.parametrize("seen", [DONE, FAILED], ids=["completed", "failed"])
def test_members_that_lead_elsewhere(tmp_path: Path, output: Path, seen: object) -> None:
    """Never written; the job has the status that its backend gave it; each is told by name."""
    made = tarred(
        tmp_path / "evil.tar.gz",
        member("good"),
        member("../../../up"),
        member("/tmp/gangamon-absolute"),
        member("soft", b"", tarfile.SYMTYPE, "../../.."),
        member("hard", b"", tarfile.LNKTYPE, "/etc/passwd"),
        member("pipe", b"", tarfile.FIFOTYPE),
        member(".gangamon-manifest.json"),
        member("n" * 300),
        member("red\x1b[31m", b"", tarfile.CHRTYPE),
    )
    fake = sandbox(tmp_path, made)
    rig = rig_of(tmp_path, lambda _: FromDirac(fake), seen)
    before = {path.name for path in tmp_path.iterdir()}
    once(rig)
    wanted = JobStatus.COMPLETED if seen is DONE else JobStatus.FAILED
    assert rig.statuses() == [wanted]
    assert visible(output) == {"good"}
    assert {path.name for path in tmp_path.iterdir()} == before
    assert not os.path.exists("/tmp/gangamon-absolute")
    told = why(rig, tmp_path)
    prefix = "  left out of its outputs: "
    lines = [line.removeprefix(prefix) for line in told.splitlines() if line.startswith(prefix)]
    assert lines == [
        f"what follows; all of it is on the grid still: {LFN}",
        "'../../../up': its name leads out of the output directory",
        "'/tmp/gangamon-absolute': its name leads out of the output directory",
        "'soft': a symbolic link to '../../..'",
        "'hard': a hard link to '/etc/passwd'",
        "'pipe': a pipe",
        "'.gangamon-manifest.json': a name that gangamon keeps for its own files",
        f"'{'n' * 199}...: the file system does not take its name: File name too long",
        r"'red\x1b[31m': a device",
    ]
    assert fake.removed == []  # it is the only copy of what was left out
    assert "up" in reason_of(rig.job()) or seen is FAILED


def test_what_was_left_out_is_told_by_whoever_ends_the_fetch(tmp_path: Path, output: Path) -> None:
    """Also where the worker that unpacked it was killed before it could say so; of many the first
    are named."""
    bad = [member(f"../bad{n}") for n in range(100)]
    fake = sandbox(tmp_path, tarred(tmp_path / "evil.tar.gz", member("good"), *bad))
    rig = rig_of(tmp_path, lambda _: FromDirac(fake))
    roots = (str(tmp_path),)
    FromDirac(fake).fetch(FetchOrder("7.0", 1, str(output), "7", {}, roots, Lane("Local", "node1")))
    fake.knows(error=["is not to be asked again", 0])
    once(rig)
    assert rig.statuses() == [JobStatus.COMPLETED]
    told = why(rig, tmp_path)
    assert told.count("left out of its outputs") == manifest.TOLD + 1
    assert "'../bad0': its name leads out" in told
    assert f"and {101 - manifest.TOLD} more" in told


def bomb(path: Path) -> Path:
    """10 GB of zeros in one member, in some 10 MB."""
    head = tarfile.TarInfo("zeros")
    head.size = 105 * 100_000_000
    piece = gzip.compress(bytes(100_000_000), 1)
    path.write_bytes(gzip.compress(head.tobuf()) + piece * 105)
    return path


@pytest.mark.parametrize("seen", [DONE, FAILED], ids=["completed", "failed"])
def test_a_bomb(
    tmp_path: Path, output: Path, seen: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is written; a job that had failed keeps its own reason beside that."""
    if seen is FAILED:  # the same road; the whole limit once is enough
        monkeypatch.setattr(archive, "MOST_BYTES", 1 << 28)
    fake = sandbox(tmp_path, bomb(tmp_path / "bomb.tar.gz"))
    rig = rig_of(tmp_path, lambda _: FromDirac(fake), seen)
    once(rig)
    assert rig.statuses() == [JobStatus.FAILED]
    assert visible(output) == set()
    told = why(rig, tmp_path)
    limit = f"output sandbox: it has more than {archive.MOST_BYTES} bytes"
    if seen is DONE:
        assert f"reason: outputs: {limit}" in told
    else:
        assert "reason: exit code 3" in told
        assert f"left out of its outputs: all: {limit}" in told
    assert fake.removed == []


def test_too_many_members(tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_FILES", 5)
    many = [member(f"f{n}") for n in range(6)]
    fake = sandbox(tmp_path, tarred(tmp_path / "many.tar.gz", *many))
    rig = rig_of(tmp_path, lambda _: FromDirac(fake))
    once(rig)
    assert rig.statuses() == [JobStatus.FAILED]
    assert visible(output) == set()
    assert "outputs: output sandbox: it has more than 5 files" in why(rig, tmp_path)


def test_a_sandbox_that_is_cut_off(tmp_path: Path, output: Path) -> None:
    """It may have been cut off on its way: three tries, and then it is said what was wrong."""
    made = tarred(tmp_path / "cut.tar.gz", member("data", os.urandom(100_000)))
    made.write_bytes(made.read_bytes()[:50_000])
    fake = sandbox(tmp_path, made)
    rig = rig_of(tmp_path, lambda _: FromDirac(fake))
    once(rig)
    assert rig.statuses() == [JobStatus.COMPLETING]
    assert "put off 1 time, the last one for: output sandbox: " in why(rig, tmp_path)
    once(rig)
    once(rig)
    assert rig.statuses() == [JobStatus.FAILED]
    assert visible(output) == set()
    assert "reason: outputs: given up after 3 tries: output sandbox: " in why(rig, tmp_path)
    assert "end-of-stream" in why(rig, tmp_path)


# --- from storage -----------------------------------------------------------------------------


def say(output: Path, place: str) -> None:
    (output / stored.LOCATIONS).write_text(f"massstorage data {place}\n")


def put_off(rig: Rig, tmp_path: Path, output: Path, reason: str) -> None:
    """Once more: it waits, says why, and shows nothing of the file."""
    once(rig)
    assert rig.statuses() == [JobStatus.COMPLETING]
    assert f"the last one for: {reason}" in why(rig, tmp_path)
    assert visible(output) == {stored.LOCATIONS}


def given_up(rig: Rig, tmp_path: Path, output: Path, reason: str) -> None:
    put_off(rig, tmp_path, output, reason)
    put_off(rig, tmp_path, output, reason)
    once(rig)
    assert rig.statuses() == [JobStatus.FAILED]
    assert f"reason: outputs: given up after 3 tries: {reason}" in why(rig, tmp_path)
    assert visible(output) == {stored.LOCATIONS}


def well(rig: Rig, tmp_path: Path, output: Path, content: bytes) -> None:
    once(rig)
    assert rig.statuses() == [JobStatus.COMPLETED]
    assert (output / "data").read_bytes() == content
    assert "put off" not in why(rig, tmp_path)


@pytest.fixture
def store(output: Path) -> Iterator[FileStore]:
    with filestore() as found:
        found.files["/data"] = bytes(range(256)) * 400
        say(output, f"{found.url}/data")
        yield found


def test_a_source_that_is_gone(tmp_path: Path, output: Path) -> None:
    place = tmp_path / "data"
    say(output, str(place))
    given_up(rig_of(tmp_path), tmp_path, output, f"{place}: not there")


def test_a_source_that_vanishes_meanwhile(tmp_path: Path, output: Path, store: FileStore) -> None:
    """Half of it had come."""
    rig = rig_of(tmp_path)
    content = store.files["/data"]

    class Vanishing(list[int]):
        def pop(self, _: object = -1) -> int:
            store.files.clear()
            self.clear()
            return 1000

    store.cuts = Vanishing([1000])
    put_off(rig, tmp_path, output, f"{store.url}/data: not there")
    assert store.ranges()[0] == ""
    store.files["/data"] = content
    well(rig, tmp_path, output, content)


def test_a_source_that_changes_meanwhile(
    tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "data"
    place.write_bytes(bytes(3 << 20))
    say(output, str(place))
    rig = rig_of(tmp_path)
    cloned = file._cloned

    def changing(source: int, target: int) -> bool:
        with place.open("ab") as more:
            more.write(b"more")
        return cloned(source, target)

    monkeypatch.setattr(file, "_cloned", changing)
    put_off(rig, tmp_path, output, f"{place}: changed while it was copied")
    monkeypatch.setattr(file, "_cloned", cloned)
    well(rig, tmp_path, output, place.read_bytes())


def test_a_transfer_that_is_cut_off(tmp_path: Path, output: Path, store: FileStore) -> None:
    rig = rig_of(tmp_path)
    store.cuts = [1000, *[0] * web.TRIES]
    put_off(rig, tmp_path, output, "data: cut off: 1000 bytes came, 102400 were to come")
    store.cuts = []
    well(rig, tmp_path, output, store.files["/data"])


def test_a_wrong_checksum(tmp_path: Path, output: Path, store: FileStore) -> None:
    rig = rig_of(tmp_path)
    store.digest = "adler32=00000001"
    put_off(rig, tmp_path, output, "data: wrong checksum: adler32 of what came is ")
    assert "the storage says 00000001" in why(rig, tmp_path)
    store.digest = None
    well(rig, tmp_path, output, store.files["/data"])


def test_a_storage_that_is_away(tmp_path: Path, output: Path) -> None:
    """However long: the job is not failed for it."""
    say(output, "http://127.0.0.1:1/data")
    rig = rig_of(tmp_path)
    for _ in range(5):
        put_off(rig, tmp_path, output, "http://127.0.0.1:1/data: ")


# --- directories ------------------------------------------------------------------------------


def test_a_directory_that_cannot_be_read(
    tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Permissions would not stop a test that runs as root: the system call refuses."""
    (output / "data").mkdir()
    (output / "data" / "kept").write_text("kept")
    rig = rig_of(tmp_path)
    scandir = os.scandir
    closed: Mapping[str, int] = {str(output / "data"): errno.EACCES}

    def guarded(path: str) -> object:
        if code := closed.get(path):
            raise OSError(code, os.strerror(code), path)
        return scandir(path)

    monkeypatch.setattr(manifest.os, "scandir", guarded)
    for _ in range(5):
        once(rig)
        assert rig.statuses() == [JobStatus.COMPLETING]
        assert f"the last one for: {output}/data: Permission denied" in why(rig, tmp_path)
    closed = {}
    once(rig)
    assert rig.statuses() == [JobStatus.COMPLETED]
    assert (output / "data" / "kept").read_text() == "kept"


def test_a_directory_that_is_gone(tmp_path: Path, output: Path) -> None:
    (tmp_path / "8").mkdir()  # the workspace is mounted
    output.rmdir()
    rig = rig_of(tmp_path)
    once(rig)
    assert rig.statuses() == [JobStatus.FAILED]
    assert f"reason: outputs: {output}: there is no output directory" in why(rig, tmp_path)
