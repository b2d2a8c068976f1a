"""What holds for every test: a clean environment, the folder's marker, no silent skip in CI."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
KINDS = {"unit", "contract", "integration", "faults", "acceptance"}

# At import, before any fixture of any scope: a developer's own instance must not be the one tested.
for variable in [name for name in os.environ if name.startswith("GANGAMON_")]:
    del os.environ[variable]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        kind = item.path.relative_to(TESTS).parts[0]
        if kind in KINDS:
            item.add_marker(kind)


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """CI has all that tests need, so there a skip hides something. An xfail is no skip."""
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not accept: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report
