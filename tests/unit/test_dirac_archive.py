"""Output sandboxes that were made to do harm, and such as are only large or damaged."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangamon.errors import OutputMissing, TransientError
from gangamon.fetchers.dirac import archive

Make = Callable[..., str]


def member(name: str, content: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def special(name: str, kind: bytes, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    return member(name, b"", type=kind, linkname=link)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    found = tmp_path / "home" / "output"
    found.mkdir(parents=True)
    return found


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(*members: tuple[tarfile.TarInfo, bytes], mode: str = "w:bz2") -> str:
        path = tmp_path / "sandbox.tar"
        with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
            for info, content in members:
                tar.addfile(info, io.BytesIO(content))
        return str(path)

    return made


def named(left_out: list[str]) -> list[str]:
    """Of lines of a manifest, of which each says why."""
    return [line.partition("': ")[0].removeprefix("'") for line in left_out]


def everything(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*")}


@pytest.mark.parametrize("mode", ["w", "w:bz2", "w:gz", "w:xz"])
def test_what_dirac_makes(make: Make, target: Path, mode: str) -> None:
    path = make(
        member("a", b"one"),
        member("./b", b"two", mode=0o755),
        special("sub", tarfile.DIRTYPE),
        member("sub/deep/c", b"three"),
        mode=mode,
    )
    assert archive.unpack(path, str(target)) == []
    assert everything(target) == {"a", "b", "sub", "sub/deep", "sub/deep/c"}
    assert (target / "sub" / "deep" / "c").read_bytes() == b"three"
    assert os.access(target / "b", os.X_OK)
    assert not os.access(target / "a", os.X_OK)


def test_nothing_leaves_the_directory(make: Make, target: Path) -> None:
    bad = [
        member("../up"),
        member("/tmp/gangamon-absolute"),
        member("sub/../../up"),
        special("link", tarfile.SYMTYPE, "../.."),
        member("link/through"),
        special("hard", tarfile.LNKTYPE, "/etc/passwd"),
        special("pipe", tarfile.FIFOTYPE),
        special("device", tarfile.CHRTYPE),
        member(".gangamon-manifest.json"),
        member("sub/.gangamon-x/y"),
    ]
    names = [info.name for info, _ in bad]
    left_out = named(archive.unpack(make(member("good"), *bad, member("last")), str(target)))
    # The link was not made, so that what goes through it is a file of a plain directory.
    assert left_out == [name for name in names if name != "link/through"]
    assert everything(target.parent) == {
        *("output", "output/good", "output/last", "output/link", "output/link/through"),
    }
    assert not os.path.exists("/tmp/gangamon-absolute")


def test_links_that_are_there_already(make: Make, target: Path) -> None:
    outside = target.parent / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (target / "sub").symlink_to(outside)
    (target / "file").symlink_to(outside / "kept")
    left_out = archive.unpack(make(member("sub/new"), member("file", b"new")), str(target))
    assert named(left_out) == ["sub/new"]
    assert everything(outside) == {"kept"}
    assert (outside / "kept").read_text() == "kept"
    assert (target / "file").read_bytes() == b"new"
    assert not (target / "file").is_symlink()


def test_a_file_where_a_directory_is(make: Make, target: Path) -> None:
    (target / "sub").mkdir()
    (target / "file").write_text("old")
    left_out = named(
        archive.unpack(make(member("sub"), member("file/x"), member("y")), str(target))
    )
    assert left_out == ["sub", "file/x"]
    assert (target / "y").exists()


def test_bombs(make: Make, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_BYTES", 10 * 1024 * 1024)
    with pytest.raises(OutputMissing, match="bytes"):
        archive.unpack(make(member("zeros", bytes(11 * 1024 * 1024))), str(target))
    monkeypatch.setattr(archive, "MOST_FILES", 5)
    with pytest.raises(OutputMissing, match="5 files"):
        archive.unpack(make(*(member(f"f{n}") for n in range(6))), str(target))
    assert everything(target) == set()
    monkeypatch.setattr(archive, "MOST_HEADER", 4096)
    with pytest.raises(TransientError, match="too large"):
        archive.unpack(make(member("n" * 20_000)), str(target))


def test_a_bomb_takes_no_room(make: Make, target: Path) -> None:
    """10 GB of zeros in some megabytes: refused, and nothing of it is written anywhere."""
    path = Path(make(member("zeros", b""), mode="w"))
    piece = gzip.compress(bytes(100_000_000), 1)
    path.write_bytes(gzip.compress(path.read_bytes()[:512]) + piece * 105)
    with pytest.raises(OutputMissing, match=f"more than {archive.MOST_BYTES} bytes"):
        archive.unpack(str(path), str(target))
    assert everything(target) == set()
    assert everything(path.parent) == {"sandbox.tar", "home", "home/output"}


def test_damaged(make: Make, target: Path) -> None:
    path = Path(make(member("a", os.urandom(300_000))))
    whole = path.read_bytes()
    for cut in (b"", whole[:1000], whole[: len(whole) // 2], b"no archive" * 100, whole[:-4]):
        path.write_bytes(cut)
        with pytest.raises(TransientError):
            archive.unpack(str(path), str(target))
    assert everything(target) <= {"a"}


@given(st.binary(max_size=3000), st.sampled_from([b"", b"BZh9", b"\x1f\x8b\x08", b"\xfd7zXZ\x00"]))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, raw: bytes, start: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "x").write_bytes(start + raw)
    (folder / "t").mkdir()
    with contextlib.suppress(TransientError):
        archive.unpack(str(folder / "x"), str(folder / "t"))
