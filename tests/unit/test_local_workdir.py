"""LocalFetcher and the work directory of a job: removed where it is safe, and not before."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gangamon.errors import DiskFull
from gangamon.fetchers.local import LocalFetcher
from gangamon.protocols import Manifest
from gangamon.testing.conformance import snapshot
from gangamon.testing.factories import fetch_order


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


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    path = tmp_path / "tmp" / "tmpabc"
    path.mkdir(parents=True)
    (path / "core").write_text("big")
    return path


def test_the_work_directory_goes(
    fetch: Callable[..., Manifest], workdir: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It is removed with all in it, and what links in it lead to stays."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "kept").write_text("kept")
    (workdir / "link").symlink_to(outside)
    fetch(workdir=str(workdir))
    assert not workdir.exists()
    assert (outside / "kept").read_text() == "kept"
    assert fetch(workdir=str(workdir)).files


def test_logs_of_a_killed_wrapper_are_saved(
    fetch: Callable[..., Manifest], output: Path, workdir: Path
) -> None:
    """Logs that only lie in the work directory are brought; those that are home stay."""
    (workdir / "stdout").write_text("other")
    (workdir / "stderr").write_text("why it died")
    names = {path for path, _, _ in fetch(workdir=str(workdir)).files}
    assert (output / "stderr").read_text() == "why it died"
    assert (output / "stdout").read_text() == "hello\n"
    assert "stderr" in names


@pytest.mark.parametrize("which", ["root", "above", "outside", "link", "file", "relative", "job"])
def test_work_directories_that_stay(
    which: str,
    output: Path,
    workdir: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is removed but a directory of ours strictly under a root, and the log says so."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "kept").write_text("kept")
    link = tmp_path / "link"
    link.symlink_to(workdir)
    monkeypatch.chdir(workdir.parent)
    root = str(tmp_path)
    path = {
        "root": root,
        "above": str(workdir.parent),
        "outside": str(outside),
        "link": str(link),
        "file": str(output / "stdout"),
        "relative": "tmpabc",
        "job": str(output.parent),
    }[which]
    roots = [root, str(workdir)] if which == "above" else [root]
    order = fetch_order(str(output), roots, extra={"workdir": path})
    with caplog.at_level(logging.WARNING):
        assert LocalFetcher().fetch(order).files
    assert "not removed" in caplog.text
    assert (workdir / "core").exists() and (outside / "kept").exists() and output.exists()


def test_a_work_directory_of_another_user_stays(
    fetch: Callable[..., Manifest], workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner of a directory is its user, not whoever names it."""
    uid = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)
    fetch(workdir=str(workdir))
    assert workdir.exists()


def test_a_work_directory_that_cannot_be_removed(
    fetch: Callable[..., Manifest],
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is left and logged: the outputs are home all the same."""

    def refuse(path: str, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise PermissionError(errno.EACCES, "no", path)

    monkeypatch.setattr(shutil, "rmtree", refuse)
    assert fetch(workdir=str(workdir)).files
    assert "something is left" in caplog.text


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk(
    fetch: Callable[..., Manifest], output: Path, workdir: Path, number: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """DiskFull, no manifest, no temporary, and the work directory stays for the next try."""

    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    before = snapshot(str(output))
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskFull):
        fetch(workdir=str(workdir))
    assert snapshot(str(output)) == before
    assert workdir.exists()
