"""The file of DiracX's tokens: renewed under one lock, and only from a good answer."""

from __future__ import annotations

import base64
import fcntl
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangamon.errors import BackendUnreachable, CredentialMissing
from gangamon.grid.diracx import tokens


def jwt(expires: float) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": expires}).encode()).decode().rstrip("=")
    return f"e30.{claims}.x"


def written(path: Path, expires: float = 1.0, **given: Any) -> str:
    body = {"access_token": "a", "refresh_token": jwt(time.time() + 3600), "expires_on": expires}
    path.write_text(json.dumps({**body, **given}))
    return str(path)


def never(_: str) -> Any:
    raise AssertionError("renewed")


def valid(path: str, renew: Any, seconds: float = 60) -> tokens.Tokens:
    return tokens.valid(path, "", time.monotonic() + seconds, renew)


def test_good_ones_are_used(tmp_path: Path) -> None:
    path = written(tmp_path / "t", time.time() + 100)
    assert valid(path, never).access == "a"
    assert tokens.read(path).ends == pytest.approx(time.time() + 3600, abs=100)


def test_renewed(tmp_path: Path) -> None:
    """What is shorter than what was there leaves nothing of it behind."""
    path = written(tmp_path / "t", note="x" * 1000)
    answer = {"access_token": "b", "expires_in": 1200, "refresh_token": "c"}
    assert valid(path, lambda _: answer).access == "b"
    body = json.loads((tmp_path / "t").read_text())
    assert (body["access_token"], body["refresh_token"]) == ("b", "c")
    assert valid(path, never).access == "b"
    written(tmp_path / "t")
    kept = json.loads((tmp_path / "t").read_text())["refresh_token"]
    del answer["refresh_token"]
    assert valid(path, lambda _: answer).refresh == kept


@given(
    st.none()
    | st.text()
    | st.dictionaries(st.sampled_from(["access_token", "refresh_token"]), st.none() | st.integers())
)
def test_no_good_answer_leaves_them(tmp_path_factory: pytest.TempPathFactory, answer: Any) -> None:
    path = tmp_path_factory.mktemp("tokens") / "t"
    written(path)
    before = path.read_bytes()
    with pytest.raises(BackendUnreachable):
        valid(str(path), lambda _: answer)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "given_",
    [
        pytest.param({"refresh_token": None}, id="none"),
        pytest.param({"refresh_token": jwt(1)}, id="expired"),
        pytest.param({"access_token": 1}, id="no text"),
        pytest.param({"expires_on": "soon"}, id="no time"),
    ],
)
def test_none_that_can_be_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given_: dict[str, Any]
) -> None:
    monkeypatch.setattr(tokens, "PATIENCE", 0.0)
    with pytest.raises(CredentialMissing):
        valid(written(tmp_path / "t", **given_), never)


def test_another_process_renews_it(tmp_path: Path) -> None:
    """While that has the lock it is waited for, and not longer than there is time."""
    path = written(tmp_path / "t")
    with open(path) as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BackendUnreachable, match="lock"):
            valid(path, never, seconds=0.2)


def test_a_file_that_is_being_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DiracX's client empties it first: then there are not no tokens."""
    path = tmp_path / "t"
    path.touch()
    monkeypatch.setattr(tokens.time, "sleep", lambda _: written(path, time.time() + 100))
    assert valid(str(path), never).access == "a"
