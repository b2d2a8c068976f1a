"""How fetchers of the grid begin and end."""

from __future__ import annotations

from pathlib import Path

import pytest

from gangamon.errors import (
    BackendUnreachable,
    BadInput,
    CredentialMissing,
    OutputMissing,
    StorageAway,
    TransientError,
)
from gangamon.fetchers.bringing import brought
from gangamon.protocols import FetchOrder
from gangamon.testing.factories import fetch_order


def order(top: Path) -> FetchOrder:
    return fetch_order(str(top / "42" / "0" / "output"), [str(top)])


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        pytest.param(CredentialMissing("x"), StorageAway, id="credential"),
        pytest.param(BackendUnreachable("x"), StorageAway, id="unreachable"),
        pytest.param(OSError(5, "x"), StorageAway, id="file system"),
        pytest.param(OutputMissing("x"), OutputMissing, id="missing"),
        pytest.param(TransientError("x"), TransientError, id="try again"),
    ],
)
def test_what_becomes_of_errors(tmp_path: Path, error: Exception, kind: type[Exception]) -> None:
    (tmp_path / "41").mkdir()

    def bring(order: FetchOrder, target: str) -> list[str]:
        raise error

    with pytest.raises(kind) as caught:
        brought(order(tmp_path), bring)
    assert type(caught.value) is kind


def test_brought_once(tmp_path: Path) -> None:
    """Into a directory that is made, unless nothing is where it is to be."""
    times = []

    def bring(order: FetchOrder, target: str) -> list[str]:
        times.append(target)
        Path(target, "out").write_text("hello\n")
        return ["'../up': leads out"]

    with pytest.raises(StorageAway, match="empty"):
        brought(order(tmp_path), bring)
    (tmp_path / "41").mkdir()
    first = brought(order(tmp_path), bring)
    assert [path for path, _, _ in first.files] == ["out"]
    assert first.left_out == ("'../up': leads out",)
    assert brought(order(tmp_path), bring) == first
    assert len(times) == 1
    with pytest.raises(BadInput):
        brought(fetch_order("/elsewhere", [str(tmp_path)]), bring)
