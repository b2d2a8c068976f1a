"""The client's spool: whole files, in order, until they are acknowledged."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from gangamon.errors import DiskFull
from gangamon.store.spool import Spool


def names(spool: Spool) -> list[str]:
    return [command_id for command_id, _ in spool.pending()]


def test_order_is_the_order_of_submission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when many come within one tick of the clock, and when the clock stands still."""
    monkeypatch.setattr("gangamon.store.spool.time", SimpleNamespace(time_ns=lambda: 5))
    spool = Spool(tmp_path / "s")
    ids = [f"c{n % 10}-{n}" for n in range(100)]
    for command_id in ids:
        spool.put(command_id, {})
    assert names(spool) == ids


def test_a_later_session_continues_the_order(tmp_path: Path) -> None:
    """What another session left comes first."""
    Spool(tmp_path).put("old", {"n": 1})
    later = Spool(tmp_path)
    later.put("new", {"n": 2})
    assert names(later) == ["old", "new"]
    assert [json.loads(path.read_text())["n"] for _, path in later.pending()] == [1, 2]


def test_another_host_with_a_late_clock_continues_the_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two nodes of one home: the second's clock is an hour behind the first's."""
    Spool(tmp_path).put("first", {})
    late = time.time_ns() - 3600 * 10**9
    monkeypatch.setattr("gangamon.store.spool.time", SimpleNamespace(time_ns=lambda: late))
    other = Spool(tmp_path)
    other.put("second", {})
    other.put("third", {})
    assert names(other) == ["first", "second", "third"]


def test_an_empty_spool_needs_no_folder(tmp_path: Path) -> None:
    """Reading makes nothing."""
    assert Spool(tmp_path / "s").pending() == []
    assert not (tmp_path / "s").exists()


def test_removing_is_by_id_and_twice_does_no_harm(tmp_path: Path) -> None:
    """An id that ends like another one's is another one."""
    spool = Spool(tmp_path)
    for command_id in ("1", "11", "a.1"):
        spool.put(command_id, {})
    spool.remove("1")
    spool.remove("1")
    assert names(spool) == ["11", "a.1"]


def test_half_a_file_is_no_command(tmp_path: Path) -> None:
    """A session that died while it wrote leaves nothing that is sent."""
    spool = Spool(tmp_path)
    spool.put("whole", {})
    (tmp_path / "00000000000000000009-half.tmp123").write_text('{"v":')
    assert names(spool) == ["whole"]


def test_a_disk_that_is_full_is_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DiskFull; no file, no temporary."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull, match="No space left on device"):
        Spool(tmp_path).put("c1", {})
    assert os.listdir(tmp_path) == []


def test_a_command_is_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsync comes before the rename."""
    order: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("fsync"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("rename"), replace(a, b)))
    Spool(tmp_path).put("c1", {})
    assert order == ["fsync", "rename"]
