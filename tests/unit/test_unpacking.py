"""Archives as they come: what ``tarfile`` reads, this reads; a broken one leaves no half file."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangamon.errors import BadInput, DiskFull, TransientError
from gangamon.fetchers import manifest, unpacking
from gangamon.fetchers.framing import CutOff, Parts
from gangamon.fetchers.tarstream import NoArchive, Tar
from gangamon.testing.factories import fetch_order

NAMES = st.one_of(
    st.text("abü \n\x01", min_size=1, max_size=8),
    st.sampled_from(["x" * 99, "y" * 100, "z" * 101, "d/" * 60 + "e", "ü" * 130, "deep/er/still"]),
)
KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE])
FORMATS = st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
MEMBERS = st.lists(
    st.tuples(NAMES, KINDS, st.sampled_from([0, 1, 511, 512, 513, 2000, 200_000])), max_size=6
)


def archive(members: list[tuple[str, bytes, int]], form: int = tarfile.GNU_FORMAT) -> bytes:
    """Each with other bytes."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as tar:
        for n, (name, kind, size) in enumerate(members):
            member = tarfile.TarInfo(f"./{name}")
            member.type = kind
            if kind == tarfile.SYMTYPE:
                member.linkname = "../" * 50
            member.size = size if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(bytes([n + 1]) * member.size))
    return made.getvalue()


def parts(content: bytes) -> Parts:
    return Parts(io.BytesIO(content + b"\nmark 0\n").read, "mark")


@given(MEMBERS, FORMATS)
def test_as_tarfile(members: list[tuple[str, bytes, int]], form: int) -> None:
    content = archive(members, form)
    tar, found = Tar(parts(content)), []
    while (member := tar.next()) is not None:
        body = b"".join(map(bytes, tar.chunks(1000))) if member.isreg() else b""
        found.append((member.name, member.type, member.linkname, body))
    with tarfile.open(fileobj=io.BytesIO(content)) as known:
        wanted = [
            (m.name, m.type, m.linkname, file.read() if (file := _body(known, m)) else b"")
            for m in known.getmembers()
        ]
    assert found == wanted


def _body(tar: tarfile.TarFile, member: tarfile.TarInfo) -> io.BufferedIOBase | None:
    return tar.extractfile(member) if member.isreg() else None  # type: ignore[return-value]


@given(MEMBERS, FORMATS, st.data())
def test_a_broken_one_leaves_no_half_file(
    members: list[tuple[str, bytes, int]], form: int, data: st.DataObject
) -> None:
    """Cut anywhere, or with other bytes anywhere: what is there is whole; nothing else is raised
    than what is told as such."""
    content = archive(members, form)
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content, hurt = content[:at], False
    else:
        block = at - at % 512
        content = content[:block] + data.draw(st.binary(max_size=512)) + content[block + 512 :]
        hurt = True
    sizes = {size for _, _, size in members}
    with tempfile.TemporaryDirectory() as target:
        with contextlib.suppress(TransientError, BadInput, OSError):
            unpacking.unpack(parts(content), target)
        for folder, _, names in os.walk(target):
            assert not [name for name in names if name.startswith(manifest.OURS)]
            for name in names:
                body = Path(folder, name).read_bytes()
                assert hurt or (len(body) in sizes and len(set(body)) <= 1)


@given(st.binary(max_size=3000))
def test_any_bytes(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as target, pytest.raises((NoArchive, CutOff)):
        unpacking.unpack(parts(b"x" + content.replace(b"\nmark ", b"")), target)
    with pytest.raises((NoArchive, CutOff)):
        Tar(parts(b"x" + content.replace(b"\nmark ", b""))).next()


def header(change: Callable[[bytearray], None]) -> bytes:
    """Of a file, changed, with the right checksum."""
    member = tarfile.TarInfo("name")
    member.size = 5
    block = bytearray(member.tobuf(tarfile.GNU_FORMAT)[:512])
    change(block)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def test_a_size_below_zero() -> None:
    def change(block: bytearray) -> None:
        block[124:136] = b"\xff" * 12

    with pytest.raises(NoArchive, match="-1 bytes"):
        Tar(parts(header(change) + bytes(2000))).next()


def test_a_file_of_many_gigabytes() -> None:
    """Its size does not fit into octal digits."""

    def change(block: bytearray) -> None:
        block[124:136] = b"\x80" + (1 << 40).to_bytes(11, "big")

    member = Tar(parts(header(change))).next()
    assert member is not None and (member.name, member.size) == ("name", 1 << 40)


def test_a_name_without_end() -> None:
    def change(block: bytearray) -> None:
        block[156:157] = tarfile.GNUTYPE_LONGNAME
        block[124:136] = b"%011o\0" % (1 << 30)

    with pytest.raises(NoArchive, match="a name of"):
        Tar(parts(header(change))).next()


def test_a_sparse_file_is_left_out_and_read_over(tmp_path: Path) -> None:
    def sparse(block: bytearray) -> None:
        block[156:157] = tarfile.GNUTYPE_SPARSE
        block[482] = 1  # more of its map follows

    content = header(sparse) + bytes(512) + bytes(512) + archive([("next", tarfile.REGTYPE, 3)])
    done = unpacking.unpack(parts(content), str(tmp_path))
    assert done.left_out == ["'name': a sparse file"]
    assert (tmp_path / "next").read_bytes() == b"\1\1\1"


def test_the_manifest_is_true(tmp_path: Path) -> None:
    """Of what came its checksum is known; what has changed since is read."""
    target = tmp_path / "output"
    target.mkdir()
    (target / "old").write_text("old")
    content = archive([("a", tarfile.REGTYPE, 2000), ("b", tarfile.REGTYPE, 200_000)])
    done = unpacking.unpack(parts(content), str(target))
    (target / "a").write_text("other")
    order = fetch_order(str(target), [str(tmp_path)])
    found = {
        name: (size, checksum)
        for name, size, checksum in unpacking.note(order, str(target), done).files
    }
    assert found["b"] == done.sums["b"]
    assert found["a"][0] == 5 and not found["a"][1].startswith("adler32:")
    assert set(found) == {"a", "b", "old"}


def test_a_link_in_the_way(tmp_path: Path) -> None:
    """Nothing is written through it."""
    target, elsewhere = tmp_path / "output", tmp_path / "elsewhere"
    target.mkdir()
    elsewhere.mkdir()
    (target / "d").symlink_to(elsewhere)
    (target / "f").symlink_to(elsewhere / "f")
    with pytest.raises(BadInput):
        unpacking.unpack(parts(archive([("d/x", tarfile.REGTYPE, 3)])), str(target))
    unpacking.unpack(parts(archive([("f", tarfile.REGTYPE, 3)])), str(target))
    assert not list(elsewhere.iterdir())
    assert (target / "f").read_bytes() == b"\1\1\1"


@pytest.mark.parametrize("size", [100, 1 << 20])
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Nothing of the file is there, and it waits for room."""

    def full(file: int, content: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskFull):
        unpacking.unpack(parts(archive([("f", tarfile.REGTYPE, size)])), str(tmp_path))
    assert not list(tmp_path.iterdir())
