"""Our TextMerger against Ganga's own, from the same inputs: every byte but the time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gangamon.domain.status import JobStatus
from gangamon.errors import MergeFailed
from gangamon.postprocess.text import TextMerger
from gangamon.testing.factories import merge_order
from tests.ganga import needs_ganga, run_ganga

CHUNK = 1 << 20
NASTY = [
    "plain\n",
    "crlf\r\nagain\r\n",
    "lone\rcr\r",
    "\r\r\n\n\r",
    "no line end",
    "",
    "\ufeffGrüße, 世界 \U0001f680\u2028\x0b\x0c\x85end",
    "\0\x1a\x7f",
    "x" * (CHUNK - 1) + "\r\n" + "y" * (CHUNK - 2) + "\r\rz",
]
FAILED, KILLED = ("failed", "completed"), ("completed", "killed")


def case(
    files: list[str],
    *jobs: dict[str, str],
    status: tuple[str, ...] = (),
    existing: str = "",
    **flags: bool,
) -> dict[str, Any]:
    """``jobs``: the files of each job; ``existing``: a file that lies in the target before."""
    statuses = [*status, *["completed"] * (len(jobs) - len(status))]
    return {
        "files": files, "jobs": jobs, "status": statuses, "existing": existing, "flags": flags,
    }  # fmt: skip


TWO = ({"a": "1"}, {"a": "2"})
CASES = {
    "line ends": case(["out.txt"], *({"out.txt": text} for text in NASTY)),
    "several": case(["a", "b.txt"], {"a": "1", "b.txt": "2"}, {"a": "3\r", "b.txt": "4\n"}),
    "wildcards": case(
        ["*.log", "dir/*", "?.x", "[ab].y"],
        {"1.log": "1", "dir/a b": "2", "dir/.hidden": "3", "q.x": "4", "a.y": "5"},
        {"2.log": "6", "1.log": "7", "dir/c": "8", "é.x": "9", "b.y": "0", "c.y": ""},
    ),
    "twice": case(["a.txt", "*.txt", "./a.txt"], {"a.txt": "1"}, {"a.txt": "2", "b.txt": "3"}),
    "ten jobs": case(["a"], *({"a": f"{n}\r\n"} for n in range(11))),
    "nothing": case([], *TWO),
    "failed": case(["a"], *TWO, status=FAILED),
    "killed": case(["a"], *TWO, status=KILLED),
    "failed ignored": case(["a"], *TWO, status=FAILED, ignorefailed=True),
    "all ignored": case(["a"], *TWO, status=("failed", "killed"), ignorefailed=True),
    "missing": case(["a", "b*"], {"a": "1", "b": "2"}, {"a": "1"}),
    "missing ignored": case(["a", "b*"], {"a": "1", "b": "2"}, {"a": "1"}, ignorefailed=True),
    "existing": case(["a"], *TWO, existing="a"),
    "overwritten": case(["a"], *TWO, existing="a", overwrite=True),
}

SCRIPT = """
import os
from GangaCore.GPIDev.Base.Proxy import stripProxy

result = {}
for name, case in given['cases'].items():
    jobs = []
    for files, status in zip(case['jobs'], case['status']):
        job = Job()
        for path, text in files.items():
            path = os.path.join(job.outputdir, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'wb') as file:
                file.write(text.encode('utf-8'))
        stripProxy(job).status = status
        jobs.append(job)
    target = os.path.join(given['targets'], name) + '/'
    merger = TextMerger()
    merger.files = case['files']
    said = ''
    try:
        stripProxy(merger).merge([stripProxy(j) for j in jobs], target, **case['flags'])
    except Exception as error:
        said = str(error)
    inputs = [(job.fqid, str(job.status), job.outputdir) for job in jobs]
    result[name] = {'target': target, 'inputs': inputs, 'said': said}
"""


@pytest.fixture(scope="module")
def ganga(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """All cases in one session of Ganga: the inputs it used, and what its merger made or said."""
    place = tmp_path_factory.mktemp("ganga")
    for name, given in CASES.items():
        if given["existing"]:
            (place / "targets" / name).mkdir(parents=True)
            (place / "targets" / name / given["existing"]).write_text("by hand")
    yield run_ganga(place, SCRIPT, {"cases": CASES, "targets": str(place / "targets")})


def contents(target: Path) -> dict[str, bytes]:
    """Every file below by name, the time in a merge's first line masked, our manifest aside."""
    found = {str(p.relative_to(target)): p.read_bytes() for p in target.rglob("*") if p.is_file()}
    found.pop(".gangamon-merge.json", None)
    masked = re.compile(
        rb"\A(# Ganga TextMergeTool - )\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4} #\n"
    )
    return {name: masked.sub(rb"\1TIME #\n", body) for name, body in found.items()}


@needs_ganga
@pytest.mark.parametrize("name", CASES)
def test_as_ganga(name: str, ganga: dict[str, Any], tmp_path: Path) -> None:
    """The same files with the same bytes, or the same words (Ganga puts the class before them)."""
    given, theirs = CASES[name], ganga[name]
    target = tmp_path / "master" / "output"
    target.mkdir(parents=True)
    if given["existing"]:
        (target / given["existing"]).write_text("by hand")
    # The service's paths have no slash at their end, Ganga's have one.
    inputs = [(i, JobStatus(s), output.rstrip("/")) for i, s, output in theirs["inputs"]]
    order = merge_order(str(target), inputs, *given["files"], **given["flags"])
    said = ""
    try:
        TextMerger().run(order)
    except MergeFailed as error:
        said = f"PostProcessException: {error}".replace(str(target), theirs["target"].rstrip("/"))
    assert said == theirs["said"]
    assert contents(target) == contents(Path(theirs["target"]))


@needs_ganga
def test_the_cases_are_what_they_say(ganga: dict[str, Any]) -> None:
    """Ganga itself merged or refused as each case means it: else the comparison shows nothing."""
    refused = {name for name, result in ganga.items() if result["said"]}
    assert refused == {"failed", "killed", "missing", "existing"}
    merged = contents(Path(ganga["line ends"]["target"]))["out.txt"]
    assert merged.startswith(b"# Ganga TextMergeTool - TIME #\n")
    assert "世界".encode() in merged and b"\r" not in merged and len(merged) > 2 * CHUNK
    assert {"dir/a b", "dir/c", "é.x"} <= set(contents(Path(ganga["wildcards"]["target"])))
