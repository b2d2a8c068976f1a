"""A running service, and Ganga sessions that use it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.integration.ganga.service import Service
from tests.integration.ganga.session import Session


@pytest.fixture(autouse=True, scope="session")
def _ganga() -> None:
    if find_spec("ganga") is None:
        pytest.skip("Ganga is not installed")


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """One service for all tests that leave it as it is; their repositories differ."""
    found = Service()
    try:
        found.up()
        yield found
    finally:
        found.close()


@pytest.fixture
def own_service() -> Iterator[Service]:
    """A service of the test's own, not yet up."""
    found = Service()
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def ganga(tmp_path: Path, service: Service) -> Session:
    """A user with an empty repository."""
    return Session(tmp_path, service.environ)


@pytest.fixture
def ganga_of(tmp_path: Path) -> Callable[[Service], Session]:
    return lambda service: Session(tmp_path, service.environ)


@pytest.fixture
def alone(tmp_path: Path) -> Session:
    """A user without a service."""
    return Session(tmp_path, {**os.environ, "GANGAMON_STATE_DIR": str(tmp_path / "none")})
