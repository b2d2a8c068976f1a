"""Where Ganga finds DIRAC, as the endpoint and the credential of a lane."""

from __future__ import annotations

import pytest

from gangamon.adapter.handover import dirac_env
from gangamon.grid.dirac import environment


@pytest.mark.parametrize(
    ("own", "json", "source", "file", "expected"),
    [
        (None, None, "/cvmfs/x/bashrc", "/old", "/cvmfs/x/bashrc"),
        (None, None, "/cvmfs/x/bashrc -v 9 ", "", "/cvmfs/x/bashrc -v 9"),
        (None, "/home/u/env.json", "/cvmfs/x/bashrc", "", "json:/home/u/env.json"),
        ("/cvmfs/y/bashrc", "/home/u/env.json", "/cvmfs/x/bashrc", "", "/cvmfs/y/bashrc"),
        (None, None, None, "/old", "/old"),
        (None, None, "~/dirac/../bashrc", "", "/home/u/bashrc"),
        (None, "$HOME/env.json", None, "", "json:/home/u/env.json"),
        (None, None, None, "", ""),
        (None, None, " ", "", ""),
    ],
)
def test_endpoint(
    monkeypatch: pytest.MonkeyPatch,
    own: str | None,
    json: str | None,
    source: str | None,
    file: str | None,
    expected: str,
) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    assert dirac_env.endpoint(own, json, source, file) == expected


@pytest.mark.parametrize(
    ("base", "encoded", "expected"),
    [
        (None, "", "/tmp/x509up_u1000"),
        (None, "lhcb_user", "/tmp/x509up_u1000:lhcb_user"),
        ("/home/u/proxy", "lhcb_user", "/home/u/proxy:lhcb_user"),
        ("/home/u/proxy:lhcb_user", "lhcb_user", "/home/u/proxy:lhcb_user"),
        ("/home/u/proxy", "", "/home/u/proxy"),
    ],
)
def test_proxy(base: str | None, encoded: str, expected: str) -> None:
    assert dirac_env.proxy(base, 1000, encoded) == expected


def test_both_sides_mean_the_same() -> None:
    assert dirac_env.JSON == environment.JSON
