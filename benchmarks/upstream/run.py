"""``python -m benchmarks upstream TREE``: Ganga's own tests of monitoring, mergers, checkers and
post-processing pass or fail with the adapter as they do without it.

TREE is a checkout of Ganga's repository: neither wheel nor sdist has the tests, and they are not
ours to copy. The code under test is the Ganga that is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

from benchmarks import figures
from benchmarks.upstream.sides import ADAPTER, STOCK, TESTS, Outcome, Side, counted

#: Below GangaCore/test: what monitors, merges, checks or post-processes.
MODULES = (
    "GPI/Monitoring/TestMonitoring.py",
    "GPI/Monitoring/TestAutostartMonitoring.py",
    "GPI/Monitoring/TestRegistryExport.py",
    "GPI/Mergers/TestCustomMerger.py",
    "GPI/Mergers/TestMergeFailures.py",
    "GPI/Mergers/TestSmartMerger.py",
    "GPI/Mergers/TestStdOut.py",
    "GPI/Mergers/TestStructure.py",
    "GPI/Checkers/TestCustomChecker.py",
    "GPI/Checkers/TestFileChecker.py",
    "GPI/FileTests/TestLocalFileClient.py",
    "GPI/FileTests/TestMassStorageClient.py",
    "GPI/FileTests/TestSJIDName.py",
    "GPI/Parallel/TestQueuedSJSubmit.py",
    "GPI/Parallel/TestQueuedSubmit.py",
    "GPI/Tasks/TestCoreTasks.py",
    "GPI/TestJob.py",
    "GPI/TestSJSubmit.py",
    "GPI/TestSubjobs.py",
    "GPI/TestTimeStamps.py",
    "GPI/TutorialTests.py",
    "GPI/Bugs/TestSavannah15630.py",
    "GPI/Bugs/TestSavannah19059.py",
    "GPI/Bugs/TestSavannah28511.py",
    "GPI/Bugs/TestSavannah32342.py",
    "GPI/Bugs/TestSavannah44116.py",
    "GPI/Bugs/TestSavannah8009.py",
)

#: test id -> outcomes, one for each time it was run.
Found = dict[str, list[Outcome]]


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks upstream")
    parser.add_argument("tree", type=Path, help="a checkout of github.com/ganga-devs/ganga")
    parser.add_argument("modules", nargs="*", default=MODULES, help="below GangaCore/test")
    parser.add_argument("--again", type=int, default=2, help="runs more of what differs")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds for one module")
    parser.add_argument("--logs", type=Path, help="keep pytest's output in this directory")
    parser.add_argument("--json", type=Path, help="write the outcomes to this file")
    options = parser.parse_args(argv)
    if find_spec("ganga") is None:
        print("upstream: Ganga is not installed: pip install 'gangamon[all]'", file=sys.stderr)
        return 2
    missing = [m for m in options.modules if not (options.tree / TESTS / m).is_file()]
    if missing:
        accepted = f"test modules below {options.tree / TESTS}"
        print(f"upstream: not there: {', '.join(missing)}; accepted: {accepted}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is ended
    print(figures.machine(), flush=True)
    found: dict[str, Found] = {STOCK: {}, ADAPTER: {}}
    with ExitStack() as stack:
        sides = [Side(name, options.tree) for name in found]
        for side in sides:
            stack.enter_context(side.serving())
        for module in options.modules:
            told = [_run(side, module, found[side.name], options) for side in sides]
            load = os.getloadavg()[0]
            print(f"{module}: {told[0]} | {told[1]} (load {load:.1f})", flush=True)
            for _ in range(options.again if _differ(found, module) else 0):
                for side in sides:
                    _run(side, module, found[side.name], options)
        print(f"the service took in {sides[1].taken_in()} jobs")
    for side in sides:
        print(f"{side.name}: {counted([runs[0] for runs in found[side.name].values()])}")
    always = differences(found)
    if options.json:
        plain = {
            name: {test: [vars(one) for one in runs] for test, runs in tests.items()}
            for name, tests in found.items()
        }
        options.json.write_text(json.dumps(plain, indent=1))
    return 1 if always else 0


def _run(side: Side, module: str, found: Found, options: argparse.Namespace) -> str:
    log = Path(os.devnull)
    if options.logs:
        options.logs.mkdir(parents=True, exist_ok=True)
        log = options.logs / f"{side.name}.{module.replace('/', '.')}.log"
    outcomes = side.run(module, options.limit, log)
    for test, outcome in outcomes.items():
        found.setdefault(test, []).append(outcome)
    return counted(list(outcomes.values()))


def _differ(found: Mapping[str, Found], module: str) -> bool:
    return any(kinds[0] != kinds[1] for test, kinds in _kinds(found).items() if module in test)


def _kinds(found: Mapping[str, Found]) -> dict[str, tuple[Sequence[str], Sequence[str]]]:
    tests = dict.fromkeys([*found[STOCK], *found[ADAPTER]])
    return {
        test: (
            [one.outcome for one in found[STOCK].get(test, ())],
            [one.outcome for one in found[ADAPTER].get(test, ())],
        )
        for test in tests
    }


def differences(found: Mapping[str, Found]) -> list[str]:
    """Print the tests that did not go the same way each time on both sides; those that never
    went with the adapter as they ever went without it."""
    always = []
    for test, (stock, adapter) in _kinds(found).items():
        if len({*stock, *adapter}) == 1 and stock and adapter:
            continue
        if not {*stock} & {*adapter}:
            always.append(test)
        mark = "DIFFERS" if test in always else "unsteady"
        print(f"{mark}: {test}\n  stock: {', '.join(stock)}; adapter: {', '.join(adapter)}")
        for name in (STOCK, ADAPTER):
            whys = {one.why: None for one in found[name].get(test, ()) if one.why}
            for why in whys:
                print(f"    {name}: {why}")
    print(f"{len(always)} tests differ" if always else "no test differs")
    return always
