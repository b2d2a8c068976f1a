"""RootMerger and RootFileChecker: contents added up, nothing lost, nothing guessed."""

from __future__ import annotations

import os
import random
import stat
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward
import numpy
import pytest
import uproot
from uproot.writing.identify import to_TAxis, to_TProfile

from gangamon.domain.command import CheckerSpec, MergerSpec
from gangamon.domain.status import JobStatus
from gangamon.errors import (
    CheckFailed,
    CheckImpossible,
    DiskFull,
    LeftToSession,
    MergeFailed,
)
from gangamon.postprocess import segments
from gangamon.postprocess.root import RootFileChecker, RootMerger, merger
from gangamon.protocols import CheckOrder, CodeLimits, Manifest, MergeOrder

DONE = JobStatus.COMPLETED
BRANCHES = {
    "run": "i4", "n": "i4", "x": "var * float32", "y": "var * int64", "flag": "?",
    "v": numpy.dtype(("f8", (3,))), "big": "u8",
}  # fmt: skip


def rows(draw: random.Random, number: int) -> dict[str, Any]:
    """So many entries of BRANCHES."""
    made = numpy.random.default_rng(draw.getrandbits(32))
    counts = made.integers(0, 4, number).astype("i4")
    total = int(counts.sum())
    return {
        "run": made.integers(-9, 9, number).astype("i4"),
        "n": counts,
        "x": awkward.unflatten(made.random(total).astype("f4"), counts),
        "y": awkward.unflatten(made.integers(-9, 9, total), counts),
        "flag": made.random(number) > 0.5,
        "v": made.random((number, 3)),
        "big": made.integers(0, 2**63, number).astype("u8"),
    }


def profile(made: Any) -> Any:
    """A TProfile that was filled so often."""
    entries = made.integers(0, 5, 6).astype("f8")
    return to_TProfile(
        "p", "a profile", entries * 2.5, *[float(v) for v in made.random(7)],
        entries * 7.5, entries, numpy.array([]), to_TAxis("xaxis", "", 4, 0.0, 1.0),
    )  # fmt: skip


def write(path: Path, draw: random.Random, entries: int) -> None:
    """Trees and histograms, some of them in directories."""
    made = numpy.random.default_rng(draw.getrandbits(32))
    path.parent.mkdir(parents=True, exist_ok=True)
    with uproot.recreate(path, compression=uproot.LZ4(4)) as file:
        for name in ("events", "a/b/deep"):
            tree = file.mktree(name, BRANCHES, title="its title", counter_name=lambda _: "n")
            for _ in range(2):
                tree.extend(rows(draw, entries))
        file["h1"] = numpy.histogram(made.random(50), 10, (0, 1))
        file["a/h2"] = numpy.histogram2d(made.random(50), made.random(50), 4, [(0, 1), (0, 1)])
        file["prof"] = profile(made)
        file.mkdir("empty")


class Job:
    """A master and its subjobs, with one ROOT file each."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.target = root / "42" / "output"
        self.paths: list[Path] = []
        self.attempts: list[int] = []

    def put(self, seed: int = 0, entries: int = 20) -> Path:
        path = self.root / "42" / str(len(self.paths)) / "output" / "out.root"
        write(path, random.Random(seed or len(self.paths) + 1), entries)
        self.paths.append(path)
        self.attempts.append(1)
        return path

    @property
    def inputs(self) -> list[tuple[str, JobStatus, str]]:
        return [(f"42.{n}", DONE, str(path.parent)) for n, path in enumerate(self.paths)]

    def merge(self, **options: Any) -> Manifest:
        return self.merger().run(self.order(**options))

    def grow(self, subs: int, seconds: float = 1e9) -> bool:
        """While the others still run."""
        order = self.order()
        first = replace(order, inputs=order.inputs[:subs], fences=order.fences[:subs])
        return self.merger().grow(first, seconds)

    def merger(self) -> RootMerger:
        made = RootMerger()
        made.limits = CodeLimits(300)
        return made

    def order(self, **options: Any) -> MergeOrder:
        self.target.parent.mkdir(exist_ok=True)
        spec = MergerSpec("RootMerger", ("out.root",), options=options)
        fences = [f"{attempt}.0" for attempt in self.attempts]
        return MergeOrder("42", 1, spec, str(self.target), self.inputs, fences)

    def again(self, sub: int, seed: int, entries: int) -> None:
        """It is resubmitted, and writes something else."""
        write(self.paths[sub], random.Random(seed), entries)
        self.attempts[sub] += 1

    def check(self, sub: int | None = None, *files: str, **fields: Any) -> None:
        options = {"checkMerge": fields.pop("checkMerge", True)}
        spec = CheckerSpec("RootFileChecker", files or ("out.root",), (), options=options, **fields)
        output = self.target if sub is None else self.paths[sub].parent
        fqid = "42" if sub is None else f"42.{sub}"
        subjobs = self.inputs if sub is None else []
        RootFileChecker().check(CheckOrder(fqid, spec, str(output), "", subjobs))


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Without a hadd, wherever this runs."""
    bare = tmp_path / "bin"
    bare.mkdir()
    monkeypatch.setenv("PATH", str(bare))
    return Job(tmp_path)


def content(path: Path) -> dict[str, Any]:
    """All that is in a file, as plain lists, read by uproot alone."""
    found: dict[str, Any] = {}
    with uproot.open({str(path): None}) as file:
        for name, kind in file.classnames(recursive=True, cycle=False).items():
            thing = file[name]
            if kind == "TTree":
                found[name] = {b.name: b.array().tolist() for b in thing.branches}
                found[f"{name} title"] = thing.title
            elif kind.startswith(("TH", "TProfile")):
                found[name] = {
                    "entries": thing.member("fEntries"),
                    "sums": [thing.member(m) for m in ("fTsumw", "fTsumw2", "fTsumwx", "fTsumwx2")],
                    "bins": numpy.asarray(thing.values(flow=True)).tolist(),
                    "errors": numpy.asarray(thing.errors(flow=True)).tolist(),
                    "edges": [axis.edges().tolist() for axis in thing.axes],
                }
            else:
                found[name] = kind
    return found


def test_contents_add_up(job: Job) -> None:
    """Trees one behind the other in the order of the subjobs, bins and statistics summed."""
    for entries in (20, 0, 7, 13):
        job.put(entries=entries)
    done = job.merge()
    assert [name for name, _, _ in done.files] == ["out.root", "out.root.hadd_output"]
    parts = [content(path) for path in job.paths]
    merged = content(job.target / "out.root")
    assert set(merged) == set(parts[0])
    for tree in ("events", "a/b/deep"):
        assert list(merged[tree]) == list(BRANCHES)
        for branch in BRANCHES:
            wanted = [entry for p in parts for entry in p[tree][branch]]
            assert merged[tree][branch] == wanted, branch
        assert merged[f"{tree} title"] == "its title"
    for name in ("h1", "a/h2"):
        for field in ("entries", "sums", "bins"):
            wanted = sum(numpy.asarray(p[name][field]) for p in parts)
            assert numpy.allclose(merged[name][field], wanted, rtol=1e-12), (name, field)
        assert merged[name]["edges"] == parts[0][name]["edges"]
        variances = sum(numpy.asarray(p[name]["errors"]) ** 2 for p in parts)
        assert numpy.allclose(numpy.asarray(merged[name]["errors"]) ** 2, variances, rtol=1e-12)
    assert merged["prof"]["entries"] == sum(p["prof"]["entries"] for p in parts)
    with uproot.open(job.target / "out.root") as file:
        assert file.file.compression == uproot.LZ4(4)
        bins = [uproot.open(p)["prof"].member("fBinEntries")._data.tolist() for p in job.paths]
        assert file["prof"].member("fBinEntries")._data.tolist() == numpy.sum(bins, axis=0).tolist()


def test_many_small_files_are_few_baskets(job: Job) -> None:
    """What is read is kept until there is enough of it: a basket for each file would be slow for
    whoever reads the result."""
    for _ in range(30):
        job.put(seed=5, entries=3)
    job.merge()
    with uproot.open(job.target / "out.root") as file:
        assert file["events"].num_entries == 30 * 6
        assert file["events"]["run"].num_baskets == 1


@pytest.mark.parametrize("kind", ["string", "bins", "branches", "strings", "counter"])
def test_what_uproot_cannot_write_as_it_is_is_left_to_ganga(job: Job, kind: str) -> None:
    """Nothing is dropped, and nothing is shown."""
    job.put()
    with uproot.update(job.put()) as file:
        if kind == "string":
            file["meta"] = "some text"
        elif kind == "strings":
            file.mktree("more", {"s": "string"}).extend({"s": awkward.Array(["a", "bc"])})
        elif kind == "counter":
            file.mktree("more", {"z": "var * int32"}, counter_name=lambda _: "k").extend(
                {"z": awkward.Array([[1], []])}
            )
    if kind == "counter":  # a tree that only one file has, which can be written, is taken
        job.merge()
        assert content(job.target / "out.root")["more"] == {"k": [1, 0], "z": [[1], []]}
        return
    if kind in ("bins", "branches"):
        with uproot.recreate(job.paths[1]) as file:
            file["h1"] = numpy.histogram([0.5], 11, (0, 1))
            file.mktree("events", {"run": "i8" if kind == "branches" else "i4"})
    with pytest.raises(LeftToSession):
        job.merge()
    assert not job.target.exists() or set(os.listdir(job.target)) == set()


def test_a_damaged_file_is_named_and_left_to_ganga(job: Job) -> None:
    """Cut off in its middle: ROOT may make more of it. Nothing half merged is shown."""
    job.put()
    path = job.put()
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(LeftToSession, match=f"{path}"):
        job.merge()
    assert os.listdir(job.target) == []


def test_without_hadd_its_arguments_are_for_ganga(job: Job) -> None:
    """They may mean anything."""
    job.put()
    with pytest.raises(LeftToSession, match="'-O'"):
        job.merge(args="-O")


HADD = f"""#!{sys.executable}
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
options = [w for w in sys.argv[1:] if w.startswith("-")]
output, *inputs = [w for w in sys.argv[1:] if not w.startswith("-")]
if inputs[0].startswith("@"):
    inputs = open(inputs[0][1:]).read().splitlines()
    print("listed")
print("hadd", *options, len(inputs), "inputs")
if "-bad" in options:
    open(output, "w").write("half")
    sys.exit("hadd error in the middle")
from gangamon.postprocess.root.merger import by_uproot
by_uproot(inputs, output + ".part")
os.rename(output + ".part", output)
os.unlink(output + ".part.hadd_output")
"""


@pytest.fixture
def hadd(job: Job) -> None:
    """A program of that name on the worker's PATH."""
    path = Path(os.environ["PATH"]) / "hadd"
    path.write_text(HADD)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.usefixtures("hadd")
def test_hadd_is_used_where_it_is(job: Job) -> None:
    """With the user's arguments and Ganga's -f, its output kept where Ganga keeps it."""
    for _ in range(3):
        job.put()
    job.merge(args="-k 'a b'".replace(" 'a b'", " -O"))
    said = (job.target / "out.root.hadd_output").read_text()
    assert said == "# -- Hadd output -- #\nhadd -k -O -f 3 inputs\n"
    assert len(content(job.target / "out.root")["events"]["run"]) == 3 * 40


@pytest.mark.usefixtures("hadd")
def test_very_many_files_are_given_to_hadd_in_a_file(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command line has its bounds."""
    monkeypatch.setattr(merger, "_MOST_WORDS", 100)
    for _ in range(3):
        job.put()
    job.merge()
    assert set(os.listdir(job.target)) == {
        "out.root", "out.root.hadd_output", "out.root.merge_summary", ".gangamon-merge.json"
    }  # fmt: skip
    said = (job.target / "out.root.hadd_output").read_text()
    assert said.endswith("\nlisted\nhadd -f 3 inputs\n")


@pytest.mark.usefixtures("hadd")
def test_a_failing_hadd_fails_the_merge_in_its_words(job: Job) -> None:
    """What it said comes back, what it wrote does not."""
    job.put()
    with pytest.raises(MergeFailed, match=r"(?s)exit code 1.*hadd error in the middle"):
        job.merge(args="-bad")
    assert set(os.listdir(job.target)) == {"out.root.merge_summary"}


def test_a_good_merge_passes_the_checker(job: Job) -> None:
    """Subjobs and master."""
    for _ in range(3):
        job.put()
    job.merge()
    job.check()
    for sub in range(3):
        job.check(sub)


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "no keys"])
def test_what_root_cannot_use_fails(job: Job, damage: str) -> None:
    """A zombie, or nothing in it."""
    path = job.put()
    if damage == "no keys":
        uproot.recreate(path).close()
    else:
        path.write_bytes({"cut": path.read_bytes()[:700], "text": b"text", "empty": b""}[damage])
    with pytest.raises(CheckFailed, match="has no keys" if damage == "no keys" else "is a zombie"):
        job.check(0)


def merged(job: Job) -> Path:
    for _ in range(3):
        job.put()
    job.merge()
    return job.target / "out.root"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("one twice", "Sum of subjob tree entries is not the same"),
        ("a tree less", "File structure of subjob 42.0 is not the same"),
        ("a branch less", "The tree structure of subjob 42.0 is not the same"),
        ("hadd said", 'the string "Skipped file" was found'),
    ],
)
def test_a_merge_that_lost_something_fails(job: Job, change: str, said: str) -> None:
    """By entries, trees, branches, or hadd's own word."""
    path = merged(job)
    if change == "one twice":
        with uproot.update(job.paths[1]) as file:
            tree = file.mktree("events", BRANCHES, counter_name=lambda _: "n")
            tree.extend(rows(random.Random(1), 41))
    elif change == "hadd said":
        with open(f"{path}.hadd_output", "a") as log:
            log.write("Skipped file x\n")
    else:
        branches = {"run": "i4"}
        with uproot.recreate(path) as file:
            for name in ["events"] if change == "a tree less" else ["events", "a/b/deep"]:
                file.mktree(name, branches).extend({"run": numpy.arange(120, dtype="i4")})
    with pytest.raises(CheckFailed) as caught:
        job.check()
    assert said in str(caught.value)
    job.check(checkMerge=False)


def test_without_hadds_word_the_merge_is_not_compared(job: Job) -> None:
    """As in Ganga: a merge by something else."""
    path = merged(job)
    Path(f"{path}.hadd_output").unlink()
    write(path, random.Random(99), 1)
    job.check()


def test_files_that_are_not_there(job: Job) -> None:
    """Missing fails, or, if that is allowed, says nothing."""
    job.put()
    with pytest.raises(CheckFailed, match=r"no\.root does not exist, RootFileChecker will fail"):
        job.check(0, "no.root")
    with pytest.raises(CheckImpossible, match="None of the files to check exist"):
        job.check(0, "no.root", files_must_exist=False)
    (job.paths[0].parent / "out.txt").write_text("x")
    with pytest.raises(CheckImpossible, match=r'"out\.txt" is not a ROOT file'):
        job.check(0, "out.txt")


def same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Trees to the last bit, sums but for the order in which they were added."""
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        if not isinstance(value, dict) or "bins" not in value:
            assert found[name] == value, name
            continue
        for field, numbers in value.items():
            assert numpy.allclose(found[name][field], numbers, rtol=1e-9), (name, field)


@pytest.mark.parametrize(
    ("tool", "seed"), [("uproot", 1), ("uproot", 2), ("uproot", 3), ("hadd", 4), ("hadd", 5)]
)
def test_merged_while_jobs_run(
    job: Job, seed: int, tool: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever had grown, and whoever ran anew since: what a merge at the end would have made."""
    if tool == "hadd":
        request.getfixturevalue("hadd")
    draw = random.Random(seed)
    monkeypatch.setattr(segments, "SPAN", draw.randint(2, 3))
    for _ in range(draw.randint(3, 7)):
        job.put(draw.getrandbits(30), draw.randint(0, 9))
    for subs in sorted(draw.randint(1, len(job.paths)) for _ in range(2)):
        while job.grow(subs, 0.0):
            pass
        job.again(draw.randrange(len(job.paths)), draw.getrandbits(30), draw.randint(0, 9))
    assert all(name.startswith(".gangamon-grow-") for name in os.listdir(job.target))
    job.merge()
    grown = content(job.target / "out.root")
    said = (job.target / "out.root.hadd_output").read_text()
    assert said.count("# -- Hadd output -- #") == 1
    job.check()
    assert {n for n in os.listdir(job.target) if n.startswith(".")} == {".gangamon-merge.json"}
    for name in os.listdir(job.target):
        (job.target / name).unlink()
    job.merge()
    same(grown, content(job.target / "out.root"))
    entries = sum(len(content(path)["events"]["run"]) for path in job.paths)
    assert len(grown["events"]["run"]) == entries


def test_one_run_anew_redoes_its_segment_only(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what hadd had said of the others is kept."""
    monkeypatch.setattr(segments, "SPAN", 2)
    for _ in range(4):
        job.put(entries=2)
    job.grow(4)
    before = set(os.listdir(job.target))
    job.again(3, 99, 5)
    job.grow(4)
    after = set(os.listdir(job.target))
    assert (len(before), len(after), len(before & after)) == (2, 2, 1)
    job.merge()
    said = (job.target / "out.root.hadd_output").read_text()
    assert all(f"Source file {1 + n % 2}: {path}\n" in said for n, path in enumerate(job.paths))
    assert len(content(job.target / "out.root")["events"]["run"]) == 3 * 4 + 10


def test_what_cannot_be_merged_does_not_grow(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end says so, and nothing is left."""
    monkeypatch.setattr(segments, "SPAN", 2)
    for _ in range(3):
        job.put(entries=1)
    job.paths[1].write_bytes(b"text")
    assert job.grow(3) is False
    assert os.listdir(job.target) == []
    with pytest.raises(LeftToSession):
        job.merge()
    assert os.listdir(job.target) == []


def test_no_room_while_it_grows(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has grown goes, so that the jobs have the room."""
    monkeypatch.setattr(segments, "SPAN", 2)
    for _ in range(4):
        job.put(entries=1)
    job.grow(2)
    assert len(os.listdir(job.target)) == 1

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(merger._Merged, "add", full)
    with pytest.raises(DiskFull):
        job.grow(4)
    assert os.listdir(job.target) == []
