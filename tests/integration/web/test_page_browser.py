"""The job page in Chromium, on a real Redis: what a viewer sees, does, and is told."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect
from playwright.sync_api import Page as Tab

from gangamon.domain.observation import Seen
from gangamon.domain.status import JobStatus
from gangamon.web import trends
from tests.support.commands import REPOSITORY
from tests.support.page import LANE, Page, World
from tests.support.waiting import quickest, until

#: Milliseconds until something counts as not coming.
PATIENCE = 90_000
PASSWORD = "correct horse battery"
NAME = '<img src=x onerror="alert(1)">\x1b[31m\u202e'
REASON = "<script>alert(2)</script>\x1b[2Jdisk quota exceeded on /scratch/{}"
NOW = time.time()

expect.set_options(timeout=PATIENCE)


def seen(status: JobStatus, native: str, site: str = "SITE-A", **more: float | str) -> Seen:
    return Seen(native, status, "script", site=site, **more)  # type: ignore[arg-type]


RUNNING = seen(JobStatus.RUNNING, "R")
DONE = seen(JobStatus.COMPLETED, "CD", started_at=NOW - 90, ended_at=NOW, exit_code=0)


def failed(sub: int, site: str = "SITE-B") -> Seen:
    return seen(JobStatus.FAILED, "F", site, ended_at=NOW, exit_code=1, reason=REASON.format(sub))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world"))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def page(world: World) -> Iterator[Page]:
    made = Page(world)
    yield made
    made.close()


@pytest.fixture
def tab(browser: Browser, page: Page) -> Iterator[Tab]:
    """A tab; at the end it has had no fault, no violation of the policy and no dialog."""
    context = browser.new_context(base_url=page.url, viewport={"width": 1280, "height": 800})
    found = context.new_page()
    found.set_default_timeout(PATIENCE)
    faults: list[str] = []
    found.on("pageerror", lambda error: faults.append(str(error)))
    found.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    found.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    yield found
    context.close()
    assert faults == []


def job(number: int) -> str:
    return f"/jobs/{REPOSITORY}/{number}"


def opened(tab: Tab, path: str) -> Tab:
    """With its stream of updates open. A mark stays as long as the page is not loaded again."""
    tab.goto(path)
    tab.wait_for_selector("html[data-live=yes]")
    tab.evaluate("window.mark = 1")
    return tab


def row(tab: Tab, name: str) -> Locator:
    return tab.locator("tbody tr", has=tab.get_by_role("link", name=name, exact=True)).first


def test_jobs_and_their_progress(world: World, tab: Tab) -> None:
    """Each master job is a row with its counts, shown by what came with the page."""
    world.master(10, 4, "ntuples")
    world.finish(10, {0: DONE})
    world.move(10, {1: RUNNING})
    world.finish(10, {2: failed(2)})
    opened(tab, "/")
    found = row(tab, "10 ntuples")
    expect(found).to_contain_text("2 / 4")
    expect(found.get_by_role("img")).to_have_attribute(
        "aria-label", "of 4: 1 completed, 1 failed, 1 running, 1 submitted"
    )


def test_a_transition_is_seen_without_loading_again(world: World, tab: Tab) -> None:
    """In the row of the subjob, in the counts, and in the list of jobs; and so is a new job."""
    world.master(11, 3)
    opened(tab, job(11))
    world.move(11, {1: RUNNING})
    expect(row(tab, "11.1")).to_contain_text("running")
    expect(tab.get_by_role("button", name="running 1")).to_be_visible()
    assert tab.evaluate("window.mark") == 1
    opened(tab, "/")
    world.finish(11, dict.fromkeys(range(3), DONE))
    expect(row(tab, "11 test")).to_contain_text("3 / 3")
    world.master(12, 1, "later")
    world.move(12, {0: RUNNING})
    expect(row(tab, "12 later")).to_contain_text("running")
    assert tab.evaluate("window.mark") == 1


def test_a_transition_is_seen_within_a_second(world: World, tab: Tab) -> None:
    """From its commit to its row; the quickest of several, for the machine may stand still."""
    subs = iter(range(20))
    world.master(21, 20)
    opened(tab, job(21))

    def seen_to_run() -> None:
        sub = next(subs)
        world.move(21, {sub: RUNNING})
        expect(row(tab, f"21.{sub}")).to_contain_text("running")

    assert quickest(seen_to_run, 1.0, tries=20) < 1.0


def test_filter_search_and_pages(world: World, tab: Tab) -> None:
    """The server pages; what was chosen stands in the address."""
    world.master(13, 130)
    world.move(13, dict.fromkeys(range(70), RUNNING))
    world.finish(13, {n: failed(n) for n in range(60, 64)})
    opened(tab, job(13))
    rows = tab.locator("#panel-subjobs tbody tr")
    expect(tab.get_by_text("1 to 50 of 130")).to_be_visible()
    expect(rows).to_have_count(50)
    tab.get_by_role("button", name="Next").click()
    expect(tab.get_by_text("51 to 100 of 130")).to_be_visible()
    expect(row(tab, "13.99")).to_be_visible()
    tab.get_by_role("button", name="failed 4").click()
    expect(rows).to_have_count(4)
    expect(row(tab, "13.60")).to_contain_text("SITE-B")
    assert "status=failed" in tab.url
    tab.get_by_role("searchbox").fill("scratch/61")
    expect(rows).to_have_count(1)
    tab.reload()
    expect(rows).to_have_count(1)
    expect(row(tab, "13.61")).to_be_visible()
    tab.get_by_role("searchbox").fill("n7")  # the backend's id
    tab.get_by_role("button", name="failed 4").click()
    expect(rows).to_have_count(11)  # n7, n70 to n79
    world.move(13, {71: RUNNING})
    expect(row(tab, "13.71")).to_contain_text("running")


def test_why(world: World, tab: Tab) -> None:
    """The evidence and how it came about, beside the list; Escape closes it."""
    world.master(14, 2)
    world.move(14, {1: RUNNING})
    world.finish(14, {1: failed(1)})
    opened(tab, job(14))
    tab.get_by_role("link", name="14.1").click()
    side = tab.get_by_role("complementary", name="Evidence")
    expect(side).to_contain_text("evidence: script: F, exit code 1")
    expect(side).to_contain_text("disk quota exceeded")
    expect(side.get_by_role("listitem")).to_have_text(
        [re.compile(status) for status in ("^failed", "^completing", "^running", "^submitted")]
    )
    assert "sub=1" in tab.url
    tab.keyboard.press("Escape")
    expect(side).to_be_hidden()
    expect(tab.get_by_role("link", name="14.1")).to_be_focused()


def test_failures_by_cause(world: World, tab: Tab) -> None:
    """What differs in numbers only is one cause; a cause leads to its subjobs."""
    world.master(15, 8)
    world.finish(15, {n: failed(n, f"SITE-{n % 2}") for n in range(5)})
    world.finish(15, {5: seen(JobStatus.FAILED, "TO", ended_at=NOW, exit_code=9)})
    opened(tab, job(15))
    tab.get_by_role("tab", name="Failures by cause").click()
    causes = tab.locator("#panel-causes tbody tr")
    expect(causes).to_have_count(2)
    expect(causes.first).to_contain_text("SITE-0 (3), SITE-1 (2)")
    expect(causes.first).to_contain_text("15.0, 15.1, 15.2")
    causes.first.get_by_role("link").click()
    expect(tab.locator("#panel-subjobs tbody tr")).to_have_count(5)
    tab.get_by_role("tab", name="Sites").click()
    expect(tab.locator("#panel-sites tbody tr", has_text="SITE-0")).to_contain_text("3")


def test_a_dead_letter_is_retried(world: World, tab: Tab) -> None:
    """By its button: the service takes it back, and the page shows that it is gone."""
    world.master(16, 2)
    world.set_aside(16, 1, "kept killing its workers")
    opened(tab, "/queues")
    letter = tab.locator("tbody tr", has=tab.get_by_role("button", name="Retry job 16.1, poll"))
    expect(letter).to_contain_text("kept killing its workers")
    letter.get_by_role("button", name="Retry").click()
    expect(letter).to_have_count(0)
    assert not [one for one in world.client().dead() if ":16:" in one.name]
    assert tab.evaluate("window.mark") == 1


def test_a_lane_is_paused_and_resumed(world: World, tab: Tab) -> None:
    """With the keyboard alone; the reason is the lane's."""
    opened(tab, "/lanes")
    tab.get_by_role("button", name=f"Pause {LANE}").focus()
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("dialog")).to_be_visible()
    tab.get_by_label("Why, for others to see").fill("the disks move")
    tab.keyboard.press("Enter")
    resume = tab.get_by_role("button", name=f"Resume {LANE}")
    expect(resume).to_be_visible()
    assert world.store.lane(str(LANE)).paused == "the disks move"
    expect(tab.locator("tbody")).to_contain_text("the disks move, until resumed")
    resume.press("Enter")
    expect(tab.get_by_role("button", name=f"Pause {LANE}")).to_be_visible()
    assert world.store.lane(str(LANE)).paused == ""


def test_by_keyboard(world: World, tab: Tab) -> None:
    """From the address to a subjob's evidence and back, and the keys are told."""
    world.master(17, 60, "keys")
    opened(tab, "/")
    tab.keyboard.press("Tab")
    expect(tab.get_by_role("link", name="To the content")).to_be_focused()
    tab.keyboard.press("/")
    expect(tab.get_by_role("searchbox")).to_be_focused()
    tab.keyboard.type("keys")
    expect(tab.locator("tbody tr")).to_have_count(1)
    tab.keyboard.press("Tab")
    tab.locator("#main").focus()
    tab.keyboard.press("j")
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"**{job(17)}**")
    tab.wait_for_selector("html[data-live=yes]")
    for key in ("j", "j", "k", "j"):
        tab.keyboard.press(key)
    expect(tab.get_by_role("link", name="17.1", exact=True)).to_be_focused()
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("complementary", name="Evidence")).to_be_focused()
    tab.keyboard.press("Escape")
    tab.keyboard.press("]")
    expect(tab.get_by_text("51 to 60 of 60")).to_be_visible()
    tab.keyboard.press("?")
    expect(tab.get_by_role("dialog", name="Keys")).to_be_visible()


def test_hostile_names_and_reasons_are_text(world: World, tab: Tab) -> None:
    """No element comes of them, nothing runs, and what would hide or control is shown."""
    world.master(18, 2, NAME)
    world.finish(18, {0: failed(0, site="<b>bold</b>")})
    opened(tab, "/")
    shown = '<img src=x onerror="alert(1)">\\x1b[31m\\u202e'
    expect(row(tab, f"18 {shown}")).to_be_visible()
    for path in (job(18), f"{job(18)}?tab=causes", f"{job(18)}?tab=sites", f"{job(18)}?sub=0"):
        opened(tab, path)
        panel = tab.locator("[role=tabpanel]:not([hidden])")
        expect(panel.get_by_text("<b>bold</b>").first).to_be_visible()
    expect(tab.get_by_role("complementary", name="Evidence")).to_contain_text(
        "<script>alert(2)</script>\\x1b[2Jdisk quota"
    )
    assert tab.locator("main img, main b:text('bold'), main script").count() == 0


def test_logging_in(world: World, browser: Browser) -> None:
    """The form leads to where one wanted to go; a wrong password is said; logging out ends it."""
    locked = Page(world, PASSWORD)
    context = browser.new_context(base_url=locked.url)
    try:
        tab = context.new_page()
        tab.set_default_timeout(PATIENCE)
        tab.goto("/lanes")
        expect(tab.get_by_label("Password")).to_be_focused()
        tab.keyboard.type("wrong password")
        tab.keyboard.press("Enter")
        expect(tab.get_by_role("alert")).to_have_text("That is not the password.")
        tab.get_by_label("Password").fill(PASSWORD)
        tab.get_by_role("button", name="Log in").click()
        tab.wait_for_url("**/lanes")
        tab.wait_for_selector("html[data-live=yes]")
        assert tab.evaluate("document.cookie") == ""
        tab.get_by_role("button", name="Log out").click()
        expect(tab.get_by_label("Password")).to_be_visible()
        tab.goto("/")
        assert "/login" in tab.url
    finally:
        context.close()
        locked.close()


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_page_is_wider_than_the_screen(world: World, tab: Tab, width: int) -> None:
    """On a phone too; what is wide scrolls within itself."""
    world.master(19, 3, "a-name-without-a-space-that-goes-on-" * 4)
    world.finish(19, {0: failed(0)})
    tab.set_viewport_size({"width": width, "height": 740})
    for path in ("/", job(19), f"{job(19)}?tab=causes", "/lanes", "/queues", "/sites", "/trends"):
        opened(tab, path)
        assert tab.evaluate("document.scrollingElement.scrollWidth") <= width, path


CONTRAST = """() => {
  const paint = (name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map(Number);
    probe.remove();
    return found;
  };
  const light = (name) => {
    const [r, g, b] = paint(name).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = {};
  for (const text of ["ink", "soft", "link", "wrong"])
    for (const ground of ["paper", "sheet", "sunk"]) {
      const [a, b] = [light(text), light(ground)].sort((x, y) => y - x);
      found[`${text} on ${ground}`] = (a + 0.05) / (b + 0.05);
    }
  return found;
}"""


def test_colours(tab: Tab) -> None:
    """As the system, or as chosen, which is kept; text stands out by WCAG's 4.5 in both."""
    grounds = {}
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        opened(tab, "/")
        contrast = tab.evaluate(CONTRAST)
        assert {pair: ratio for pair, ratio in contrast.items() if ratio < 4.5} == {}
        grounds[scheme] = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert grounds["light"] != grounds["dark"]
    tab.get_by_role("button", name="Colours: as the system").click()
    tab.reload()
    expect(tab.get_by_role("button", name="Colours: light")).to_be_visible()
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == grounds["light"]


def test_trends(world: World, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """States, transitions and lags are drawn as they come, and told as a table."""
    monkeypatch.setattr(trends, "STEP", 0.2)
    page = Page(world)
    context = browser.new_context(base_url=page.url)
    try:
        tab = opened(context.new_page(), "/trends")
        quiet = tab.locator("figure", has_text="Transitions")
        expect(quiet).to_contain_text("Nothing in this time.")
        expect(quiet.locator("svg text", has_text="e-")).to_have_count(0)
        world.master(20, 60)
        for sub in range(60):
            world.move(20, {sub: seen(JobStatus.COMPLETED, "CD", ended_at=time.time() - 2)})
        plot = tab.locator("figure", has_text="Lag")
        expect(plot.locator("path.series")).to_have_count(1)
        points = page.app.state.live.trends.points()
        until(lambda: page.app.state.live.trends.points()[-1] != points[-1], 90, "another point")
        plot.get_by_text("Figures").click()
        shown = f"{LANE.backend} · {LANE.endpoint}"
        expect(plot.get_by_role("columnheader")).to_have_text(["Time", shown])
        tab.locator("figure", has_text="Subjobs by status").locator("svg").focus()
        tab.keyboard.press("ArrowLeft")
        expect(tab.locator("figure", has_text="Subjobs by status")).to_contain_text("completing")
    finally:
        context.close()
        page.close()
