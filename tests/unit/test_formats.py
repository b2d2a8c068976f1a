"""Mergers of data formats: contents put together, in segments too, and nothing lost in silence."""

from __future__ import annotations

import csv
import json
import os
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gangamon import postprocess
from gangamon.domain.command import MergerSpec
from gangamon.domain.status import JobStatus
from gangamon.errors import MergeFailed
from gangamon.postprocess import segments
from gangamon.postprocess.smart import SmartMerger
from gangamon.protocols import Growing, MergeOrder
from gangamon.testing.conformance import snapshot

DONE = JobStatus.COMPLETED

#: How each format writes rows (whole numbers and texts), and reads them again.
Rows = list[tuple[int, str]]


def _csv(path: Path, rows: Rows) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("number", "the text"), *rows])


def _from_csv(path: Path) -> Rows:
    with path.open(newline="") as file:
        return [(int(a), b) for a, b in list(csv.reader(file))[1:]]


def _jsonl(path: Path, rows: Rows) -> None:
    path.write_text("\n".join(json.dumps(row) for row in rows))


def _from_jsonl(path: Path) -> Rows:
    return [(a, b) for a, b in map(json.loads, path.read_text().splitlines())]


def _array(rows: Rows) -> Any:
    return numpy.array([(a, b) for a, b in rows], dtype=[("a", "i8"), ("b", "U9")])


def _npy(path: Path, rows: Rows) -> None:
    numpy.save(path, _array(rows))


def _from_npy(path: Path) -> Rows:
    return [(int(a), str(b)) for a, b in numpy.load(path)]


def _npz(path: Path, rows: Rows) -> None:
    two = numpy.asfortranarray([[a, a + 1] for a, _ in rows] or numpy.zeros((0, 2), "i8"))
    numpy.savez_compressed(path, texts=numpy.array([b for _, b in rows], "U9"), two=two)


def _from_npz(path: Path) -> Rows:
    with numpy.load(path) as found:
        assert (found["two"][:, 0] + 1 == found["two"][:, 1]).all()
        return [(int(a), str(b)) for a, b in zip(found["two"][:, 0], found["texts"], strict=True)]


def _parquet(path: Path, rows: Rows) -> None:
    kinds = pyarrow.schema([("a", pyarrow.int64()), ("b", pyarrow.string())])
    columns = [pyarrow.array([row[n] for row in rows], kinds[n].type) for n in range(2)]
    parquet.write_table(pyarrow.table(columns, schema=kinds), path)


def _from_parquet(path: Path) -> Rows:
    table = parquet.read_table(path).to_pydict()
    return list(zip(table["a"], table["b"], strict=True))


FORMATS: dict[str, tuple[Callable[[Path, Rows], None], Callable[[Path], Rows]]] = {
    "csv": (_csv, _from_csv),
    "jsonl": (_jsonl, _from_jsonl),
    "npy": (_npy, _from_npy),
    "npz": (_npz, _from_npz),
    "parquet": (_parquet, _from_parquet),
}


def order_of(root: Path, name: str, subs: int, fences: list[str] | None = None) -> MergeOrder:
    """As a SmartMerger's part of this file."""
    kind = postprocess.for_extension(name.rpartition(".")[2])
    spec = MergerSpec("SmartMerger", (name,), parts=(MergerSpec(kind, (name,)),))
    inputs = [(f"42.{n}", DONE, str(root / str(n) / "output")) for n in range(subs)]
    return MergeOrder("42", 1, spec, str(root / "output"), inputs, fences or ["1.0"] * subs)


def put(root: Path, sub: int, name: str) -> Path:
    path = root / str(sub) / "output" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


TEXTS = st.text("abc,\"'\n é", max_size=9).filter(lambda text: "\n" not in text)
ROWS = st.lists(st.tuples(st.integers(-(2**40), 2**40), TEXTS), max_size=4)


@pytest.mark.parametrize("extension", FORMATS)
def test_rows_add_up(extension: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the subjobs, whatever was merged while they ran, one of them run anew."""
    monkeypatch.setattr(segments, "SPAN", 3)
    write, read = FORMATS[extension]
    count = 0

    @settings(max_examples=25, deadline=None)
    @given(st.lists(ROWS, min_size=1, max_size=8), st.integers(0, 8), st.integers(0, 7), ROWS)
    def story(parts: list[Rows], grown: int, anew: int, other: Rows) -> None:
        nonlocal count
        count += 1
        root, name = tmp_path / str(count), f"data.{extension}"
        for sub, rows in enumerate(parts):
            write(put(root, sub, name), rows)
        fences = ["1.0"] * len(parts)
        while SmartMerger().grow(order_of(root, name, min(grown, len(parts))), 0.0):
            pass
        assert all(name.startswith(".gangamon-") for name in snapshot(str(root / "output")))
        if anew < len(parts):
            parts[anew], fences[anew] = other, "2.0"
            write(put(root, anew, name), other)
        SmartMerger().run(order_of(root, name, len(parts), fences))
        assert read(root / "output" / name) == [row for rows in parts for row in rows]
        left = {name for name in os.listdir(root / "output") if name.startswith(".")}
        assert left == {".gangamon-merge.json"}

    story()
    assert count >= 25


@pytest.mark.parametrize("extension", FORMATS)
def test_only_the_segment_of_a_resubmitted_subjob_is_made_anew(
    extension: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others stay as they are; what another process has made is known again."""
    monkeypatch.setattr(segments, "SPAN", 2)
    name = f"data.{extension}"
    for sub in range(6):
        FORMATS[extension][0](put(tmp_path, sub, name), [(sub, "x")])
    merger = SmartMerger()
    assert isinstance(merger, Growing)
    merger.grow(order_of(tmp_path, name, 6), 1e9)
    before = snapshot(str(tmp_path / "output"))
    assert len(before) == 3
    merger.grow(order_of(tmp_path, name, 6, ["1.0"] * 3 + ["2.0"] + ["1.0"] * 2), 1e9)
    after = snapshot(str(tmp_path / "output"))
    assert len(after) == 3
    assert len(before.items() & after.items()) == 2


def test_a_slice_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One segment, if there is no time; the next goes on."""
    monkeypatch.setattr(segments, "SPAN", 2)
    for sub in range(5):
        _csv(put(tmp_path, sub, "a.csv"), [(sub, "")])
    order = order_of(tmp_path, "a.csv", 5)
    part = replace(order, spec=order.spec.parts[0])
    merger = postprocess.for_kind("CsvMerger")
    assert isinstance(merger, Growing)
    assert merger.grow(part, 0.0) is True
    assert len(os.listdir(tmp_path / "output")) == 1
    assert merger.grow(part, 0.0) is False  # the fifth waits for its neighbours
    assert len(os.listdir(tmp_path / "output")) == 2


def refused(root: Path, name: str, subs: int = 2) -> str:
    with pytest.raises(MergeFailed) as caught:
        SmartMerger().run(order_of(root, name, subs))
    assert all(made.endswith(".merge_summary") for made in os.listdir(root / "output"))
    return str(caught.value)


def test_what_does_not_fit_together_is_refused(tmp_path: Path) -> None:
    """By name, and nothing is shown."""
    put(tmp_path, 0, "a.csv").write_text("x,y\n1,2\n")
    put(tmp_path, 1, "a.csv").write_text("x,z\n1,2\n")
    assert str(tmp_path / "1/output/a.csv") in refused(tmp_path, "a.csv")
    put(tmp_path, 0, "a.jsonl").write_text("1\n")
    put(tmp_path, 1, "a.jsonl").write_text('1\n{"cut": ')
    assert str(tmp_path / "1/output/a.jsonl") in refused(tmp_path, "a.jsonl")
    numpy.save(put(tmp_path, 0, "a.npy"), numpy.zeros((2, 3)))
    numpy.save(put(tmp_path, 1, "a.npy"), numpy.zeros((2, 4)))
    assert "<f8[2, 4]" in refused(tmp_path, "a.npy")
    numpy.save(put(tmp_path, 1, "a.npy"), numpy.array([{}]), allow_pickle=True)
    assert "Python objects" in refused(tmp_path, "a.npy")
    put(tmp_path, 1, "a.npy").write_bytes(b"no array")
    assert str(tmp_path / "1/output/a.npy") in refused(tmp_path, "a.npy")
    numpy.savez(put(tmp_path, 0, "a.npz"), x=numpy.zeros(1))
    numpy.savez(put(tmp_path, 1, "a.npz"), y=numpy.zeros(1))
    assert "y.npy" in refused(tmp_path, "a.npz")
    for sub, kind in enumerate(("int32", "int64")):
        table = pyarrow.table({"x": pyarrow.array([1], kind)})
        parquet.write_table(table, put(tmp_path, sub, "a.parquet"))
    assert "x: int64" in refused(tmp_path, "a.parquet")
    put(tmp_path, 1, "a.parquet").write_bytes(b"PAR1 cut")
    assert str(tmp_path / "1/output/a.parquet") in refused(tmp_path, "a.parquet")


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        (["1,2\n", "1,2\n"], "1,2\n1,2\n"),  # numbers are no header
        (["", "a,b\r\n1,2", "a,b\n", "\ufeffa,b\n3,4\n"], "a,b\r\n1,2\n3,4\n"),
        (['"two\nlines",b\n1,2\n', '"two\nlines",b\n3,4\n'], '"two\nlines",b\n1,2\n3,4\n'),
    ],
)
def test_headers(files: list[str], wanted: str, tmp_path: Path) -> None:
    """Once; a mark of the encoding, empty files, line ends within and at the end."""
    for sub, text in enumerate(files):
        put(tmp_path, sub, "a.csv").write_bytes(text.encode())
    SmartMerger().run(order_of(tmp_path, "a.csv", len(files)))
    assert (tmp_path / "output" / "a.csv").read_bytes() == wanted.encode()


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install is said."""
    _parquet(put(tmp_path, 0, "a.parquet"), [])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "extra `formats`" in refused(tmp_path, "a.parquet", 1)


def test_large_rows_stay_few_groups(tmp_path: Path) -> None:
    """Many small files do not make many small row groups."""
    draw = random.Random(1)
    for sub in range(20):
        _parquet(put(tmp_path, sub, "a.parquet"), [(draw.randrange(9), "x")] * 50)
    SmartMerger().run(order_of(tmp_path, "a.parquet", 20))
    with parquet.ParquetFile(tmp_path / "output" / "a.parquet") as made:
        assert (made.metadata.num_rows, made.metadata.num_row_groups) == (1000, 1)


def test_nothing_knows_an_unknown_extension() -> None:
    assert postprocess.for_extension("xyz") == ""
    assert {postprocess.for_extension(e) for e in FORMATS} == {
        "CsvMerger", "JsonLinesMerger", "NumpyMerger", "ParquetMerger"
    }  # fmt: skip
