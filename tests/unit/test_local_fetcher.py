"""LocalFetcher: the manifest of what the wrapper left."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gangamon import fetchers
from gangamon.errors import BadInput, OutputMissing, TransientError
from gangamon.fetchers import manifest
from gangamon.fetchers.local import LocalFetcher
from gangamon.outdir import manifest as written
from gangamon.protocols import Manifest
from gangamon.testing.conformance import snapshot
from gangamon.testing.factories import fetch_order


def checksum(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


@pytest.fixture
def output(tmp_path: Path) -> Path:
    path = tmp_path / "LocalXML" / "42" / "0" / "output"
    path.mkdir(parents=True)
    (path / "stdout").write_bytes(b"hello\n")
    (path / "sub").mkdir()
    (path / "sub" / "data.bin").write_bytes(bytes(range(256)))
    return path


@pytest.fixture
def fetch(tmp_path: Path, output: Path) -> Callable[..., Manifest]:
    def run(attempt: int = 1, **extra: Any) -> Manifest:
        order = fetch_order(str(output), [str(tmp_path)], attempt=attempt, extra=extra)
        return LocalFetcher().fetch(order)

    return run


def test_lists_every_file(fetch: Callable[..., Manifest], output: Path) -> None:
    """Every regular file below, with its size and blake2b-128, by path; also odd names."""
    odd = os.fsencode(output) + b"/\xff\n.txt"
    Path(os.fsdecode(odd)).write_bytes(b"")
    assert fetch().files == (
        ("stdout", 6, checksum(b"hello\n")),
        ("sub/data.bin", 256, checksum(bytes(range(256)))),
        (os.fsdecode(b"\xff\n.txt"), 0, checksum(b"")),
    )
    assert fetch().bytes == 262


def test_the_manifest_names_job_and_attempt(fetch: Callable[..., Manifest], output: Path) -> None:
    """The file on disk says whose outputs these are."""
    done = fetch(attempt=3)
    body = json.loads((output / ".gangamon-manifest.json").read_text())
    assert (body["v"], body["fqid"], body["attempt"]) == (1, "42.0", 3)
    assert [tuple(entry[:3]) for entry in body["files"]] == list(done.files)


def test_a_fitting_manifest_is_believed(
    fetch: Callable[..., Manifest], output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same attempt, and with the same sizes and times, no file is read again."""
    first = fetch()
    before = snapshot(str(output))
    monkeypatch.setattr(written, "_checksum", lambda found: pytest.fail(found.path))
    assert fetch() == first
    assert snapshot(str(output)) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda output: (output / "stdout").write_bytes(b"HELLO\n"),
        lambda output: (output / "new").write_bytes(b""),
        lambda output: (output / "stdout").unlink(),
        lambda output: (output / ".gangamon-manifest.json").write_text('{"v": 1'),
        lambda output: (output / ".gangamon-manifest.json").write_text("[]"),
    ],
)
def test_a_manifest_that_does_not_fit_is_made_again(
    fetch: Callable[..., Manifest], output: Path, change: Callable[[Path], object]
) -> None:
    """Another content, file or damage: every file is read, and the manifest is true again."""
    fetch()
    change(output)
    os.utime(output / "sub" / "data.bin", ns=(1, 1))
    for path, size, found in fetch().files:
        content = (output / path).read_bytes()
        assert (size, found) == (len(content), checksum(content))
    assert (output / "new").exists() == ("new" in {path for path, _, _ in fetch().files})


def test_another_attempt_is_another_manifest(fetch: Callable[..., Manifest], output: Path) -> None:
    """The manifest of an earlier attempt does not count."""
    fetch(attempt=1)
    fetch(attempt=2)
    assert json.loads((output / ".gangamon-manifest.json").read_text())["attempt"] == 2


def test_links_that_leave_the_roots(
    fetch: Callable[..., Manifest], output: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A link out of the roots is not listed, nor any link to a directory; one within is."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret").write_text("secret")
    (output / "out").symlink_to(outside / "secret")
    (output / "dir").symlink_to(outside)
    (output / "loop").symlink_to(output)
    (output / "nowhere").symlink_to(output / "none")
    (output / "in").symlink_to("stdout")
    names = {path: size for path, size, _ in fetch().files}
    assert names == {"stdout": 6, "sub/data.bin": 256, "in": 6}


def test_pipes_are_no_outputs(fetch: Callable[..., Manifest], output: Path) -> None:
    """A pipe is left out, and does not block."""
    os.mkfifo(output / "pipe")
    assert "pipe" not in {path for path, _, _ in fetch().files}


def test_no_output_directory(tmp_path: Path, output: Path) -> None:
    """OutputMissing where only this job's directory is missing."""
    order = fetch_order(str(output.parents[1] / "1" / "output"), [str(tmp_path)], fqid="42.1")
    with pytest.raises(OutputMissing, match="output"):
        LocalFetcher().fetch(order)


def test_an_unmounted_home_is_no_missing_output(tmp_path: Path) -> None:
    """Where the directory of all jobs is not there or empty, it is tried again."""
    order = fetch_order(str(tmp_path / "home" / "42" / "0" / "output"), [str(tmp_path)])
    with pytest.raises(TransientError):
        LocalFetcher().fetch(order)
    (tmp_path / "home").mkdir()
    with pytest.raises(TransientError, match="empty"):
        LocalFetcher().fetch(order)


def test_the_target_must_lie_under_a_root(tmp_path: Path, output: Path) -> None:
    """A path beside the roots is refused, also by a link or by a common beginning of names."""
    (tmp_path / "Local").mkdir()
    link = tmp_path / "Local" / "link"
    link.symlink_to(output)
    for target, roots in (
        (str(output), []),
        (str(output), [str(tmp_path / "Local")]),
        (str(link), [str(tmp_path / "Local")]),
        (str(output), [str(output)]),
    ):
        with pytest.raises(BadInput):
            LocalFetcher().fetch(fetch_order(target, roots))


def test_a_root_may_be_a_link(tmp_path: Path, output: Path) -> None:
    """Homes are links on many sites: what counts is where the root leads."""
    (tmp_path / "home").symlink_to(tmp_path / "LocalXML")
    target = tmp_path / "home" / "42" / "0" / "output"
    assert LocalFetcher().fetch(fetch_order(str(target), [str(tmp_path / "home")])).files


def test_files_that_vanish_meanwhile(
    fetch: Callable[..., Manifest], output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that goes between listing and reading makes it a matter of another try."""
    listing = manifest.listing

    def then_gone(*asked: Any) -> list[manifest.Found]:
        found = listing(*asked)
        (output / "stdout").unlink()
        return found

    monkeypatch.setattr(manifest, "listing", then_gone)
    with pytest.raises(TransientError, match="stdout"):
        fetch()


def test_files_that_change_meanwhile(
    fetch: Callable[..., Manifest], output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that grows between listing and reading gets no checksum."""
    listing = manifest.listing

    def then_more(*asked: Any) -> list[manifest.Found]:
        found = listing(*asked)
        (output / "stdout").write_text("more than that")
        return found

    monkeypatch.setattr(manifest, "listing", then_more)
    with pytest.raises(TransientError, match="changed"):
        fetch()
    assert not (output / ".gangamon-manifest.json").exists()


def test_what_a_killed_process_left(fetch: Callable[..., Manifest], output: Path) -> None:
    """An old temporary of a manifest is removed, a young one may still be written."""
    old, young = (output / f".gangamon-manifest.json.{n}" for n in ("old", "young"))
    old.write_text("{")
    young.write_text("{")
    os.utime(old, (0, 0))
    assert len(fetch().files) == 2
    assert (old.exists(), young.exists()) == (False, True)


def test_registry() -> None:
    """Local has its fetcher; another name is refused with what is accepted."""
    assert fetchers.for_backend("Local").name == "Local"
    with pytest.raises(BadInput, match=r"got 'Batch'; accepted: .*Local"):
        fetchers.for_backend("Batch")
