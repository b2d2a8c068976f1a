"""The job page behind a server that does TLS, under a path of that server's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, expect

from gangamon.domain.observation import Seen
from gangamon.domain.status import JobStatus
from tests.support.commands import REPOSITORY
from tests.support.page import Answer, Page, World, ask_at
from tests.support.tlsproxy import TlsProxy

PASSWORD = "correct horse battery"
PREFIX = "/monitor/ganga"
PATIENCE = 90_000


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Page]]:
    world = World(tmp_path_factory.mktemp("world"))
    try:
        world.master(7, 3)
        made = Page(world, PASSWORD, PREFIX)
        yield world, made
        made.close()
    finally:
        world.close()


@pytest.fixture(params=["stripped", "kept"])
def proxy(
    request: pytest.FixtureRequest, page: tuple[World, Page], tmp_path: Path
) -> Iterator[TlsProxy]:
    """One that takes the prefix away, and one that does not."""
    made = TlsProxy(tmp_path, page[1].url, PREFIX, strip=request.param == "stripped")
    yield made
    made.close()


def ask(proxy: TlsProxy, path: str, method: str = "GET", body: str = "", **more: str) -> Answer:
    return ask_at(proxy.url, path, method, body, proxy.authority, **more)


def test_the_cookie_is_for_https_and_for_this_path(proxy: TlsProxy) -> None:
    """Because the browser's Origin says https; what else a proxy may say is not believed."""
    form = {"Content_Type": "application/x-www-form-urlencoded", "Origin": proxy.url}
    body = urlencode({"password": PASSWORD, "to": f"{PREFIX}/lanes"})
    answer = ask(proxy, f"{PREFIX}/login", "POST", body, **form)
    assert (answer.status, answer.headers["Location"]) == (303, f"{PREFIX}/lanes")
    cookie = answer.headers["Set-Cookie"]
    assert "Secure" in cookie and "HttpOnly" in cookie and f"Path={PREFIX}" in cookie
    assert ask(proxy, f"{PREFIX}/lanes", Cookie=cookie.partition(";")[0]).status == 200
    other = {**form, "Origin": "https://evil.example.org"}
    assert ask(proxy, f"{PREFIX}/login", "POST", body, **other).status == 403


def test_every_address_stays_below_the_prefix(proxy: TlsProxy) -> None:
    """The way to the login and back, what a page loads, and where a login may lead."""
    answer = ask(proxy, f"{PREFIX}/lanes?x=1")
    wanted = urlencode({"to": f"{PREFIX}/lanes?x=1"})
    assert (answer.status, answer.headers["Location"]) == (303, f"{PREFIX}/login?{wanted}")
    key = {"Authorization": f"Bearer {PASSWORD}"}
    body = ask(proxy, f"{PREFIX}/", **key).body
    assert f'data-root="{PREFIX}"' in body
    for name in ('href="/', 'src="/', 'action="/'):
        assert body.count(name) == body.count(name + PREFIX[1:]) > 0, name
    assert ask(proxy, f"{PREFIX}/api/v1/jobs", **key).status == 200
    assert ask(proxy, f"{PREFIX}/api/v1/jobs").status == 401
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    for to in ("/", "/elsewhere", "//evil.example.org"):
        given = urlencode({"password": PASSWORD, "to": to})
        answer = ask(proxy, f"{PREFIX}/login", "POST", given, **form)
        assert answer.headers["Location"] == f"{PREFIX}/", to


def test_a_browser_logs_in_and_follows(
    page: tuple[World, Page], proxy: TlsProxy, browser: Browser
) -> None:
    """A page, its files and its stream come through the proxy; a change is made, and seen."""
    world, _ = page
    number = 8 if world.client().master(REPOSITORY, 8) is None else 9
    world.master(number, 2)
    # Its authority is the test's own, which the browser does not know.
    context = browser.new_context(base_url=proxy.url, ignore_https_errors=True)
    try:
        tab = context.new_page()
        tab.set_default_timeout(PATIENCE)
        faults: list[str] = []
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.goto(f"{PREFIX}/jobs/{REPOSITORY}/{number}")
        tab.get_by_label("Password").fill(PASSWORD)
        tab.keyboard.press("Enter")
        tab.wait_for_selector("html[data-live=yes]")
        assert urlsplit(tab.url).path == f"{PREFIX}/jobs/{REPOSITORY}/{number}"
        (cookie,) = context.cookies()
        assert (cookie["secure"], cookie["httpOnly"], cookie["path"]) == (True, True, PREFIX)
        world.move(number, {1: Seen("R", JobStatus.RUNNING, "script", site="A")})
        found = tab.locator("tbody tr", has=tab.get_by_role("link", name=f"{number}.1"))
        expect(found).to_contain_text("running", timeout=PATIENCE)
        tab.get_by_role("button", name="Ask the backend now").click()
        expect(tab.locator("#news")).to_contain_text("Asked", timeout=PATIENCE)
        tab.get_by_role("link", name="Lanes", exact=True).click()
        tab.wait_for_url(f"**{PREFIX}/lanes")
        tab.get_by_role("button", name="Log out").click()
        expect(tab.get_by_label("Password")).to_be_visible(timeout=PATIENCE)
        assert context.cookies() == []
    finally:
        context.close()
    assert faults == []
