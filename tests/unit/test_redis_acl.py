"""The ACL file: from the key map, one line for each role and owner."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from click.testing import CliRunner

from gangamon.cli import main
from gangamon.errors import BadInput
from gangamon.store import acl

SHARED = {
    *("schema", "epoch", "life", "journaled", "owners", "repos", "ended", "turn", "queues", "ring"),
    *(
        "dead",
        "leases",
        "wants",
        "lane",
        "budget",
        "calls",
        "lags",
        "tick",
        "celery",
        "counted",
        "processes",
    ),
}


def test_every_family_of_the_key_map_is_somebodys() -> None:
    """A new family of keys has no rule until somebody says whose it is."""
    assert acl.families() == {*acl.OWNED, *acl.QUEUES, *SHARED}


def test_no_pattern_of_an_owner_covers_another_whose_name_begins_alike() -> None:
    """alice is not alice2, nor alice.b: each pattern ends the name."""
    for rule in acl.rules("gm", ["alice"]):
        if rule.user.endswith("-alice"):
            patterns = [word for word in rule.rules if "alice" in word]
            assert patterns
            for word in patterns:
                after = word.rpartition("alice")[2]
                assert after in ("", ":*") or after.startswith("[^-a-zA-Z0-9_.@+]"), word


@pytest.mark.parametrize("name", ["*", "a b", "al?ce", "a:b", ""])
def test_a_name_that_would_be_a_pattern_is_refused(name: str) -> None:
    with pytest.raises(BadInput):
        acl.rules("gm", [name])


def test_the_command_makes_passwords_once(tmp_path: Path) -> None:
    """In files of mode 0600; the ACL file has their hashes, and the same ones again."""
    run = ["redis-acl", "--owner", "alice", "--secrets", str(tmp_path / "s")]
    first = CliRunner().invoke(main, run)
    assert first.exit_code == 0
    lines = first.stdout.splitlines()
    assert lines[0] == "user default reset off ~* &* +@all"
    path = tmp_path / "s" / "gangamon-client-alice"
    assert path.stat().st_mode & 0o777 == 0o600
    hashed = hashlib.sha256(path.read_bytes()).hexdigest()
    assert any(f"user gangamon-client-alice reset on #{hashed} " in line for line in lines)
    assert path.read_text() not in first.stdout
    assert CliRunner().invoke(main, run).stdout == first.stdout


def test_without_passwords_the_users_are_off() -> None:
    found = CliRunner().invoke(main, ["redis-acl", "--owner", "alice"])
    assert all(" reset off" in line for line in found.stdout.splitlines())


def test_nobody_is_the_default_user(tmp_path: Path) -> None:
    """It has no password, and is off, whatever it may do: see ``acl.rules``."""
    found = CliRunner().invoke(main, ["redis-acl", "--secrets", str(tmp_path)])
    (line,) = [one for one in found.stdout.splitlines() if one.startswith("user default ")]
    assert line == "user default reset off ~* &* +@all"
    assert not (tmp_path / "default").exists()
