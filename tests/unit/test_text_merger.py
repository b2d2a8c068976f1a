"""TextMerger: Ganga's bytes and Ganga's refusals."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangamon import postprocess
from gangamon.domain.status import JobStatus
from gangamon.errors import BadInput, MergeFailed
from gangamon.postprocess import frames
from gangamon.postprocess.text import TextMerger
from gangamon.protocols import MergeOrder
from tests.unit.merging import DONE, Master, frame

FAILED, KILLED = JobStatus.FAILED, JobStatus.KILLED
SUMMARY = ".merge_summary"


@pytest.fixture(params=[False, True], ids=["new", "made"])
def master(request: pytest.FixtureRequest, tmp_path: Path) -> Master:
    return Master(tmp_path / "42", made=request.param)


def test_one_after_the_other(master: Master) -> None:
    """In the order of the subjobs, each with its path above and a line end below."""
    paths = [master.put(n, "out.txt", b"%d\n" % n) for n in (0, 2, 10)]
    master.merge("out.txt")
    assert master.body("out.txt") == frame(*zip(paths, [b"0\n", b"2\n", b"10\n"], strict=True))


def test_several_patterns_and_directories(master: Master) -> None:
    """Wildcards give one output for each name; sub-directories are made in the target, also
    deep ones; a file that two patterns match is merged twice, as by Ganga."""
    a = [master.put(n, "a.log", b"a") for n in range(2)]
    b = [master.put(1, "b.log", b"b")]
    deep = [master.put(n, "x/y/z.txt", b"z") for n in range(2)]
    master.merge("*.log", "x/y/*.txt", "a.log")
    assert master.body("a.log") == frame((a[0], b"a"), (a[0], b"a"), (a[1], b"a"), (a[1], b"a"))
    assert master.body("b.log") == frame((b[0], b"b"))
    assert master.body("x/y/z.txt") == frame((deep[0], b"z"), (deep[1], b"z"))


def test_the_summary(master: Master) -> None:
    """Beside the output lies Ganga's list of what was merged."""
    paths = [master.put(n, "out.txt", b"") for n in range(2)]
    master.merge("out.txt")
    assert (master.target / f"out.txt{SUMMARY}").read_text() == (
        f"# -- List of files merged -- #\n{paths[0]}\n{paths[1]}\n# -- End of list -- #\n"
    )


def test_bytes_that_are_no_text_are_kept(master: Master) -> None:
    """No encoding is assumed, neither of contents nor of names."""
    name = os.fsdecode(b"\xfe.txt")
    path = master.put(0, name, b"\xff\x00\xc3\x28\n")
    master.merge("*.txt")
    assert master.body(name) == frame((path, b"\xff\x00\xc3\x28\n"))


@given(st.lists(st.sampled_from([b"\r", b"\n", b"x", b"\r\n", b"yz"])), st.integers(1, 4))
def test_line_ends_are_translated_as_in_text_mode(parts: list[bytes], chunk: int) -> None:
    """Whatever the chunks: as Python's own text mode reads it."""
    data = b"".join(parts)

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(chunk)

    expected = io.TextIOWrapper(io.BytesIO(data), encoding="latin-1").read()
    assert b"".join(frames.translated(Slow(data))) == expected.encode("latin-1")


def test_line_ends_across_chunks(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    """The translation holds in the merged file, at the edges of what is read at once."""
    monkeypatch.setattr(frames, "_CHUNK", 2)
    path = master.put(0, "out.txt", b"a\r\nb\rc\r\r\n\nd\r")
    master.merge("out.txt")
    assert master.body("out.txt") == frame((path, b"a\nb\nc\n\n\nd\n"))


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("group", [1, 3, 100])
@pytest.mark.parametrize("slow", [True, False])
def test_what_is_read_ahead_keeps_its_order(
    master: Master, group: int, slow: bool, compress: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small files, empty ones, such as do not fit into what is read ahead, and such as need more
    work, beside each other."""
    waits = itertools.count(0, 1000)
    monkeypatch.setattr(frames, "_SLOW", 0.0)
    monkeypatch.setattr(frames, "_waits", lambda: next(waits) if slow else 0)
    monkeypatch.setattr(frames, "_GROUP", group)
    monkeypatch.setattr(frames, "_BLOCK", 400)
    contents = [b"x\n", b"", b"a\rb", b"y" * 1000, b"z" * 150, b"z" * 150, b"\r" * 500, b"end"] * 3
    paths = [master.put(n, "out.txt", content) for n, content in enumerate(contents)]
    ((name, size, digest),) = master.merge("out.txt", compress=compress).files
    raw = (master.target / name).read_bytes()
    assert (size, digest) == (len(raw), hashlib.sha256(raw).hexdigest())
    body = (gzip.decompress(raw) if compress else raw).partition(b"\n")[2]
    texts = [content.replace(b"\r", b"\n") for content in contents]
    assert body == frame(*zip(paths, texts, strict=True))


@pytest.mark.parametrize("compress", [True, False])
def test_gzip_out(master: Master, compress: bool) -> None:
    """Compressed, it holds the same text; the summary bears the name that Ganga gives it."""
    name = "out.txt" if compress else "out.txt.GZ"
    content = b"a\r\n" if compress else gzip.compress(b"a\r\n")
    path = master.put(0, name, content)
    ((output, size, _),) = master.merge(name, compress=compress).files
    assert output == ("out.txt.gz" if compress else name)
    raw = (master.target / output).read_bytes()
    assert size == len(raw)
    assert gzip.decompress(raw).partition(b"\n")[2] == frame((path, b"a\n"))
    assert master.names() == {output, name + SUMMARY}


def test_gzip_in(master: Master, tmp_path: Path) -> None:
    """A compressed input is text again before it is merged."""
    path = master.put(0, "out.txt.gz", gzip.compress(b"a\rb"))
    master.merge("out.txt.gz")
    body = gzip.decompress((master.target / "out.txt.gz").read_bytes()).partition(b"\n")[2]
    assert body == frame((path, b"a\nb"))


def test_two_outputs_of_one_name(master: Master) -> None:
    """A compressed and a plain input that would get one name are refused."""
    master.put(0, "a.txt", b"")
    master.put(0, "a.txt.gz", gzip.compress(b""))
    with pytest.raises(MergeFailed, match="Both"):
        master.merge("a.txt", "a.txt.gz", compress=True)
    assert master.names() == set()


@pytest.mark.parametrize(("share", "good"), [(0.5, True), (0.75, True), (0.8, False), (1.0, False)])
@pytest.mark.parametrize("grown", [False, True])
def test_enough_subjobs(master: Master, share: float, good: bool, grown: bool) -> None:
    """Of 4 one has failed: left out if the rest is enough, also where it had grown before."""
    paths = [master.put(n, "out.txt", b"%d" % n, FAILED if n == 1 else DONE) for n in range(4)]
    order = master.order("out.txt")
    order = replace(order, spec=replace(order.spec, options={"acceptance": share}))
    if grown:
        TextMerger().grow(replace(order, inputs=list(order.inputs)[:2]), 1e9)
    if good:
        TextMerger().run(order)
        three = [(paths[n], b"%d" % n) for n in (0, 2, 3)]
        assert master.body("out.txt") == frame(*three)
        return
    with pytest.raises(MergeFailed) as caught:
        TextMerger().run(order)
    assert str(caught.value) == (
        "Job 42.1 has status failed and so the merge can not continue. This can be overridden "
        "with the ignorefailed flag. 3 of 4 subjobs have completed; [Gangamon] MergeAcceptance "
        f"is {share:g}."
    )
    assert master.names() == set()


@pytest.mark.parametrize("status", [FAILED, KILLED])
def test_a_failed_subjob(master: Master, status: JobStatus) -> None:
    """Ganga's words, and nothing written; with ignorefailed it is left out."""
    path = master.put(0, "out.txt", b"0")
    master.put(1, "out.txt", b"1", status)
    with pytest.raises(MergeFailed) as caught:
        master.merge("out.txt")
    assert str(caught.value) == (
        f"Job 42.1 has status {status.value} and so the merge can not continue. "
        "This can be overridden with the ignorefailed flag."
    )
    assert master.names() == set()
    master.merge("out.txt", ignorefailed=True)
    assert master.body("out.txt") == frame((path, b"0"))


def test_a_running_subjob(master: Master) -> None:
    """A subjob that has not ended stops the merge, also with ignorefailed."""
    master.put(0, "out.txt", b"0", JobStatus.RUNNING)
    with pytest.raises(MergeFailed, match=r"42\.0 is in an unsupported status running"):
        master.merge("out.txt", ignorefailed=True)


def test_a_missing_file(master: Master) -> None:
    """Ganga's words, and nothing written; with ignorefailed it is left out."""
    path = master.put(0, "out.txt", b"0")
    master.put(1, "other.txt", b"1")
    with pytest.raises(MergeFailed) as caught:
        master.merge("out.txt")
    assert str(caught.value) == (
        "The file pattern out.txt in Job 42.1 was not found and so the merge can not continue. "
        "This can be overridden with the ignorefailed flag."
    )
    assert master.names() == set()
    master.merge("out.txt", ignorefailed=True)
    assert master.body("out.txt") == frame((path, b"0"))


def test_an_output_that_is_there(master: Master) -> None:
    """Ganga's words, and none of the outputs written; with overwrite it is replaced."""
    path = master.put(0, "b.txt", b"b")
    master.put(0, "a.txt", b"a")
    master.target.mkdir(exist_ok=True)
    (master.target / "b.txt").write_text("by hand")
    with pytest.raises(MergeFailed) as caught:
        master.merge("a.txt", "b.txt")
    assert str(caught.value) == (
        "The merge process can not continue as it will result in over writing. Either move the "
        f"file {master.target}/b.txt or set the overwrite flag to True."
    )
    assert master.names() == {"b.txt"}
    master.merge("a.txt", "b.txt", overwrite=True)
    assert master.body("b.txt") == frame((path, b"b"))


def test_an_output_that_is_an_input(master: Master) -> None:
    """Ganga's words, and the file stays."""
    path = master.put(0, "out.txt", b"0")
    order = master.order("out.txt", overwrite=True)
    order = MergeOrder(order.fqid, 1, order.spec, str(path.parent), order.inputs)
    with pytest.raises(MergeFailed) as caught:
        TextMerger().run(order)
    assert str(caught.value) == f"Output file {path} equals input file {path}. The merge will fail."
    assert path.read_bytes() == b"0"


@pytest.mark.parametrize(
    "bad", [b"no gzip", gzip.compress(b"x" * 100)[:-9]], ids=["something else", "cut off"]
)
def test_an_input_that_is_no_gzip(master: Master, bad: bytes) -> None:
    """The merge fails for good, says so in the summary as Ganga does, and leaves nothing else."""
    path = master.put(0, "out.txt.gz", bad)
    with pytest.raises(MergeFailed, match="not in gzip format") as caught:
        master.merge("out.txt.gz")
    assert master.names() == {f"out.txt.gz{SUMMARY}"}
    summary = (master.target / f"out.txt.gz{SUMMARY}").read_text()
    assert summary == f"# -- Error in Merge -- #\n\t{caught.value}\n"
    assert str(path) in summary


def test_what_is_no_file(master: Master) -> None:
    """A directory or a broken link that a pattern matches ends the merge, and does not hang it."""
    path = master.put(0, "out/x", b"")
    with pytest.raises(MergeFailed, match="not a regular file"):
        master.merge("out")
    path.unlink()
    path.symlink_to("none")
    with pytest.raises(MergeFailed, match="broken link"):
        master.merge("out/x")


def test_no_pattern_means_our_own_files(master: Master) -> None:
    """Ganga would not find our manifests, so neither do we."""
    master.put(0, ".gangamon-manifest.json", b"{}")
    master.put(0, ".hidden", b"h")
    assert [path for path, _, _ in master.merge(".*").files] == [".hidden"]


def test_brackets_in_a_path_are_letters(tmp_path: Path) -> None:
    """Ganga takes them for a pattern and finds nothing; the files are there."""
    master = Master(tmp_path / "[4]*" / "42")
    path = master.put(0, "out.txt", b"0")
    master.merge("*.txt")
    assert master.body("out.txt") == frame((path, b"0"))


def test_registry() -> None:
    """TextMerger is known; another kind is refused with what is accepted."""
    assert {"CustomMerger", "RootMerger", "SmartMerger", "TextMerger"} <= set(postprocess.kinds())
    assert postprocess.for_kind("TextMerger").kind == "TextMerger"
    with pytest.raises(BadInput, match=r"got 'Oracle'; accepted: .*TextMerger"):
        postprocess.for_kind("Oracle")


def test_each_input_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the usual case, and looked at no more often; a second run finds the same merge."""
    master = Master(tmp_path / "42", made=True)
    parts = [(master.put(sub, "out.txt", b"%d" % sub), b"%d" % sub) for sub in range(3)]
    looks: list[str] = []
    see, take = os.stat, os.open

    def stat(path: Any, *more: Any, **named: Any) -> os.stat_result:
        looks.append(os.fspath(path) if not isinstance(path, int) else "")
        return see(path, *more, **named)

    def opened(path: str, *more: Any) -> int:
        looks.append(path)
        return take(path, *more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stat)
        patch.setattr(os, "open", opened)
        made = master.merge("out.txt")
    assert [look for look in looks if look.endswith("out.txt") and "/42/output/" not in look] == [
        str(path) for path, _ in parts
    ]
    assert master.body("out.txt") == frame(*parts)
    assert master.merge("out.txt") == made


def test_a_pipe_holds_nobody_up(master: Master) -> None:
    master.put(0, "out.txt", b"0")
    path = master.put(1, "out.txt", b"1")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(MergeFailed, match="not a regular file"):
        master.merge("out.txt")
    assert master.names() == set()
