"""What takes minutes to build is collected where it is asked for (``make compose-test``). It shares
one Docker engine and one base image. COMPOSE_CACHE names a directory that keeps that image and the
engine's layers between runs."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.composition import build_base
from tests.support.engine import CannotStart, engine, missing

collect_ignore_glob = [] if os.environ.get("COMPOSE_TEST") else ["test_compose_*"]


@pytest.fixture(scope="session")
def docker() -> Iterator[dict[str, str]]:
    """The environment of an engine that has the base image. Where none can be started that is told
    as the reason of an expected failure: not hidden as a pass, and no fault of what is tested."""
    if missing():
        pytest.skip(f"not installed: {', '.join(missing())}")
    cache = Path(os.environ["COMPOSE_CACHE"]) if os.environ.get("COMPOSE_CACHE") else None
    try:
        with engine(cache) as environ:
            begun = time.monotonic()
            build_base(environ, cache)
            print(f"base image in {time.monotonic() - begun:.0f} s")
            yield environ
    except CannotStart as why:
        pytest.xfail(f"no Docker engine can be started here: {why}")
