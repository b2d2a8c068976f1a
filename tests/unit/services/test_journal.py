"""The journal on disk: whole lines, in order, whoever writes and whatever crashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gangamon.errors import DiskFull
from gangamon.store.journal import FileJournal


def numbers(folder: Path) -> list[int]:
    return [int(command["n"]) for _, command in FileJournal(folder).replay()]


def test_what_was_appended_is_replayed_in_order(tmp_path: Path) -> None:
    """Owners and commands as they were given, any text in them."""
    journal = FileJournal(tmp_path / "j")
    records = [(f"o{n}", {"n": n, "name": 'é\n"\u2028\x00'}) for n in range(5)]
    journal.append(records[:3])
    journal.append(records[3:])
    assert list(FileJournal(tmp_path / "j").replay()) == records
    assert (tmp_path / "j").stat().st_mode & 0o077 == 0


def test_nothing_is_written_for_nothing(tmp_path: Path) -> None:
    """A tick without commands touches no disk."""
    FileJournal(tmp_path / "j").append([])
    assert not (tmp_path / "j").exists()
    assert list(FileJournal(tmp_path / "j").replay()) == []


def test_days_are_replayed_in_order(tmp_path: Path) -> None:
    """The files' names are their order."""
    for day, n in (("2026-02-01", 2), ("2025-12-31", 1), ("2026-10-01", 3)):
        line = {"at": 0, "owner": "o", "command": {"n": n}}
        (tmp_path / f"{day}.jsonl").write_text(json.dumps(line) + "\n")
    assert numbers(tmp_path) == [1, 2, 3]


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_half_a_line_after_a_crash_costs_only_itself(tmp_path: Path, cut: int) -> None:
    """It was never applied; what is appended after it is not swallowed by it."""
    journal = FileJournal(tmp_path)
    journal.append([("o", {"n": n}) for n in range(3)])
    (path,) = tmp_path.glob("*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    journal.append([("o", {"n": 7}), ("o", {"n": 8})])
    left = [0, 1, 2] if cut == 1 else [0, 1]
    assert numbers(tmp_path) == [*left, 7, 8]


def test_two_processes_append_side_by_side(tmp_path: Path) -> None:
    """Two ticks at once: no line is lost, none mixed, each writer's own order kept."""
    code = (
        "import sys; from pathlib import Path; from gangamon.store.journal import FileJournal\n"
        "j = FileJournal(Path(sys.argv[1])); base = int(sys.argv[2])\n"
        "for n in range(0, 300, 3):\n"
        "    j.append([('o', {'n': base + n + i, 'pad': 'x' * 5000}) for i in range(3)])\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(base)])
        for base in (0, 1000)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    found = numbers(tmp_path)
    assert len(found) == 600
    assert [n for n in found if n < 1000] == list(range(300))
    assert [n for n in found if n >= 1000] == list(range(1000, 1300))


def test_a_disk_that_fills_up_leaves_no_half_line(tmp_path: Path) -> None:
    """DiskFull, and the file is as it was; with room again all goes on."""
    FileJournal(tmp_path).append([("o", {"n": 1})])
    (path,) = tmp_path.glob("*.jsonl")
    before = path.read_bytes()
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from gangamon.errors import DiskFull; from gangamon.store.journal import FileJournal\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n"
        "    FileJournal(Path(sys.argv[1])).append([('o', {'pad': 'x' * 9000})])\n"
        "except DiskFull as error:\n"
        "    sys.exit(f'refused: {error}')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert "refused: journal" in done.stderr
    assert path.read_bytes() == before
    FileJournal(tmp_path).append([("o", {"n": 2})])
    assert numbers(tmp_path) == [1, 2]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """No OSError passes the journal; the text names the place."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskFull, match=f"journal {tmp_path}/file/j"):
        FileJournal(tmp_path / "file" / "j").append([("o", {})])


def test_it_is_on_disk_when_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """fsync is called once for each append, after the whole text was written."""
    sizes: list[int] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        sizes.append(os.fstat(descriptor).st_size)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    FileJournal(tmp_path).append([("o", {"n": n}) for n in range(100)])
    (path,) = tmp_path.glob("*.jsonl")
    assert sizes == [path.stat().st_size]
