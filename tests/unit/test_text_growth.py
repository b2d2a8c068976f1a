"""TextMerger while jobs run: whatever the order of things, the end is that of one merge at the
end; and nothing of it is seen before."""

from __future__ import annotations

import errno
import fcntl
import gzip
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from gangamon.domain.status import JobStatus
from gangamon.errors import DiskFull, MergeFailed, TransientError
from gangamon.postprocess import frames, growth, manifest
from gangamon.postprocess.slices import MOST
from gangamon.postprocess.text import TextMerger
from gangamon.protocols import MergeOrder
from gangamon.testing.conformance import snapshot
from tests.support.merge_stories import STORIES, Play, Story, unpacked
from tests.unit.merging import DONE, Master, frame

FAILED = JobStatus.FAILED
SLOW = 1e9


@pytest.fixture
def master(tmp_path: Path) -> Master:
    return Master(tmp_path / "42")


def order(
    master: Master, *files: str, subs: int | None = None, attempts: dict[int, int] | None = None,
    **flags: bool,
) -> MergeOrder:  # fmt: skip
    """Of the first ``subs`` subjobs; ``attempts``: of those that were run anew."""
    whole = master.order(*files, **flags)
    fences = [f"{(attempts or {}).get(sub, 1)}.0" for sub in sorted(master.status)]
    inputs = list(whole.inputs)[:subs]
    return MergeOrder(
        whole.fqid, sum(int(f[0]) for f in fences), whole.spec, whole.target, inputs, fences[:subs]
    )


def grow(master: Master, *files: str, seconds: float = SLOW, **given: Any) -> bool:
    return TextMerger().grow(order(master, *files, **given), seconds)


def grown(master: Master) -> dict[str, bytes]:
    """What is half merged, without the time in it; and nothing else is there."""
    found = {name: content for name, (_, _, content) in snapshot(str(master.target)).items()}
    assert all(name.startswith(growth.PREFIX) for name in found), found
    return {n: c for n, c in found.items() if "." in n.removeprefix(growth.PREFIX)}


def body(content: bytes) -> bytes:
    return content.partition(b"\n")[2]


def forgotten() -> None:
    """As a process that begins."""
    growth._remembered.clear()


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    forgotten()
    yield
    forgotten()


@pytest.mark.parametrize("anew", [False, True], ids=["same process", "another process"])
def test_the_finished_prefix_is_in(master: Master, anew: bool) -> None:
    """Each slice adds what came; the end adds the last line, and only then it is seen."""
    paths = [master.put(sub, "out.txt", b"%d\n" % sub) for sub in range(4)]
    inputs = [(path, b"%d\n" % sub) for sub, path in enumerate(paths)]
    for subs in (1, 3):
        assert grow(master, "out.txt", subs=subs) is False
        (content,) = grown(master).values()
        ended = b"# Ganga Merge Ended Successfully #\n"
        assert body(content) + ended == frame(*inputs[:subs])
        if anew:
            forgotten()
    inode = next(os.stat(master.target / name).st_ino for name in grown(master))
    made = TextMerger().run(order(master, "out.txt"))
    assert master.body("out.txt") == frame(*inputs)
    assert os.stat(master.target / "out.txt").st_ino == inode, "it was merged anew"
    assert master.names() == {"out.txt", "out.txt.merge_summary"}
    assert manifest.verify(str(master.target)) == []
    assert TextMerger().run(order(master, "out.txt")) == made


def test_a_slice_has_an_end(master: Master) -> None:
    """With more to do than there is time for, one subjob at least is taken in, and more is left."""
    for sub in range(3):
        master.put(sub, "out.txt", b"0")
    assert [grow(master, "out.txt", seconds=0.0) for _ in range(3)] == [True, True, False]
    assert not grow(master, "out.txt", seconds=0.0)


def test_nothing_new_writes_nothing(master: Master) -> None:
    """A slice without anything to take in touches no file."""
    master.put(0, "out.txt", b"0")
    grow(master, "out.txt")
    before = snapshot(str(master.target))
    grow(master, "out.txt")
    assert snapshot(str(master.target)) == before


def test_the_end_reads_no_journal_of_its_own(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that grew it goes on from what it knows: nothing is read again."""
    parts = [(master.put(sub, "out.txt", b"%d" % sub), b"%d" % sub) for sub in range(3)]
    grow(master, "out.txt", subs=2)

    def load(*_: object) -> None:
        raise AssertionError("the journal was read")

    monkeypatch.setattr(growth.Growth, "load", load)
    TextMerger().run(order(master, "out.txt"))
    assert master.body("out.txt") == frame(*parts)


def test_a_resubmitted_subjob_is_redone_from_its_place_on(master: Master) -> None:
    """What stands before it stays as it is, what comes after it is merged again."""
    for sub in range(4):
        master.put(sub, "out.txt", b"%d" % sub)
    grow(master, "out.txt")
    (before,) = grown(master).values()
    path = master.put(2, "out.txt", b"2")  # the same bytes, but another attempt
    grow(master, "out.txt", subs=2, attempts={2: 2})
    assert [*grown(master).values()] == [before]
    path.write_bytes(b"anew")
    grow(master, "out.txt", subs=3, attempts={2: 2})
    (after,) = grown(master).values()
    place = before.index(b"# Start of file %s" % os.fsencode(path))
    assert after[:place] == before[:place]
    assert after[place:] == b"# Start of file %s #\nanew\n" % os.fsencode(path)
    TextMerger().run(order(master, "out.txt", attempts={2: 2}))
    inputs = [(master.root / str(n) / "output/out.txt", b"%d" % n) for n in range(4)]
    assert master.body("out.txt") == frame(*inputs[:2], (path, b"anew"), inputs[3])


@pytest.mark.parametrize("ignorefailed", [False, True])
def test_a_failed_subjob(master: Master, ignorefailed: bool) -> None:
    """It stops the prefix, or is left out, as Ganga decides at the end; if it completes after all
    it gets its place."""
    paths = [master.put(sub, "out.txt", b"0", FAILED if sub == 1 else DONE) for sub in range(3)]
    grow(master, "out.txt", ignorefailed=ignorefailed)
    (content,) = grown(master).values()
    assert content.count(b"# Start") == (2 if ignorefailed else 1)
    master.status[1] = DONE
    TextMerger().run(order(master, "out.txt", attempts={1: 2}, ignorefailed=ignorefailed))
    assert master.body("out.txt") == frame(*[(path, b"0") for path in paths])


def test_a_failed_merge_leaves_nothing(master: Master) -> None:
    master.put(0, "out.txt", b"0")
    master.put(1, "out.txt", b"0", FAILED)
    grow(master, "out.txt")
    with pytest.raises(MergeFailed, match=r"42\.1"):
        TextMerger().run(order(master, "out.txt"))
    assert snapshot(str(master.target)) == {}


@pytest.mark.parametrize("how", ["written", "removed", "added", "a link"])
def test_what_is_changed_by_hand(master: Master, how: str) -> None:
    """Files that are in, and are not what they were, are merged as they are at the end."""
    for sub in range(4):
        master.put(sub, "out.txt", b"0")
    grow(master, "*.txt", ignorefailed=True)
    path = master.root / "1" / "output" / "out.txt"
    if how == "written":
        facts = path.stat()
        path.write_bytes(b"1")
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    elif how == "removed":
        path.unlink()
    elif how == "added":
        (path.parent / "more.txt").write_bytes(b"1")
    else:
        path.rename(master.root / "aside")
        path.symlink_to(master.root / "aside")
    given = order(master, "*.txt", ignorefailed=True)
    assert result(given) == at_once(given, master.root.with_name("else"))


def at_once(given: MergeOrder, aside: Path) -> dict[str, bytes] | str:
    """What a merge at the end makes, or says."""
    target = aside / "output"
    aside.mkdir()
    return result(MergeOrder(given.fqid, 1, given.spec, str(target), given.inputs))


def result(given: MergeOrder) -> dict[str, bytes] | str:
    """The outputs without the time in them, or what the merge says."""
    try:
        files = TextMerger().run(given).files
    except MergeFailed as error:
        return str(error)
    return {name: body(unpacked(Path(given.target) / name)) for name, _, _ in files}


# --- faults -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", [b"x", b"00000000 {}\n", b"0" * 100, b"\xff\n\n"])
def test_a_torn_tail_is_cut_back(master: Master, tail: bytes) -> None:
    """Of the journal and of the output: what was not noted as whole is not there."""
    paths = [master.put(sub, "out.txt", b"0") for sub in range(3)]
    grow(master, "out.txt", subs=2)
    for name in snapshot(str(master.target)):
        with open(master.target / name, "ab") as file:
            file.write(tail)
    forgotten()
    TextMerger().run(order(master, "out.txt"))
    assert master.body("out.txt") == frame(*[(path, b"0") for path in paths])
    assert manifest.verify(str(master.target)) == []


@pytest.mark.parametrize("damage", ["output short", "output gone", "journal of another kind"])
def test_what_cannot_be_trusted_is_merged_anew(master: Master, damage: str) -> None:
    paths = [master.put(sub, "out.txt", b"0") for sub in range(3)]
    grow(master, "out.txt", subs=2)
    (name,) = grown(master)
    if damage == "output short":
        os.truncate(master.target / name, 20)
    elif damage == "output gone":
        (master.target / name).unlink()
    else:
        (master.target / name.rpartition(".")[0]).write_bytes(b'{"v": 0}\n')
    grow(master, "out.txt")
    TextMerger().run(order(master, "out.txt"))
    assert master.body("out.txt") == frame(*[(path, b"0") for path in paths])
    assert master.names() == {"out.txt", "out.txt.merge_summary"}


def test_another_has_it(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    """While its lock is held nothing grows; the end does without, and removes it."""
    monkeypatch.setattr("gangamon.postprocess.text.PATIENCE", 0.1)
    paths = [master.put(0, "out.txt", b"0")]
    grow(master, "out.txt")
    before = snapshot(str(master.target))
    given = order(master, "out.txt")
    with open(growth.base(given.target, given.spec), "rb") as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        paths.append(master.put(1, "out.txt", b"0"))
        assert grow(master, "out.txt") is False
        assert snapshot(str(master.target)) == before
        TextMerger().run(order(master, "out.txt"))
    assert master.body("out.txt") == frame(*[(path, b"0") for path in paths])
    assert master.names() == {"out.txt", "out.txt.merge_summary"}


def test_a_file_system_without_locks(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing grows; all is merged at the end."""
    path = master.put(0, "out.txt", b"0")

    def none(file: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    assert grow(master, "out.txt") is False
    assert grown(master) == {}
    TextMerger().run(order(master, "out.txt"))
    assert master.body("out.txt") == frame((path, b"0"))
    assert master.names() == {"out.txt", "out.txt.merge_summary"}


def test_a_full_disk(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    """DiskFull, and what is half merged goes, so that the jobs have the room."""
    for sub in range(2):
        master.put(sub, "out.txt", b"0")
    grow(master, "out.txt", subs=1)

    def full(sink: object, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(frames.Sink, "_write", full)
    with pytest.raises(DiskFull):
        grow(master, "out.txt")
    assert snapshot(str(master.target)) == {}


def test_an_input_that_changes_while_it_is_read(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not in, and is tried again."""
    path = master.put(0, "out.txt", b"0")
    add = frames.Frames.add

    def changing(out: frames.Frames, name: str) -> os.stat_result:
        facts = add(out, name)
        path.write_bytes(b"longer")
        return facts

    monkeypatch.setattr(frames.Frames, "add", changing)
    with pytest.raises(TransientError, match="changed"):
        grow(master, "out.txt")
    monkeypatch.undo()
    TextMerger().run(order(master, "out.txt"))
    assert master.body("out.txt") == frame((path, b"longer"))


def test_a_bad_gzip_file_stops_the_prefix(master: Master) -> None:
    """What stands before it is in; the end says what is wrong, and nothing stays."""
    for sub in range(3):
        master.put(sub, "out.gz", gzip.compress(b"0") if sub != 1 else b"no gzip")
    assert grow(master, "out.gz") is False
    (content,) = grown(master).values()
    assert gzip.decompress(content).count(b"# Start") == 1
    assert grow(master, "out.gz") is False
    with pytest.raises(MergeFailed, match="gzip"):
        TextMerger().run(order(master, "out.gz"))
    assert master.names() == {"out.gz.merge_summary"}


def test_an_output_that_is_there(master: Master) -> None:
    """Without overwrite nothing grows beside a file that will stop the merge."""
    master.put(0, "out.txt", b"0")
    master.target.mkdir()
    (master.target / "out.txt").write_bytes(b"by hand")
    assert grow(master, "out.txt") is False
    growth.forget(str(master.target))
    assert master.names() == {"out.txt"}
    grow(master, "out.txt", overwrite=True)
    assert len(master.names()) == 3


def test_too_many_outputs_are_merged_at_the_end(master: Master) -> None:
    for sub in range(2):
        for n in range(MOST // 2 + 1):
            master.put(sub, f"{sub}-{n}.txt", b"0")
    assert grow(master, "*.txt") is False
    assert len(grown(master)) == MOST // 2 + 1
    TextMerger().run(order(master, "*.txt"))
    assert len(master.names()) == 2 * (MOST + 2)


def test_a_pipe_is_not_read(master: Master) -> None:
    """It would never end."""
    master.put(0, "out.txt", b"0").unlink()
    os.mkfifo(master.root / "0" / "output" / "out.txt")
    assert grow(master, "out.txt") is False
    assert grown(master) == {}


def test_an_unmounted_home(master: Master) -> None:
    master.put(0, "out.txt", b"0")
    given = order(master, "out.txt", ignorefailed=True)
    master.root.rename(master.root.with_name("away"))
    with pytest.raises(TransientError, match="mounted"):
        TextMerger().grow(given, SLOW)


def test_forget(master: Master) -> None:
    """All that grows goes, whoever made it; a target that is gone is no error."""
    master.put(0, "a", b"0")
    grow(master, "a")
    grow(master, "*")
    assert len(snapshot(str(master.target))) == 4
    growth.forget(str(master.target))
    assert snapshot(str(master.target)) == {}
    growth.forget(str(master.root / "none"))


# --- any order of things ------------------------------------------------------------------------


@given(STORIES)
def test_any_order_of_things(story: Story) -> None:
    """The end is as if all had been merged then, or refused in the same words."""
    forgotten()
    with tempfile.TemporaryDirectory() as folder:
        given = Play(Path(folder) / "42").tell(story)
        wanted, made = at_once(given, Path(folder) / "else"), result(given)
        assert made == wanted
        assert isinstance(made, str) or manifest.verify(given.target) == []
        assert not any(name.startswith(growth.PREFIX) for name in snapshot(given.target))
