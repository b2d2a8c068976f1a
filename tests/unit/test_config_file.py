"""The shipped config file is the documentation of the settings."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from gangamon import settings

FILE = Path(__file__).parents[2] / "config" / "gangamon.toml"
KEY = re.compile(r"^# (\w+) = ", re.MULTILINE)
TABLE = re.compile(r"^(?:# )?\[([\w.]+)\]$", re.MULTILINE)


def test_it_names_every_key_and_no_other() -> None:
    """Each key of the settings stands in it, commented out, in its table."""
    found: set[str] = set()
    table = ""
    for line in FILE.read_text().splitlines():
        if header := TABLE.match(line):
            table = header[1]
        elif key := KEY.match(line):
            found.add(f"{table}.{key[1]}".lstrip("."))
    backend = {f"backends.Local.{key}" for key in settings.BACKEND_KEYS}
    assert found == set(settings._KEYS) | backend


def test_as_it_is_it_changes_nothing() -> None:
    """It is TOML, and every default in it is the default."""
    text = FILE.read_text()
    assert replace(settings.load({}, FILE), source="") == settings.load({})
    given = settings.tomllib.loads(re.sub(r"^# (?=\w+ = |\[)", "", text, flags=re.MULTILINE))
    plain = settings.load({})
    for name, key in settings._KEYS.items():
        first, _, second = name.partition(".")
        value = given[first][second] if second else given[first]
        if name not in ("state_dir", "owner", "roots", "local_dir"):
            assert key.read(value) == getattr(plain, key.attribute), name
