"""The connection to Redis, and the one place where its errors become ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from gangamon.errors import SchemaMismatch, StoreUnavailable
from gangamon.store.keys import SCHEMA, Keys

#: Seconds until a call gives up. Longer than any script, shorter than a person's patience.
TIMEOUT = 5.0

#: Answers that say that Redis cannot now: its disk is full, a script runs, no replica is there. In
#: a pipeline they follow the command that had it.
_PASSING = re.compile(r"(^|caused error: )(MISCONF|LOADING|BUSY|MASTERDOWN|NOREPLICAS) ")


def connect(url: str, timeout: float = TIMEOUT) -> redis.Redis:
    """A client for ``url``. One retry: the first call after a restart meets a dead socket. None
    after a time-out: it would last twice as long."""
    tcp: dict[str, Any] = {}
    if not url.startswith("unix:"):
        tcp = {"socket_keepalive": True, "socket_connect_timeout": min(timeout, 2.0)}
    return redis.Redis.from_url(
        url,
        protocol=2,
        decode_responses=True,
        socket_timeout=timeout,
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        retry_on_error=[redis.ConnectionError],
        **tcp,
    )


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Redis's errors as StoreUnavailable: away, loading, out of memory, read-only."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise StoreUnavailable(f"Redis at {shown(url)}: {error}") from error
    except (redis.ReadOnlyError, redis.OutOfMemoryError) as error:
        raise StoreUnavailable(f"Redis at {shown(url)} takes no writes: {error}") from error
    except redis.ResponseError as error:
        if not _PASSING.search(str(error)):
            raise
        raise StoreUnavailable(f"Redis at {shown(url)} takes no calls now: {error}") from error


def shown(url: str) -> str:
    """The URL as people may see it: without user and password."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def check_schema(connection: redis.Redis, keys: Keys) -> None:
    """Begin or check the schema; SchemaMismatch if the store is newer than this version."""
    connection.set(keys.of("schema"), SCHEMA, nx=True)
    found = int(str(connection.get(keys.of("schema"))))
    if found > SCHEMA:
        raise SchemaMismatch(
            f"the store has schema {found}; this gangamon knows up to {SCHEMA}: update gangamon"
        )
