"""docs/security.md: each threat has a test, and each test that it names is there."""

from __future__ import annotations

import re

from tests.support.local_jobs import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
THREATS = PAGE.partition("## The threats, line by line")[2].partition("\n## ")[0]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_each_threat_names_its_test() -> None:
    rows = [line for line in THREATS.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 15
    assert [row for row in rows if not NAMED.search(row)] == []


def test_each_test_is_there() -> None:
    missing = [
        f"{path}::{name}"
        for path, name in NAMED.findall(PAGE)
        if not (ROOT / path).exists() or f"def {name}(" not in (ROOT / path).read_text()
    ]
    assert missing == []
