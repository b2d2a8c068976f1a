"""The page's own files: kept by a browser while they are the same, and all asked for at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from gangamon.web.files import Files
from tests.support.commands import REPOSITORY
from tests.support.page import Page, World, ask_at

ADDRESSED = re.compile(r'(?:src|href)="(/static/[^"]+)"')

#: Bytes that came over the network for an address; 0: the browser had kept it.
SENT = "(name) => performance.getEntriesByName(name)[0].transferSize"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    world = World(tmp_path_factory.mktemp("world"))
    try:
        world.master(7, 3)
        made = Page(world)
        yield made
        made.close()
    finally:
        world.close()


def test_what_a_page_names_is_kept_by_the_browser(page: Page) -> None:
    """For ever, under an address that is another when the file is."""
    addresses = ADDRESSED.findall(ask_at(page.url, "/").body)
    assert len(addresses) >= 6
    for address in addresses:
        answer = ask_at(page.url, address)
        assert answer.status == 200
        assert "immutable" in answer.headers["Cache-Control"]
        assert "Content-Encoding" not in answer.headers
        packed = ask_at(page.url, address, Accept_Encoding="gzip, br")
        assert packed.body == answer.body
    script = next(a for a in addresses if a.endswith("/dom.js"))
    assert ask_at(page.url, script, Accept_Encoding="gzip").headers["Content-Encoding"] == "gzip"
    assert ask_at(page.url, script).headers["Content-Type"].startswith("text/javascript")
    assert ask_at(page.url, script, "POST", "x").status == 405


@pytest.mark.parametrize("version", ["", "0123456789abcdef/"])
def test_another_version_is_not_kept(page: Page, version: str) -> None:
    """A page that was open while the service was updated gets what there is, for now."""
    answer = ask_at(page.url, f"/static/{version}dom.js")
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")


@pytest.mark.parametrize("path", ["", "nothing.js", "../app.py", "%2e%2e/app.py", "x/y/dom.js"])
def test_nothing_else_is_a_file(page: Page, path: str) -> None:
    assert ask_at(page.url, f"/static/{path}").status == 404


def test_the_version_is_that_of_what_the_files_hold(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\nb();\n')
    (tmp_path / "b.js").write_text('import { c } from "./c.js";\nimport { a } from "./a.js";\n')
    (tmp_path / "c.js").write_text("// nothing\n")
    first = Files(tmp_path)
    assert first.modules("a.js") == ["b.js", "c.js", "a.js"]
    assert Files(tmp_path).version == first.version
    (tmp_path / "c.js").write_text("// another\n")
    assert Files(tmp_path).version != first.version


def test_a_browser_asks_once_for_each_and_not_again(page: Page, browser: Browser) -> None:
    """All that a page's scripts import stands in the page; the next page finds them kept."""
    context = browser.new_context(base_url=page.url)
    try:
        tab = context.new_page()
        tab.set_default_timeout(90_000)
        sent: list[str] = []
        tab.on("response", lambda r: sent.append(r.url) if "/static/" in r.url else None)
        tab.goto(f"/jobs/{REPOSITORY}/7")
        tab.wait_for_selector("html[data-live=yes]")
        named = {page.url + address for address in ADDRESSED.findall(tab.content())}
        loaded = [url for url in sent if not url.endswith(".svg")]
        assert sorted(loaded) == sorted(set(loaded))
        assert set(loaded) <= named
        tab.goto("/")
        tab.wait_for_selector("html[data-live=yes]")
        kept = next(url for url in loaded if url.endswith("/service.js"))
        assert tab.evaluate(SENT, kept) == 0
    finally:
        context.close()
