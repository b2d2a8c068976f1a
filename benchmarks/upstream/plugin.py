"""A pytest plugin for Ganga's tests: the adapter is in each session they start, if
``UPSTREAM_PACKAGE`` names it, and the outcome of each test goes to ``UPSTREAM_OUTCOMES``.

Ganga's tests start Ganga many times in one process, each time with a RUNTIME_PATH of their own
(GangaUnitTest.start_ganga, 8.7.12).
"""

# mypy: ignore-errors

from __future__ import annotations

import json
import os
import time

import pytest
from GangaCore.testlib import GangaUnitTest as framework  # noqa: N813

pytest_plugins = "GangaCore.testlib.fixtures"

PACKAGE = os.environ.get("UPSTREAM_PACKAGE", "")
stock = framework.start_ganga


def start_ganga(gangadir_for_test, repositorytype="LocalXML", extra_opts=(), extra_args=None):
    options = list(extra_opts)
    if PACKAGE:
        given = [value for section, name, value in options if (section, name) == RUNTIME_PATH]
        options.append((*RUNTIME_PATH, f"{given[-1] if given else 'GangaTest'}:{PACKAGE}"))
    stock(gangadir_for_test, repositorytype, options, extra_args)
    import GangaCore.Core

    monitored = type(GangaCore.Core.monitoring_component).__module__
    if monitored.startswith("gangamon.") != bool(PACKAGE):
        pytest.exit(f"monitored by {monitored}, and UPSTREAM_PACKAGE is {PACKAGE!r}", 3)


RUNTIME_PATH = ("Configuration", "RUNTIME_PATH")
framework.start_ganga = start_ganga


@pytest.fixture(scope="session", autouse=True)
def _started_before(tmp_path_factory):
    """The first start of a process leaves the monitoring off (Coordinator.servicesEnabled is true
    although nothing is): where Ganga's tests run, other modules come before."""
    framework.start_ganga(str(tmp_path_factory.mktemp("before")))
    framework.stop_ganga()


def pytest_addoption(parser):
    """As the conftest.py of Ganga's repository."""
    parser.addoption("--runexternals", action="store_true")
    parser.addoption("--keepRepo", action="store_true")
    parser.addoption("--testLHCb", action="store_true")


def pytest_configure(config):
    config.addinivalue_line("markers", "externals: test has external dependencies")


def pytest_collection_modifyitems(items):
    for item in items:
        if "externals" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs what is not here"))


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        _note(report.nodeid, report.when, report.outcome, report.longrepr, report.duration)


def pytest_collectreport(report):
    if report.outcome == "failed":
        _note(report.nodeid, "collect", report.outcome, report.longrepr, 0.0)


def _note(test, when, outcome, why, seconds):
    why = why[-1] if isinstance(why, tuple) else str(why or "")
    why = [line for line in why.splitlines() if line.startswith("E ")] or why.splitlines()[-1:]
    with open(os.environ["UPSTREAM_OUTCOMES"], "a") as file:
        row = {"test": test, "when": when, "outcome": outcome, "seconds": seconds}
        file.write(json.dumps({**row, "why": why[:3], "at": time.time()}) + "\n")
