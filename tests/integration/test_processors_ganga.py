"""SmartMerger, CustomMerger and CustomChecker against Ganga's own, on the same files.

One session of Ganga runs its own, and says what the adapter makes of each for the service; that is
then run here, without Ganga.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gangamon import postprocess
from gangamon.domain.status import JobStatus
from gangamon.errors import CheckFailed, CheckImpossible, MergeFailed
from gangamon.protocols import CheckOrder, MergeOrder
from gangamon.store import codec
from tests.ganga import needs_ganga, run_ganga
from tests.integration.test_textmerger_ganga import contents


def case(
    kind: str, *jobs: dict[str, str], status: tuple[str, ...] = (), code: str = "", **fields: Any
) -> dict[str, Any]:
    """``jobs``: the files of each; ``code``: of the user's module."""
    statuses = [*status, *["completed"] * (len(jobs) - len(status))]
    return {"kind": kind, "jobs": jobs, "status": statuses, "code": code, "fields": fields}


FILES = {"stdout": "o", "a.txt": "1\r\n", "b.LOG": "2", "sub/c.text": "3", "d.xyz": "4", "e": "5"}
TWO = (FILES, {name: text * 2 for name, text in FILES.items()})
CUSTOM = "def mergefiles(file_list, output_file):\n    "
CHECK = "def check(j):\n    "
JOIN = f"{CUSTOM}open(output_file, 'w').write(''.join(open(f).read() for f in file_list))\n    "
MERGES = {
    "smart": case("SmartMerger", *TWO, files=["a.txt", "stdout", "b.LOG", "sub/c.text"]),
    "smart, patterns": case("SmartMerger", *TWO, files=["*.txt", "s*/*.text"]),
    "smart, unknown last": case("SmartMerger", *TWO, files=["a.txt", "d.xyz"]),
    "smart, unknown first": case("SmartMerger", *TWO, files=["d.xyz", "a.txt"]),
    "smart, no extension": case("SmartMerger", *TWO, files=["a.txt", "e"]),
    "smart, ignored": case("SmartMerger", *TWO, files=["a.txt", "e"], ignorefailed=True),
    "smart, failed": case("SmartMerger", *TWO, status=("failed",), files=["a.txt"]),
    "smart, failed ignored": case(
        "SmartMerger", *TWO, status=("failed",), files=["a.txt", "stdout"], ignorefailed=True
    ),
    "smart, missing": case("SmartMerger", *TWO, files=["a.txt", "z.log"]),
    "custom": case("CustomMerger", *TWO, files=["a.txt", "e"], code=f"{JOIN}return True"),
    "custom, subdirectory": case("CustomMerger", *TWO, files=["sub/*"], code=f"{JOIN}return True"),
    "custom, beside": case(
        "CustomMerger", *TWO, files=["e"],
        code=f"{JOIN}open(output_file + '.idx', 'w').write('x')\n    return True",
    ),
    "custom, nothing made": case("CustomMerger", *TWO, files=["e"], code=f"{CUSTOM}return True"),
    "custom, false": case("CustomMerger", *TWO, files=["e"], code=f"{CUSTOM}return False"),
    "custom, zero": case("CustomMerger", *TWO, files=["e"], code=f"{CUSTOM}return 0"),
    "custom, raises": case("CustomMerger", *TWO, files=["e"], code=f"{CUSTOM}raise OSError('no')"),
    "custom, no function": case("CustomMerger", *TWO, files=["e"], code="x = 1"),
    "custom, syntax": case("CustomMerger", *TWO, files=["e"], code="def"),
    "custom, names": case(
        "CustomMerger", *TWO, files=["e"],
        code=f"{JOIN}return __name__ == 'builtins' and '__file__' not in globals()",
    ),
}  # fmt: skip
CHECKS = {
    "true": case("CustomChecker", FILES, code=f"{CHECK}return True"),
    "false": case("CustomChecker", FILES, code=f"{CHECK}return False"),
    "none": case("CustomChecker", FILES, code=f"{CHECK}pass"),
    "one": case("CustomChecker", FILES, code=f"{CHECK}return 1"),
    "raises": case("CustomChecker", FILES, code=f"{CHECK}raise ValueError('what')"),
    "no function": case("CustomChecker", FILES, code="x = 1"),
    "no module": case("CustomChecker", FILES),
    "syntax": case("CustomChecker", FILES, code="def check(:"),
    "reads": case(
        "CustomChecker", FILES,
        code=f"{CHECK}return open(j.outputdir + 'a.txt').read() == '1\\n' and j.id == int(j.fqid)",
    ),
    "by its name": case(
        "CustomChecker", FILES, code="job.outputdir\ndef check(j):\n    return j is job"
    ),
    "no subjobs": case(
        "CustomChecker", FILES,
        code=f"{CHECK}return len(j.subjobs) == 0 and not list(j.subjobs) and j.master is None",
    ),
}  # fmt: skip

SCRIPT = """
import importlib, logging, os
from GangaCore.GPIDev.Base.Proxy import stripProxy
from gangamon.adapter.handover import checkers, mergers

said = []
class Ear(logging.Handler):
    def emit(self, record):
        said.append(record.getMessage())
for name in ('Lib.Mergers.Merger', 'GPIDev.Adapters.IMerger', 'Lib.Checkers.CustomChecker'):
    logger = importlib.import_module('GangaCore.' + name).logger
    logger.setLevel(logging.INFO)
    logger.addHandler(Ear(logging.INFO))

result = {}
for name, case in given['cases'].items():
    made = []
    for files, status in zip(case['jobs'], case['status']):
        job = Job()
        for path, text in files.items():
            path = os.path.join(job.outputdir, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'w', newline='') as file:
                file.write(text)
        stripProxy(job).status = status
        made.append(job)
    processor = globals()[case['kind']](**case['fields'])
    if case['code']:
        module = os.path.join(given['modules'], name + '.py')
        with open(module, 'w') as file:
            file.write(case['code'])
        processor.module = module
    raw = stripProxy(processor)
    said.clear()
    found = {'inputs': [(job.fqid, str(job.status), job.outputdir) for job in made], 'error': ''}
    if case['kind'].endswith('Merger'):
        found['spec'] = mergers.spec(raw).plain
        found['target'] = os.path.join(given['targets'], name) + '/'
        try:
            ok = raw.merge([stripProxy(j) for j in made], found['target'])
        except Exception as error:
            ok, found['error'] = False, str(error)
    else:
        found['spec'] = checkers.spec(raw).plain
        master = stripProxy(made[0])
        ok = raw.execute(master, 'completed')
        debug = os.path.join(master.getDebugWorkspace().getPath(), 'checker_errors.txt')
        found['error'] = open(debug).read() if os.path.exists(debug) else ''
    result[name] = {**found, 'ok': ok, 'said': list(said)}
result['not ours'] = [
    str(spec) for spec in (
        mergers.spec(stripProxy(SmartMerger())),
        mergers.spec(stripProxy(TextMerger(files=['../x']))),
        checkers.spec(stripProxy(MetaDataChecker())) if 'MetaDataChecker' in globals() else None,
    )
]
"""


@pytest.fixture(scope="module")
def ganga(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """All cases in one session of Ganga."""
    place = tmp_path_factory.mktemp("ganga")
    given: dict[str, Any] = {"cases": {**MERGES, **CHECKS}}
    for folder in ("targets", "modules"):
        (place / folder).mkdir()
        given[folder] = str(place / folder)
    yield run_ganga(place, SCRIPT, given)


@needs_ganga
@pytest.mark.parametrize("name", MERGES)
def test_merged_as_by_ganga(name: str, ganga: dict[str, Any], tmp_path: Path) -> None:
    """The same files with the same bytes; where Ganga refuses, its words come first. What Ganga
    leaves half done of a merge that failed is not there."""
    theirs = ganga[name]
    (tmp_path / "master" / "output").mkdir(parents=True)
    target = str(tmp_path / "master" / "output")
    spec = codec._merger(theirs["spec"])
    inputs = [(i, JobStatus(s), output.rstrip("/")) for i, s, output in theirs["inputs"]]
    order = MergeOrder("42", 1, spec, target, inputs)
    said = ""
    try:
        postprocess.for_kind(spec.kind).run(order)
    except MergeFailed as error:
        said = str(error).replace(target, theirs["target"].rstrip("/"))
    assert (not said) == theirs["ok"]
    if theirs["error"]:
        assert f"PostProcessException: {said}".startswith(theirs["error"].rstrip("."))
    elif said:
        assert said in theirs["said"]
    ours, wanted = contents(Path(target)), contents(Path(theirs["target"]))
    for found in (ours, wanted) if said else ():
        found.pop("e.merge_summary", None)  # ours tells more
    assert ours == wanted


@needs_ganga
@pytest.mark.parametrize("name", CHECKS)
def test_checked_as_by_ganga(name: str, ganga: dict[str, Any]) -> None:
    """The same jobs pass, for the same reasons, with the same errors noted: ours with more."""
    theirs = ganga[name]
    spec = codec._checker(theirs["spec"])
    ((fqid, _, output),) = theirs["inputs"]
    failed = error = ""
    try:
        postprocess.checker(spec.kind).check(CheckOrder(fqid, spec, output.rstrip("/")))
    except CheckFailed as found:
        failed = str(found)
    except CheckImpossible as found:
        error = str(found)
    assert (not failed) == theirs["ok"]
    assert not failed or failed in theirs["said"]
    assert bool(error) == bool(theirs["error"])
    assert f"\n Checker has failed with the following error: \n{error}".startswith(theirs["error"])


@needs_ganga
def test_the_cases_are_what_they_say(ganga: dict[str, Any]) -> None:
    """Ganga's own passed and refused as each case means it."""
    refused = {name for name in (*MERGES, *CHECKS) if not ganga[name]["ok"]}
    assert refused == {
        "smart, unknown last", "smart, unknown first", "smart, no extension", "smart, failed",
        "smart, missing", "custom, false", "custom, zero", "custom, raises", "custom, no function",
        "custom, syntax", "false",
    }  # fmt: skip
    assert set(contents(Path(ganga["smart, unknown last"]["target"]))) == {
        "a.txt", "a.txt.merge_summary"
    }  # fmt: skip
    noted = {name for name in CHECKS if ganga[name]["error"]}
    assert noted == {"none", "one", "raises", "no function", "no module", "syntax"}
    assert set(ganga["not ours"]) == {"None"}
