"""The journal on disk: whole lines, in order, whoever writes and whatever crashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from datetime import datetime, timezone
from pathlib import Path

import pytest

from gangamon.errors import DiskFull
from gangamon.store.journal import FileJournal
from tests.support.waiting import until


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
    assert [writer.wait(120) for writer in writers] == [0, 0]
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
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=120
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


# --- compaction -----------------------------------------------------------------------------


def day(folder: Path, name: str, *ids: str) -> Path:
    path = folder / f"{name}.jsonl"
    lines = [{"at": 0, "owner": "o", "command": {"id": i, "n": i}} for i in ids]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def ids(folder: Path) -> list[str]:
    return [str(command["id"]) for _, command in FileJournal(folder).replay()]


def today() -> str:
    return f"{datetime.now(timezone.utc):%Y-%m-%d}"


def test_compaction_leaves_out_what_it_is_told_to(tmp_path: Path) -> None:
    """In their order the others stay; a day without any left has no file; the mark is the same."""
    day(tmp_path, "2026-01-01", "a", "b")
    second = day(tmp_path, "2026-01-02", "c", "d", "e")
    day(tmp_path, "2026-01-03", "f")
    journal = FileJournal(tmp_path)
    mark, identity = journal.tail(), journal.identity()
    assert journal.compact({"a", "b", "d", "x"}) == 3
    assert ids(tmp_path) == ["c", "e", "f"]
    assert (journal.tail(), journal.identity()) == (mark, identity)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2026-01-02.jsonl", "2026-01-03.jsonl"]
    assert second.stat().st_mode & 0o077 == 0
    assert journal.compact({"a", "d"}) == 0
    assert journal.compact(()) == 0


def test_what_may_still_be_appended_to_is_left_alone(tmp_path: Path) -> None:
    """The last file, those of yesterday and today, and each id that stands there again."""
    day(tmp_path, "2026-01-01", "a", "b", "c")
    day(tmp_path, today(), "b", "d")
    assert FileJournal(tmp_path).compact({"a", "b", "d"}) == 1
    assert ids(tmp_path) == ["b", "c", "b", "d"]
    alone = tmp_path / "alone"
    alone.mkdir()
    day(alone, "2026-01-01", "a", "b")
    assert FileJournal(alone).compact({"a"}) == 0, "its size is the mark"


def test_half_a_line_is_kept_by_a_compaction(tmp_path: Path) -> None:
    """As the replay has it, it is nothing; but nobody decides that here."""
    path = day(tmp_path, "2026-01-01", "a", "b")
    with path.open("a") as file:
        file.write('{"at": 0, "own')
    day(tmp_path, today(), "c")
    assert FileJournal(tmp_path).compact({"a"}) == 1
    assert ids(tmp_path) == ["b", "c"]
    assert path.read_text().endswith('"own')


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_compaction_that_is_killed_leaves_the_file_whole(tmp_path: Path, call: str) -> None:
    """At whichever moment; the next one does it."""
    day(tmp_path, "2026-01-01", "a", "b")
    day(tmp_path, today(), "c")
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from gangamon.store.journal import FileJournal\n"
        "def die(*_): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"{'os.fsync' if call == 'fsync' else 'Path.replace'} = die\n"
        "FileJournal(Path(sys.argv[1])).compact({'a'})\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=120, check=False)
    assert done.returncode == -9
    assert ids(tmp_path) == ["a", "b", "c"]
    assert FileJournal(tmp_path).compact({"a"}) == 1
    assert ids(tmp_path) == ["b", "c"]
    assert not list(tmp_path.glob(".*compact"))


def test_a_disk_that_is_full_leaves_the_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DiskFull, as for any other write of the journal."""
    day(tmp_path, "2026-01-01", "a", "b")
    day(tmp_path, today(), "c")

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DiskFull, match="No space left"):
            FileJournal(tmp_path).compact({"a"})
    assert ids(tmp_path) == ["a", "b", "c"]


def test_an_append_that_waited_for_a_compaction_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the old file open when that is replaced: its line goes to the new one."""
    path = day(tmp_path, "2026-01-01", "a", "b")
    day(tmp_path, today(), "c")
    journal, fsync, waiting = FileJournal(tmp_path), os.fsync, threading.Event()
    line = json.dumps({"at": 0, "owner": "o", "command": {"id": "late"}}) + "\n"
    late = threading.Thread(target=journal._write, args=(path, line.encode()))

    def meanwhile(descriptor: int) -> None:
        if not waiting.is_set():
            waiting.set()
            late.start()
            # It waits for the lock of the very file that is about to be replaced.
            until(lambda: open_files(path) > 2, 60, "the append has the file open")
        fsync(descriptor)

    def open_files(of: Path) -> int:
        found = 0
        for descriptor in os.listdir("/proc/self/fd"):
            try:
                found += os.readlink(f"/proc/self/fd/{descriptor}") == str(of)
            except FileNotFoundError:
                continue
        return found

    monkeypatch.setattr(os, "fsync", meanwhile)
    assert journal.compact({"a"}) == 1
    late.join(60)
    assert ids(tmp_path) == ["b", "late", "c"]


def test_a_day_that_vanishes_while_it_is_replayed_is_passed_over(tmp_path: Path) -> None:
    """A compaction found nothing in it that a replay needs."""
    day(tmp_path, "2026-01-01", "a")
    second = day(tmp_path, "2026-01-02", "b")
    day(tmp_path, "2026-01-03", "c")
    replay = iter(FileJournal(tmp_path).replay())
    assert next(replay)[1]["id"] == "a"
    second.unlink()
    assert [command["id"] for _, command in replay] == ["c"]
