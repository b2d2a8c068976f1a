"""Both kinds of store that a contract of the store must hold on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import fakeredis
import pytest
import redis

from tests.support.redis import PrivateRedis


@pytest.fixture(scope="session")
def private_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRedis]:
    private = PrivateRedis(tmp_path_factory.mktemp("redis"))
    private.start()
    yield private
    private.close()


@pytest.fixture(params=["fakeredis", "redis"])
def connection(request: pytest.FixtureRequest) -> Callable[[], redis.Redis]:
    """New connections to one empty store: fakeredis (the same Lua), then a real server."""
    if request.param == "fakeredis":
        memory = fakeredis.FakeServer()
        return lambda: fakeredis.FakeRedis(server=memory, decode_responses=True, protocol=2)
    private: PrivateRedis = request.getfixturevalue("private_redis")
    private.connection().flushall()
    return private.connection
