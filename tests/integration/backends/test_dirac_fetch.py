"""Output sandboxes of a real DIRAC, brought home."""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from gangamon.domain.lane import Lane
from gangamon.errors import OutputMissing, StorageAway, TransientError
from gangamon.fetchers.dirac import DiracFetcher
from gangamon.grid.dirac.process import PROGRAMS
from gangamon.protocols import FetchOrder
from gangamon.testing.conformance import FetcherCase, FetcherConformance, snapshot
from gangamon.testing.factories import fetch_order
from tests.integration.backends.dirac import Dirac
from tests.support.waiting import until

FILES = {"std.out": "hello\n", "Ganga_Executable.log": "from the application\n"}


@pytest.fixture(scope="module", autouse=True)
def no_programs() -> Iterator[None]:
    yield
    PROGRAMS.close()


@pytest.fixture(scope="module")
def jobs(dirac_site: Dirac) -> Mapping[str, int]:
    names = ("well", "failed", "killed", "empty", "evil")
    found = dict(zip(names, dirac_site.jobs(len(names)), strict=True))
    for name in ("well", "failed", "killed"):
        dirac_site.hand("sandbox", found[name], {**FILES, "whose": name})
    for name, status in (("failed", "Failed"), ("killed", "Killed")):
        dirac_site.hand("status", [found[name]], status)
    for name in ("well", "empty", "evil"):
        dirac_site.hand("status", [found[name]], "Done", "Execution Complete")
    return found


@pytest.fixture
def output(tmp_path: Path) -> Path:
    found = tmp_path / "42" / "0" / "output"
    found.mkdir(parents=True)
    return found


def order(site: Dirac, job: int, output: Path, **extra: object) -> FetchOrder:
    lane = Lane("Dirac", str(site.diracosrc), site.proxy)
    top = str(output.parent.parent)
    return fetch_order(str(output), [top], native_id=str(job), lane=lane, extra=extra)


class TestConformance(FetcherConformance):
    @pytest.fixture
    def case(self, dirac_site: Dirac, jobs: Mapping[str, int], output: Path) -> FetcherCase:
        missing = output.parent.parent / "1" / "output"
        missing.mkdir(parents=True)
        return FetcherCase(
            DiracFetcher(),
            order(dirac_site, jobs["well"], output),
            order(dirac_site, jobs["empty"], missing),
        )


def test_a_sandbox_comes_home(dirac_site: Dirac, jobs: Mapping[str, int], output: Path) -> None:
    manifest = DiracFetcher().fetch(order(dirac_site, jobs["well"], output))
    assert {path for path, _, _ in manifest.files} == {*FILES, "whose", "stdout"}
    assert (output / "whose").read_text() == "well"
    assert os.readlink(output / "stdout") == "Ganga_Executable.log"
    assert (output / "stdout").read_text() == FILES["Ganga_Executable.log"]


def test_where_no_directory_is_yet(
    dirac_site: Dirac, jobs: Mapping[str, int], tmp_path: Path
) -> None:
    """It is made; but not below a place that is not mounted."""
    target = tmp_path / "top" / "42" / "0" / "output"
    asked = replace(order(dirac_site, jobs["well"], target), roots=(str(tmp_path),))
    for _ in range(2):
        with pytest.raises(StorageAway):
            DiracFetcher().fetch(asked)
        target.parents[2].mkdir(exist_ok=True)
    assert not target.parents[1].exists()
    (target.parents[2] / "41").mkdir()
    assert len(DiracFetcher().fetch(asked).files) == 4


def test_as_the_archive_it_was(dirac_site: Dirac, jobs: Mapping[str, int], output: Path) -> None:
    manifest = DiracFetcher().fetch(order(dirac_site, jobs["well"], output, unpack=False))
    ((name, _, _),) = manifest.files
    with tarfile.open(output / name) as tar:
        assert set(tar.getnames()) == {*FILES, "whose"}


@pytest.mark.parametrize(
    ("name", "extra", "files"),
    [
        ("failed", {}, 4),
        ("failed", {"failed": False}, 0),
        ("killed", {}, 0),
        ("well", {"failed": False}, 4),
        ("well", {"sandbox": False}, 0),
    ],
)
def test_what_ganga_would_not_download(
    dirac_site: Dirac,
    jobs: Mapping[str, int],
    output: Path,
    name: str,
    extra: Mapping[str, object],
    files: int,
) -> None:
    manifest = DiracFetcher().fetch(order(dirac_site, jobs[name], output, **extra))
    assert len(manifest.files) == files


def test_a_failed_job_may_upload_a_little_later(dirac_site: Dirac, output: Path) -> None:
    job, never_ran = dirac_site.jobs(2)
    dirac_site.hand("status", [job], "Running", "Application")
    dirac_site.hand("status", [job, never_ran], "Failed", "Application Finished With Errors")
    asked = order(dirac_site, job, output)
    with pytest.raises(StorageAway, match="not yet there"):
        DiracFetcher().fetch(asked)
    with pytest.raises(OutputMissing):
        DiracFetcher().fetch(order(dirac_site, never_ran, output))
    dirac_site.hand("sandbox", job, FILES)
    assert len(DiracFetcher().fetch(asked).files) == 3


def test_an_evil_sandbox(
    dirac_site: Dirac, jobs: Mapping[str, int], output: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "evil.tar.bz2"
    with tarfile.open(archive, "w:bz2") as tar:
        for name in ("good", "../../../outside", "/tmp/gangamon-outside"):
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
    dirac_site.hand("archive", jobs["evil"], str(archive))
    manifest = DiracFetcher().fetch(order(dirac_site, jobs["evil"], output))
    assert [path for path, _, _ in manifest.files] == ["good"]
    assert set(snapshot(str(tmp_path))) == {
        *("evil.tar.bz2", "42/0/output/good", "42/0/output/.gangamon-manifest.json")
    }
    assert not os.path.exists("/tmp/gangamon-outside")


def test_packed_as_diracx_does(dirac_site: Dirac, output: Path, tmp_path: Path) -> None:
    """By zstandard, which our own Python does not have."""
    (job,) = dirac_site.jobs(1)
    plain, packed = tmp_path / "x.tar", tmp_path / "x.tar.zst"
    with tarfile.open(plain, "w") as tar:
        info = tarfile.TarInfo("inside")
        info.size = 5
        tar.addfile(info, io.BytesIO(b"hello"))
    pack = (
        "import sys, zstandard\n"
        "with open(sys.argv[1], 'rb') as a, open(sys.argv[2], 'wb') as b:\n"
        "    zstandard.ZstdCompressor().copy_stream(a, b)\n"
    )
    dirac_site.run(str(dirac_site.python), "-c", pack, str(plain), str(packed))
    dirac_site.hand("archive", job, str(packed))
    dirac_site.hand("status", [job], "Done", "Execution Complete")
    DiracFetcher().fetch(order(dirac_site, job, output))
    assert (output / "inside").read_bytes() == b"hello"


def test_a_sandbox_that_the_store_has_lost(dirac_site: Dirac, output: Path) -> None:
    """The store is there and has not the file: tried again some times, and then given up."""
    (job,) = dirac_site.jobs(1)
    dirac_site.hand("sandbox", job, {"only": "here"})
    dirac_site.hand("status", [job], "Done", "Execution Complete")
    stored = [p for p in (dirac_site.folder / "sandboxes").rglob("*") if p.is_file()]
    newest = max(stored, key=lambda path: path.stat().st_mtime_ns)
    newest.unlink()
    with pytest.raises(TransientError) as caught:
        DiracFetcher().fetch(order(dirac_site, job, output))
    assert not isinstance(caught.value, StorageAway)
    assert snapshot(str(output)) == {}


def test_the_store_is_away(dirac_site: Dirac, jobs: Mapping[str, int], output: Path) -> None:
    """However long: the outputs wait there."""
    asked = order(dirac_site, jobs["well"], output)
    dirac_site.kill_services()
    try:
        with pytest.raises(StorageAway):
            DiracFetcher().fetch(asked)
    finally:
        dirac_site.start_services()

    def fetched() -> list[str]:
        try:
            return list(DiracFetcher().fetch(asked).files)
        except StorageAway:  # a service that has just begun may refuse its first connections
            return []

    assert len(until(fetched, 120, "the store is back")) == 4


def test_the_proxy_is_missing(dirac_site: Dirac, jobs: Mapping[str, int], output: Path) -> None:
    asked = order(dirac_site, jobs["well"], output)
    nowhere = replace(asked, lane=replace(asked.lane, credential=f"{output}/none"))
    with pytest.raises(StorageAway, match="No such file"):
        DiracFetcher().fetch(nowhere)


def test_no_temporary_file_is_left(
    dirac_site: Dirac, jobs: Mapping[str, int], output: Path
) -> None:
    DiracFetcher().fetch(order(dirac_site, jobs["well"], output))
    where = dirac_site.diracosrc, dirac_site.proxy
    with PROGRAMS.lent(str(where[0]), where[1], time.monotonic() + 60) as program:
        assert not any(files for _, _, files in os.walk(program.folder))


def test_without_a_number(dirac_site: Dirac, output: Path) -> None:
    with pytest.raises(OutputMissing, match="no number"):
        DiracFetcher().fetch(replace(order(dirac_site, 1, output), native_id="None"))
