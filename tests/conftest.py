"""What holds for every test: a clean environment, the folder's marker, no silent skip in CI, and
nothing that fails by chance."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent
KINDS = {"unit", "contract", "integration", "faults", "acceptance"}

# At import, before any fixture of any scope: a developer's own instance must not be the one tested.
for variable in [name for name in os.environ if name.startswith("GANGAMON_")]:
    del os.environ[variable]

# The same examples each time: what a change breaks is seen, and a change is not refused for what
# was broken before. `--hypothesis-profile=search` looks for more, with other examples each time.
# Neither judges by time: the machine may stand still.
_untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("same", _untimed, derandomize=True, database=None)
settings.register_profile("search", _untimed)
settings.load_profile("same")


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
