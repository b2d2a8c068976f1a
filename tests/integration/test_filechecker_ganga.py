"""Our FileChecker against Ganga's own, on the same files: who passes, and the words."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from gangamon.domain.command import CheckerSpec
from gangamon.errors import CheckFailed, CheckImpossible
from gangamon.postprocess.search import FileChecker
from gangamon.protocols import CheckOrder
from tests.ganga import needs_ganga, run_ganga

#: Latin-1 in the files' text stands for bytes: "\xff" is not UTF-8.
TEXTS = [
    "",
    "good\n",
    "an Error here\n",
    "good\nerror\nlast",
    "two\r\nlines\r",
    "\xc3\xa9t\xc3\xa9\n",
]
BROKEN = "error first\n\xff\xfe not UTF-8\n"
NAMES = ["out", "err.log", "a/b.txt", "a/c.txt", "[x].txt"]
PATTERNS = ["out", "*.log", "a/*", "*/b.txt", "?ut", "no such", "[x].txt", "*", "a"]
STRINGS = [
    "error",
    "(?i)error",
    "^good$",
    "é",
    "lines$",
    "\\d+",
    "(",
    "last",
    ".",
    "",
    "absent",
    "nowhere",
]


def case(
    files: dict[str, str], names: list[str], strings: list[str], **flags: bool
) -> dict[str, Any]:
    return {"files": files, "names": names, "strings": strings, "flags": flags}


def drawn(seed: int) -> dict[str, Any]:
    draw = random.Random(seed)
    return case(
        {n: draw.choice([*TEXTS, *TEXTS, BROKEN]) for n in draw.sample(NAMES, draw.randint(1, 5))},
        draw.choices(PATTERNS, k=draw.randint(1, 3)),
        draw.choices(STRINGS, k=draw.randint(1, 2)),
        failIfFound=draw.random() < 0.5,
        filesMustExist=draw.random() < 0.7,
    )


GOOD = {"out": "good\nerror\n"}
CASES = {
    "found": case(GOOD, ["out"], ["error"]),
    "not found": case(GOOD, ["out"], ["bad"]),
    "wanted": case(GOOD, ["out"], ["error"], failIfFound=False),
    "not there": case(GOOD, ["out"], ["good", "bad"], failIfFound=False),
    "one missing": case(GOOD, ["out", "log"], ["bad"]),
    "one missing, found": case(GOOD, ["log", "out"], ["error"]),
    "missing allowed": case(GOOD, ["out", "log"], ["bad"], filesMustExist=False),
    "all missing": case(GOOD, ["log"], ["bad"]),
    "no strings": case(GOOD, ["out"], []),
    "no files": case(GOOD, [], ["error"]),
    "faulty expression": case(GOOD, ["out"], ["("]),
    "faulty expression, nothing to search": case({"out": ""}, ["out"], ["("]),
    "found before it is broken": case({"out": BROKEN}, ["out"], ["first"]),
    "broken": case({"out": BROKEN}, ["out"], ["bad"]),
    "there, but broken": case({"out": BROKEN}, ["out"], ["first", "bad"], failIfFound=False),
    "directory": case({"a/b.txt": "x"}, ["a"], ["x"]),
    **{f"drawn {seed}": drawn(seed) for seed in range(300)},
}

SCRIPT = """
import importlib, logging, os
from GangaCore.GPIDev.Base.Proxy import stripProxy

said = []
class Ear(logging.Handler):
    def emit(self, record):
        said.append(record.getMessage())
for name in ('Lib.Checkers.FileChecker', 'GPIDev.Adapters.IChecker'):
    logger = importlib.import_module('GangaCore.' + name).logger
    logger.setLevel(logging.INFO)
    logger.addHandler(Ear(logging.INFO))

result = {}
for name, case in given['cases'].items():
    job = Job()
    os.makedirs(job.outputdir, exist_ok=True)
    for path, text in case['files'].items():
        path = os.path.join(job.outputdir, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.write(text.encode('latin-1'))
    checker = stripProxy(FileChecker(files=case['names'], searchStrings=case['strings'], **case['flags']))
    said.clear()
    raw = stripProxy(job)
    passed = checker.execute(raw, 'completed')
    debug = os.path.join(raw.getDebugWorkspace().getPath(), 'checker_errors.txt')
    error = open(debug).read() if os.path.exists(debug) else ''
    result[name] = {'passed': passed, 'said': list(said), 'error': error, 'output': job.outputdir,
                    'fqid': job.fqid}
"""  # noqa: E501


@pytest.fixture(scope="module")
def ganga(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """All cases in one session of Ganga: the files it read, and what its checker made of them."""
    yield run_ganga(tmp_path_factory.mktemp("ganga"), SCRIPT, {"cases": CASES})


def ours(name: str, ganga: dict[str, Any]) -> tuple[bool, str, str]:
    """(passed, why not, what went wrong)."""
    given, theirs = CASES[name], ganga[name]
    flags = given["flags"]
    spec = CheckerSpec(
        "FileChecker",
        tuple(given["names"]),
        tuple(given["strings"]),
        flags.get("failIfFound", True),
        flags.get("filesMustExist", True),
    )
    try:
        FileChecker().check(CheckOrder(theirs["fqid"], spec, theirs["output"].rstrip("/")))
    except CheckFailed as failed:
        return False, str(failed), ""
    except CheckImpossible as impossible:
        return True, "", str(impossible)
    return True, "", ""


@needs_ganga
@pytest.mark.parametrize("name", CASES)
def test_as_ganga(name: str, ganga: dict[str, Any]) -> None:
    """The same jobs pass, for the same reasons, with the same errors noted."""
    theirs = ganga[name]
    passed, reason, error = ours(name, ganga)
    assert passed is theirs["passed"]
    assert passed or reason in theirs["said"]
    noted = f"\n Checker has failed with the following error: \n{error}" if error else ""
    assert noted == theirs["error"]


@needs_ganga
def test_the_cases_are_what_they_say(ganga: dict[str, Any]) -> None:
    """Ganga's own passes, fails and gives up in enough of them: else nothing is shown."""
    failed = [name for name, found in ganga.items() if not found["passed"]]
    gave_up = [name for name, found in ganga.items() if found["error"]]
    passed = [n for n, found in ganga.items() if found["passed"] and not found["error"]]
    assert min(map(len, (failed, gave_up, passed))) > 20
    assert {"found", "not there", "one missing"} <= set(failed)
    assert {"all missing", "no strings", "no files", "there, but broken"} <= set(gave_up)
