"""Outputs that a job has put on storage: found where its wrapper says, brought once an attempt."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gangamon.errors import BadInput, DiskFull, StorageAway, TransientError
from gangamon.fetchers import stored
from gangamon.fetchers.local import LocalFetcher
from gangamon.fetchers.storage import file
from gangamon.outdir import small
from gangamon.protocols import FetchOrder, Manifest
from gangamon.testing.factories import fetch_order


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "42" / "0" / "output").mkdir(parents=True)
    (tmp_path / "store").mkdir()
    return tmp_path


def output(top: Path) -> Path:
    return top / "42" / "0" / "output"


def say(top: Path, *lines: str) -> None:
    (output(top) / stored.LOCATIONS).write_text("\n".join(lines) + "\n")


def complete(
    top: Path, attempt: int = 1, patterns: str = '["*"]', protocol: str = "file://"
) -> Manifest:
    extra = {"storage_files": patterns, "storage_protocol": protocol}
    order = fetch_order(str(output(top)), [str(top)], attempt=attempt, extra=extra)
    return stored.complete(order, LocalFetcher().fetch(order), slot)


seats: list[str] = []


@contextmanager
def slot(endpoint: str) -> Iterator[None]:
    seats.append(endpoint)
    yield


def test_brought_beside_the_others_once_an_attempt(top: Path) -> None:
    for name in ("a_7.root", "b.root", "c.txt"):
        (top / "store" / name).write_text(name)
    say(
        top,
        f"massstorage a.root {top}/store/a_7.root",
        f"massstorage *.root {top}/store/b.root",
        f"massstorage c.txt {top}/store/c.txt",
        "massstorage d.root ERROR no room",
        "massstorage",
        "google x y z",
        "",
    )
    found = complete(top, patterns='["*.root"]')
    names = [path for path, _, _ in found.files]
    assert names == [stored.LOCATIONS, "a.root", "b.root"]
    assert (output(top) / "a.root").read_text() == "a_7.root"
    (top / "store" / "b.root").write_text("of the next attempt")
    assert complete(top, patterns='["*.root"]') == found
    again = complete(top, attempt=2, patterns='["*.root"]')
    assert (output(top) / "b.root").read_text() == "of the next attempt"
    assert again != found
    (output(top) / "b.root").unlink()
    assert complete(top, attempt=2, patterns='["*.root"]') == again


def test_nothing_is_asked_for(top: Path) -> None:
    say(top, f"massstorage a {top}/store/none")
    names = [path for path, _, _ in complete(top, patterns="[]").files]
    assert names == [stored.LOCATIONS]
    with pytest.raises(BadInput, match="storage_files"):
        complete(top, patterns="{")


def test_a_path_that_is_not_mounted_has_the_protocol_of_the_storage(top: Path) -> None:
    say(top, "massstorage a /eos/none/a", "massstorage *.b https://h/x.b?k=1")
    assert stored.locations(str(output(top)), "root://eos.cern.ch/") == [
        ("a", "root://eos.cern.ch//eos/none/a"),
        ("x.b", "https://h/x.b?k=1"),
    ]
    seats.clear()
    say(top, "massstorage a /eos/none/a")
    with pytest.raises(StorageAway, match=r"root://127\.0\.0\.1:1"):
        complete(top, protocol="root://127.0.0.1:1")
    assert seats == ["root://127.0.0.1:1"]


def test_what_cannot_be_brought_is_said(top: Path) -> None:
    """Nothing half of it is seen, and all that is there stays."""
    say(top, f"massstorage a {top}/store/none")
    with pytest.raises(TransientError, match=f"{top}/store/none: not there"):
        complete(top)
    (top / "store" / "none").mkdir()
    with pytest.raises(TransientError, match="not a regular file"):
        complete(top)
    say(top, "massstorage a gopher://x/y")
    with pytest.raises(BadInput, match="scheme: got 'gopher'; accepted: dav"):
        complete(top)
    visible = [name for name in os.listdir(output(top)) if not name.startswith(".gangamon-")]
    assert visible == [stored.LOCATIONS]


def test_names_stay_in_the_directory(top: Path) -> None:
    (top / "store" / "x").write_text("x")
    say(top, f"massstorage ../../x {top}/store/x", f"massstorage .gangamon-x {top}/store/x")
    assert [name for name, _ in stored.locations(str(output(top)), "")] == ["x"]


def test_an_order_that_leads_elsewhere(top: Path) -> None:
    order: FetchOrder = fetch_order("/elsewhere", [str(top)], extra={"storage_files": '["*"]'})
    assert stored.complete(order, Manifest(()), slot) == Manifest(())


def test_a_note_that_is_not_ours(top: Path) -> None:
    (top / "store" / "a").write_text("a")
    say(top, f"massstorage a {top}/store/a")
    for text in ("", "[]", json.dumps({"v": 1, "attempt": 1, "files": []})):
        (output(top) / stored.NOTE).write_text(text)
        (output(top) / "a").unlink(missing_ok=True)
        assert len(complete(top).files) == 2


def test_what_was_brought_is_known_when_another_file_changes(top: Path) -> None:
    """The manifest is written anew, and says it still; of another attempt it does not."""
    (top / "store" / "a").write_text("a")
    say(top, f"massstorage a {top}/store/a")
    complete(top)
    body = json.loads((output(top) / ".gangamon-manifest.json").read_text())
    assert body["stored"] == {"a": f"{top}/store/a"}
    (output(top) / "stdout").write_text("more")
    (top / "store" / "a").write_text("other")
    assert len(complete(top).files) == 3
    assert (output(top) / "a").read_text() == "a"
    complete(top, attempt=2)
    assert (output(top) / "a").read_text() == "other"


def test_a_note_of_an_earlier_version(top: Path) -> None:
    """Beside the manifest, not in it."""
    (top / "store" / "a").write_text("other")
    say(top, f"massstorage a {top}/store/a")
    (output(top) / "a").write_text("brought")
    note = {"v": 1, "attempt": 1, "files": {"a": f"{top}/store/a"}}
    (output(top) / stored.NOTE).write_text(json.dumps(note))
    assert len(complete(top).files) == 2
    assert (output(top) / "a").read_text() == "brought"
    complete(top, attempt=2)
    assert (output(top) / "a").read_text() == "other"


def test_a_file_that_changes_while_it_is_copied(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, and nothing of it is seen; what is then there is brought."""
    place = top / "store" / "a"
    place.write_bytes(bytes(3 << 20))
    say(top, f"massstorage a {place}")
    copied = file._cloned

    def changing(source: int, target: int) -> bool:
        with place.open("ab") as more:
            more.write(b"more")
        return copied(source, target)

    monkeypatch.setattr(file, "_cloned", changing)
    with pytest.raises(TransientError, match="changed while it was copied"):
        complete(top)
    visible = [name for name in os.listdir(output(top)) if not name.startswith(".gangamon-")]
    assert visible == [stored.LOCATIONS]
    monkeypatch.setattr(file, "_cloned", copied)
    assert "a" in [path for path, _, _ in complete(top).files]
    assert (output(top) / "a").read_bytes() == place.read_bytes()


@pytest.mark.parametrize("way", ["clone", "kernel", "read"])
def test_each_way_to_copy(top: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever this file system has, the copy is a file of its own."""

    def unable(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no")

    if way != "clone":
        monkeypatch.setattr(fcntl, "ioctl", unable)
    if way == "read":
        monkeypatch.setattr(os, "copy_file_range", unable)
    place = top / "store" / "a"
    place.write_bytes(content := os.urandom((3 << 20) + 5))
    say(top, f"massstorage a {place}")
    complete(top)
    assert (output(top) / "a").read_bytes() == content
    assert (output(top) / "a").stat().st_nlink == 1
    place.write_bytes(b"")
    assert (output(top) / "a").read_bytes() == content


def test_small_and_large_of_one_job(top: Path) -> None:
    """Each is brought, and a failure of one leaves none half."""
    sizes = {"a": 0, "b": 1, "c": 2000, "d": small.SMALL - 1, "e": small.SMALL, "f": 3 << 20}
    content = {name: os.urandom(size) for name, size in sizes.items()}
    for name, body in content.items():
        (top / "store" / name).write_bytes(body)
    say(top, *(f"massstorage {name} {top}/store/{name}" for name in sizes))
    found = {name: (size, checksum) for name, size, checksum in complete(top).files}
    for name, body in content.items():
        assert (output(top) / name).read_bytes() == body
        assert found[name] == (len(body), f"adler32:{zlib.adler32(body):08x}")
    (top / "store" / "d").unlink()
    with pytest.raises(TransientError, match="d: not there"):
        complete(top, attempt=2)
    assert {name for name in os.listdir(output(top)) if name.startswith(".gangamon-man")} == {
        ".gangamon-manifest.json"
    }


def test_no_room_for_a_small_one(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (top / "store" / "a").write_text("a")
    say(top, f"massstorage a {top}/store/a")
    complete(top, patterns="[]")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskFull):
        complete(top)
    monkeypatch.undo()
    assert {name for name in os.listdir(output(top)) if name != stored.LOCATIONS} == {
        ".gangamon-manifest.json"
    }
