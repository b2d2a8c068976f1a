"""What a page shows before its scripts run is what they show then, node by node in words."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import Page as Tab

from gangamon.domain.lane import Lane
from gangamon.domain.observation import Seen
from gangamon.domain.status import JobStatus
from gangamon.web.first import FIRST
from tests.support.commands import REPOSITORY
from tests.support.page import Page, World

RESTING = Lane("Slurm", "another | cluster")
NAME = '<img src=x onerror="alert(1)">\x1b[31m\u202e'
JOB = f"/jobs/{REPOSITORY}/7"

#: Of what is shown, down to the last row that comes first: each cell and heading, its class, what
#: it says, and each bar's parts.
SHOWN = f"""() => [...document.querySelectorAll(
    "main h1, main .sub, main dt, main dd, main .legend button, main .tabs button, main caption, "
    + "main th, main td, main svg.bar, main svg.bar rect, main a"
  )].filter((one) => !one.closest("[hidden], tbody tr:nth-child(n+{FIRST + 1})")
    && one.getBoundingClientRect().width).map((one) => [
    one.tagName, one.getAttribute("class") ?? "", one.textContent.trim().replace(/\\s+/g, " "),
    one.getAttribute("href") ?? "", one.getAttribute("aria-label") ?? "",
    one.dataset.label ?? "", Math.round(Number(one.getAttribute("width") ?? 0)),
  ])"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    world = World(tmp_path_factory.mktemp("world"))
    now = time.time()
    try:
        world.master(7, 60, NAME)
        world.move(7, {n: Seen("R", JobStatus.RUNNING, "s", site=f"S{n}") for n in range(30)})
        done = Seen("CD", JobStatus.COMPLETED, "s", started_at=now - 5000, ended_at=now)
        why = "<b>quota</b> of\x1b[2J 12 \u202e files"
        lost = Seen("F", JobStatus.FAILED, "s", "<i>", now - 0.5, now, 3, reason=why)
        world.finish(7, {**dict.fromkeys(range(1, 9), done), 0: lost})
        world.master(8, 1200)
        world.master(9, 1, "one")
        world.finish(9, {0: done})
        world.master(10, 2, lane=RESTING)
        world.store.open_breaker(str(RESTING), 3600.0)
        made = Page(world)
        yield made
        made.close()
    finally:
        world.close()


def tab_of(browser: Browser, page: Page, scripts: bool) -> Tab:
    context = browser.new_context(base_url=page.url, java_script_enabled=scripts)
    context.set_default_timeout(90_000)
    return context.new_page()


@pytest.mark.parametrize("path", ["/", JOB, *(f"/jobs/{REPOSITORY}/{n}" for n in (8, 9, 10))])
def test_the_scripts_show_the_same(page: Page, browser: Browser, path: str) -> None:
    """So nothing jumps when they run, and neither side can be changed alone."""
    before, after = tab_of(browser, page, False), tab_of(browser, page, True)
    try:
        after.goto(path)
        after.wait_for_selector("html[data-live=yes]")
        before.goto(path)
        assert before.evaluate(SHOWN) == after.evaluate(SHOWN)
    finally:
        before.context.close()
        after.context.close()


def test_without_scripts_a_hostile_name_is_text(page: Page, browser: Browser) -> None:
    """And what would hide or control is written out."""
    tab = tab_of(browser, page, False)
    try:
        for path in ("/", JOB):
            tab.goto(path)
            assert '<img src=x onerror="alert(1)">\\x1b[31m\\u202e' in tab.inner_text("main")
            assert tab.locator("main img, main b:text('quota'), main script").count() == 0
        assert "<b>quota</b> of\\x1b[2J 12 \\u202e files" in tab.inner_text("main")
        assert "Without JavaScript" in tab.inner_text("main")
    finally:
        tab.context.close()


def test_another_tab_of_a_job_is_left_to_the_scripts(page: Page, browser: Browser) -> None:
    """What is shown first is what was asked for, or nothing."""
    tab = tab_of(browser, page, False)
    try:
        tab.goto(f"{JOB}?tab=causes")
        assert tab.locator("main td").count() == 0
        tab.goto(f"{JOB}?status=failed")
        assert tab.locator("main tbody tr").count() == 1
    finally:
        tab.context.close()
