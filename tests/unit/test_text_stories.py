"""TextMerger over cases made by chance, gzip inputs among them, which Ganga 8.7.12 cannot merge.

What is to come out is said by a few plain lines, which are Ganga's (``frame``)."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gangamon.domain.status import JobStatus
from gangamon.errors import MergeFailed
from gangamon.postprocess import growth
from gangamon.postprocess.text import TextMerger
from gangamon.protocols import MergeOrder
from tests.support.merge_stories import unpacked
from tests.unit.merging import Master, frame

NAMES = ("a.txt", "b.gz", "deep/er/c.txt", "deep/d.log.gz")
TEXTS = st.sampled_from([b"", b"x", b"a\r\nb\r", b"\r", b"line\n" * 50, b"\xff\r\n\x00"])
FILES = st.dictionaries(st.sampled_from(NAMES), TEXTS)
ALL = st.fixed_dictionaries(dict.fromkeys(NAMES, TEXTS))
STATUS = st.sampled_from([*[JobStatus.COMPLETED] * 6, JobStatus.FAILED, JobStatus.KILLED])

Job = tuple[Mapping[str, bytes], JobStatus]
JOBS = st.lists(st.tuples(FILES | ALL | ALL, STATUS), min_size=1, max_size=6)


def put(master: Master, sub: int, job: Job) -> None:
    """As if it had just ended."""
    shutil.rmtree(master.root / str(sub), ignore_errors=True)
    (master.root / str(sub) / "output").mkdir(parents=True)
    master.status[sub] = job[1]
    for name, text in job[0].items():
        master.put(sub, name, gzip.compress(text) if name.endswith(".gz") else text, job[1])


def wanted(
    root: Path, jobs: Sequence[Job], names: Sequence[str], ignorefailed: bool
) -> dict[str, bytes] | None:
    """The body of each output; None: the merge is refused."""
    parts: dict[str, list[tuple[Path, bytes]]] = {}
    for sub, (files, status) in enumerate(jobs):
        if status is not JobStatus.COMPLETED:
            if not ignorefailed:
                return None
            continue
        for name in names:
            if name in files:
                text = files[name].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
                parts.setdefault(name, []).append((root / str(sub) / "output" / name, text))
            elif not ignorefailed:
                return None
    return {name: frame(*found) for name, found in parts.items()}


def test_whatever_comes(tmp_path: Path) -> None:
    """Missing files, failed jobs, sub-directories, gzip in and out; some grown before, and one that
    was resubmitted late; a file that stands there already."""
    count, merged, refused = 0, 0, 0

    @settings(max_examples=150, deadline=None)
    @given(
        JOBS,
        st.lists(st.sampled_from(NAMES), min_size=1, unique=True),
        st.booleans(),
        st.booleans(),
        st.integers(0, 6),
        st.integers(0, 9),
        st.tuples(FILES | ALL, STATUS),
        st.sampled_from([None, None, None, False, True]),
    )
    def story(
        jobs: list[Job],
        names: list[str],
        ignorefailed: bool,
        compress: bool,
        grown: int,
        late: int,
        anew: Job,
        overwrite: bool | None,
    ) -> None:
        nonlocal count, merged, refused
        count += 1
        master = Master(tmp_path / str(count) / "42")
        attempts = [1] * len(jobs)
        for sub, job in enumerate(jobs):
            put(master, sub, job)

        def order(subs: int) -> MergeOrder:
            flags = {
                "ignorefailed": ignorefailed, "compress": compress, "overwrite": bool(overwrite)
            }  # fmt: skip
            given = master.order(*names, **flags)
            fences = [f"{attempt}.0" for attempt in attempts[:subs]]
            return replace(given, inputs=list(given.inputs)[:subs], fences=fences)

        TextMerger().grow(order(min(grown, len(jobs))), 1e9)
        if late % 2:
            growth._remembered.clear()  # another process goes on
        if late < len(jobs):
            jobs[late], attempts[late] = anew, 2
            put(master, late, anew)
        expected = wanted(master.root, jobs, names, ignorefailed)
        end = {name: f"{name}.gz" if compress and name[-3:] != ".gz" else name for name in names}
        if overwrite is not None and expected:
            there = master.target / end[next(iter(expected))]
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_bytes(b"by hand")
            expected = expected if overwrite else None
        if expected is None:
            refused += 1
            with pytest.raises(MergeFailed):
                TextMerger().run(order(len(jobs)))
            assert not master.names() or set(master.target.rglob("*.merge_summary")) == set()
            return
        merged += 1
        TextMerger().run(order(len(jobs)))
        for name, body in expected.items():
            first, _, rest = unpacked(master.target / end[name]).partition(b"\n")
            assert first.startswith(b"# Ganga TextMergeTool - ")
            assert rest == body
        made = {end[name] for name in expected}
        assert master.names() == made | {f"{name}.merge_summary" for name in expected}

    story()
    assert merged > 20 and refused > 20, "the stories show nothing"
