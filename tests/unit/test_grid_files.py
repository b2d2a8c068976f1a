"""Which file a grid job's credential is."""

from __future__ import annotations

from pathlib import Path

import pytest

from gangamon.adapter.handover import grid_files


@pytest.mark.parametrize(
    ("environ", "encoded", "expected"),
    [
        ({"X509_USER_PROXY": "/p", "BEARER_TOKEN_FILE": "/t"}, None, "/p"),
        ({"BEARER_TOKEN_FILE": "/t"}, None, "/t"),
        ({"BEARER_TOKEN_FILE": "/t"}, "", "/tmp/x509up_u7654321"),
        ({"X509_USER_PROXY": "/p"}, "", "/p"),
        ({"X509_USER_PROXY": "/p"}, "vo:role", "/p:vo:role"),
        ({}, None, "/tmp/x509up_u7654321"),
    ],
)
def test_credential(environ: dict[str, str], encoded: str | None, expected: str) -> None:
    assert grid_files.credential(environ, 7654321, encoded) == expected


def test_a_token_that_is_there(tmp_path: Path) -> None:
    token = tmp_path / "bt_u7654321"
    token.touch()
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    assert grid_files.credential(environ, 7654321, None) == str(token)


def test_diracx_tokens() -> None:
    usual = Path("~/.cache/diracx/credentials.json").expanduser()
    assert grid_files.diracx({}) == str(usual)
    assert grid_files.diracx({"DIRACX_CREDENTIALS_PATH": "/t"}) == "/t"
