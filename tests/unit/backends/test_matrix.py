"""The table of docs/backends.md that says which end is tested where, against the tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TESTS = ROOT / "tests" / "integration" / "backends"

#: What a backend cannot do, where it names no test.
CANNOT = {
    "no limits",
    "its batch system's word",
    "starts none over",
    "has none",
    "never given again",
}

ENDS = 10


def table() -> list[list[str]]:
    """Its rows, the first of which is the head."""
    text = (ROOT / "docs" / "backends.md").read_text()
    part = text.partition("## Which end is tested where")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows]


def found_in(file: Path) -> dict[str, str]:
    """Name of a test or class of tests -> its source."""
    text = file.read_text()
    return {
        node.name: ast.get_source_segment(text, node) or ""
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }


def test_each_cell_names_a_test_that_is_there() -> None:
    """Or says why there is none; and the job in brackets is one of that backend's test jobs."""
    head, *rows = table()
    assert len(rows) == ENDS and all(len(row) == len(head) for row in rows)
    for column, title in enumerate(head[1:], 1):
        match = re.fullmatch(r"\w+ `(test_(\w+)\.py)`", title)
        assert match, title
        there = found_in(TESTS / match[1])
        helper = TESTS / f"{match[2]}_jobs.py"
        text = (TESTS / match[1]).read_text() + (helper.read_text() if helper.exists() else "")
        for row in rows:
            if row[column] in CANNOT:
                continue
            cell = re.fullmatch(r"`(\w+)`(?: \(([\w ]+)\))?", row[column])
            assert cell, (title, row[0], row[column])
            assert cell[1] in there, (title, row[0], cell[1])
            assert not cell[2] or f'"{cell[2]}"' in text, (title, row[0], cell[2])
