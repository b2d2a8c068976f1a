"""TextMerger: Ganga's bytes, Ganga's refusals, and nothing half-done."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangamon import postprocess
from gangamon.domain.status import JobStatus
from gangamon.errors import BadInput, DiskFull, MergeFailed, TransientError
from gangamon.postprocess import manifest, text
from gangamon.postprocess.text import TextMerger
from gangamon.protocols import Manifest, MergeOrder
from gangamon.testing.conformance import snapshot
from gangamon.testing.factories import merge_order

DONE, FAILED, KILLED = JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.KILLED
SUMMARY = ".merge_summary"


class Master:
    """A master job's workspace with the outputs of its subjobs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.target = root / "output"
        self.status: dict[int, JobStatus] = {}

    def put(self, sub: int, name: str, content: bytes, status: JobStatus = DONE) -> Path:
        path = self.root / str(sub) / "output" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.status[sub] = status
        return path

    def order(self, *files: str, attempt: int = 1, **flags: bool) -> MergeOrder:
        inputs = [
            (f"42.{sub}", self.status[sub], str(self.root / str(sub) / "output"))
            for sub in sorted(self.status)
        ]
        order = merge_order(str(self.target), inputs, *files, **flags)
        return MergeOrder(order.fqid, attempt, order.spec, order.target, inputs)

    def merge(self, *files: str, **given: Any) -> Manifest:
        return TextMerger().run(self.order(*files, **given))

    def body(self, name: str) -> bytes:
        """An output without its first line, which must be Ganga's but for the time."""
        first, _, rest = (self.target / name).read_bytes().partition(b"\n")
        assert first.startswith(b"# Ganga TextMergeTool - ") and first.endswith(b" #")
        return rest

    def names(self) -> set[str]:
        """All there is in the target, our manifest aside."""
        return set(snapshot(str(self.target))) - {".gangamon-merge.json"}


@pytest.fixture
def master(tmp_path: Path) -> Master:
    return Master(tmp_path / "42")


def frame(*inputs: tuple[Path, bytes]) -> bytes:
    """The body that Ganga writes (Lib/Mergers/Merger.py, 8.7.12)."""
    parts = [b"# Start of file %s #\n%s\n" % (os.fsencode(p), content) for p, content in inputs]
    return b"".join(parts) + b"# Ganga Merge Ended Successfully #\n"


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
    assert b"".join(text.translated(Slow(data))) == expected.encode("latin-1")


def test_line_ends_across_chunks(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    """The translation holds in the merged file, at the edges of what is read at once."""
    monkeypatch.setattr(text, "_CHUNK", 2)
    path = master.put(0, "out.txt", b"a\r\nb\rc\r\r\n\nd\r")
    master.merge("out.txt")
    assert master.body("out.txt") == frame((path, b"a\nb\nc\n\n\nd\n"))


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
    assert not master.target.exists()


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
    assert not master.target.exists()
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
    assert not master.target.exists()
    master.merge("out.txt", ignorefailed=True)
    assert master.body("out.txt") == frame((path, b"0"))


def test_an_output_that_is_there(master: Master) -> None:
    """Ganga's words, and none of the outputs written; with overwrite it is replaced."""
    path = master.put(0, "b.txt", b"b")
    master.put(0, "a.txt", b"a")
    master.target.mkdir()
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


@pytest.mark.parametrize("bad", [b"no gzip", gzip.compress(b"x" * 100)[:-9]])
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


def test_nothing_to_merge(master: Master) -> None:
    """All subjobs ignored: no output, success, and check finds nothing wrong."""
    master.put(0, "out.txt", b"", FAILED)
    assert master.merge("out.txt", ignorefailed=True) == Manifest(())
    assert master.names() == set()
    assert postprocess.verify(str(master.target)) == []


def test_twice_changes_nothing(master: Master) -> None:
    """A second run returns what the first made, without overwrite, and touches no file."""
    master.put(0, "out.txt", b"0")
    first = master.merge("out.txt")
    before = snapshot(str(master.target))
    assert master.merge("out.txt") == first
    assert snapshot(str(master.target)) == before


def test_other_inputs_are_another_merge(master: Master) -> None:
    """After a resubmission the old result is not passed off as the new one."""
    path = master.put(0, "out.txt", b"0")
    master.merge("out.txt")
    path.write_bytes(b"new")
    with pytest.raises(MergeFailed, match="over writing"):
        master.merge("out.txt")
    with pytest.raises(MergeFailed, match="over writing"):
        master.merge("out.txt", attempt=2)
    master.merge("out.txt", attempt=2, overwrite=True)
    assert master.body("out.txt") == frame((path, b"new"))


def test_a_crash_between_two_outputs(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the first output got its name, the next run makes the second, and does not
    take the first for a stranger's."""
    a, b = master.put(0, "a.txt", b"a"), master.put(0, "b.txt", b"b")
    replace: Callable[[str, str], None] = os.replace

    def die(source: str, target: str) -> None:
        if target.endswith("/b.txt"):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        master.merge("a.txt", "b.txt")
    monkeypatch.undo()
    before = snapshot(str(master.target))["a.txt"]
    assert postprocess.verify(str(master.target)) == [f"{master.target}/b.txt: missing"]
    assert len(master.merge("a.txt", "b.txt").files) == 2
    assert snapshot(str(master.target))["a.txt"] == before
    assert master.body("a.txt") == frame((a, b"a"))
    assert master.body("b.txt") == frame((b, b"b"))
    assert postprocess.verify(str(master.target)) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk(master: Master, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """DiskFull, whenever it happens, and nothing stays behind."""
    for sub in range(2):
        master.put(sub, "out.txt", b"0")
    write: Callable[..., int] = text._Sink.write
    for survived in range(6):
        left = iter([True] * survived)

        def full(sink: Any, data: bytes, left: Any = left) -> int:
            if next(left, False):
                return write(sink, data)
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(text._Sink, "write", full)
        with pytest.raises(DiskFull):
            master.merge("out.txt")
        assert snapshot(str(master.target)) == {}


def test_another_error_of_the_disk_may_pass(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EIO and the like are tried again, and nothing stays behind."""
    master.put(0, "out.txt", b"0")

    def broken(file: object) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(manifest, "settle", broken)
    with pytest.raises(TransientError, match="broken"):
        master.merge("out.txt")
    assert snapshot(str(master.target)) == {}


def test_an_unmounted_home_is_no_missing_file(master: Master) -> None:
    """Without the master's own directory it is tried again, and ignorefailed hides nothing."""
    master.put(0, "out.txt", b"0")
    order = master.order("out.txt", ignorefailed=True)
    master.root.rename(master.root.with_name("away"))
    with pytest.raises(TransientError, match="mounted"):
        TextMerger().run(order)


def test_a_process_that_was_killed(master: Master) -> None:
    """Its temporary is removed by the next merge; that of a living process is not."""
    master.put(0, "out.txt", b"0")
    master.target.mkdir()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = socket.gethostname()
    names = [f".gangamon-tmp-{pid}-00-{host}" for pid in (dead.pid, os.getpid())]
    for name in names:
        (master.target / name).write_text("half")
    foreign = master.target / f".gangamon-tmp-{dead.pid}-00-other-host"
    foreign.write_text("half")
    master.merge("out.txt")
    assert names[0] not in master.names()
    assert {names[1], foreign.name} < master.names()


def test_memory_is_bounded(master: Master) -> None:
    """A big input is not read whole: 64 MB are merged within 24 MB more than before."""
    path = master.put(0, "out.txt", b"")
    with open(path, "wb") as file:
        for _ in range(64):
            file.write(b"a\r\n" * 349_525 + b"\r")
    code = (
        "import resource, sys\n"
        "from gangamon.testing.factories import merge_order\n"
        "from gangamon.domain.status import JobStatus\n"
        "from gangamon.postprocess.text import TextMerger\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "inputs = [('42.0', JobStatus.COMPLETED, sys.argv[1])]\n"
        "TextMerger().run(merge_order(sys.argv[2], inputs, 'out.txt'))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    asked = [sys.executable, "-c", code, str(path.parent), str(master.target)]
    grown = int(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
    assert grown < 24 * 1024


def test_verify_finds_every_fault(master: Master) -> None:
    """Another size, another content and a missing file are told, each with its path."""
    for name in ("a", "b", "c", "d"):
        master.put(0, name, b"0")
    master.merge("a", "b")
    master.merge("c", "d")
    assert postprocess.verify(str(master.target)) == []
    with open(master.target / "a", "ab") as file:
        file.write(b"more")
    content = (master.target / "b").read_bytes()
    (master.target / "b").write_bytes(content.replace(b"0\n", b"1\n"))
    (master.target / "c").unlink()
    faults = postprocess.verify(str(master.target))
    assert [fault.partition(": ")[0] for fault in faults] == [
        f"{master.target}/{name}" for name in ("a", "b", "c")
    ]
    assert "bytes" in faults[0] and "checksum" in faults[1] and "missing" in faults[2]


def test_verify_without_a_manifest(master: Master) -> None:
    """Where nothing was merged, or the manifest is damaged, that is the fault."""
    master.put(0, "a", b"0")
    (fault,) = postprocess.verify(str(master.target))
    assert "no manifest" in fault
    master.merge("a")
    (master.target / ".gangamon-merge.json").write_text("{")
    assert len(postprocess.verify(str(master.target))) == 1


def test_the_manifest_names_the_attempt(master: Master) -> None:
    """Merges of one attempt stand together; those of an earlier one are forgotten."""
    master.put(0, "a", b"0")
    master.put(0, "b", b"0")
    master.merge("a", attempt=1)
    master.merge("b", attempt=2)
    body = json.loads((master.target / ".gangamon-merge.json").read_text())
    assert body["attempt"] == 2
    assert [entry["spec"][1] for entry in body["merges"]] == [["b"]]


def test_registry() -> None:
    """TextMerger is known; another kind is refused with what is accepted."""
    assert postprocess.kinds() == ("TextMerger",)
    assert postprocess.for_kind("TextMerger").kind == "TextMerger"
    with pytest.raises(BadInput, match="got 'RootMerger'; accepted: TextMerger"):
        postprocess.for_kind("RootMerger")
