"""The connection to Redis, and the one place where its errors become ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError
from redis.retry import Retry
from redis.sentinel import Sentinel

from gangamon import redis_url
from gangamon.errors import NotPermitted, SchemaMismatch, StoreUnavailable
from gangamon.redis_url import shown
from gangamon.store.keys import SCHEMA, Keys

#: Seconds until a call gives up. Longer than any script, shorter than a person's patience.
TIMEOUT = 5.0

#: Answers that say that Redis cannot now: its disk is full, a script runs, no replica is there. In
#: a pipeline they follow the command that had it.
_PASSING = re.compile(r"(^|caused error: )(MISCONF|LOADING|BUSY|MASTERDOWN|NOREPLICAS) ")


def connect(
    url: str, timeout: float = TIMEOUT, met: Callable[[Any], None] | None = None
) -> redis.Redis:
    """A client for ``url`` (``gangamon.redis_url``). One retry: the first call after a restart
    meets a dead socket. None after a time-out: it would last twice as long. ``met``: called with
    each new connection, before anything else is sent by it."""
    address = redis_url.parse(url)
    patience = min(timeout, 2.0)
    options: dict[str, Any] = {
        "db": address.db,
        "protocol": 2,
        "decode_responses": True,
        "socket_timeout": timeout,
        "retry": Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        "retry_on_error": [redis.ConnectionError],
        **address.credentials(),
    }
    if met is not None:
        options["redis_connect_func"] = partial(_first, met)
    if address.scheme == "unix":
        return redis.Redis(unix_socket_path=address.path, **options)
    options |= {"socket_keepalive": True, "socket_connect_timeout": patience, **address.tls()}
    secured = bool(address.tls())
    if not address.sentinel:
        (host, port), *_ = address.hosts
        return redis.Redis(host=host, port=port, ssl=secured, **options)
    sentinels = Sentinel(  # type: ignore[no-untyped-call]
        address.hosts,
        sentinel_kwargs={
            "socket_timeout": patience,
            "socket_connect_timeout": patience,
            "retry": Retry(NoBackoff(), 0),
            **address.sentinel_credentials(),
            **({"ssl": True, **address.tls()} if secured else {}),
        },
    )
    client: redis.Redis = sentinels.master_for(  # type: ignore[no-untyped-call]
        address.master, ssl=secured, **options
    )
    return client


def _first(met: Callable[[Any], None], connection: Any) -> None:
    connection.on_connect()
    met(connection)


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Redis's errors as StoreUnavailable (away, loading, out of memory, read-only) or
    NotPermitted."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise StoreUnavailable(f"Redis at {shown(url)}: {error}") from error
    except (redis.ReadOnlyError, redis.OutOfMemoryError) as error:
        raise StoreUnavailable(f"Redis at {shown(url)} takes no writes: {error}") from error
    except NoPermissionError as error:
        raise NotPermitted(
            f"Redis at {shown(url)}: the user of redis.url may not do this: {error}"
        ) from error
    except redis.ResponseError as error:
        if not _PASSING.search(str(error)):
            raise
        raise StoreUnavailable(f"Redis at {shown(url)} takes no calls now: {error}") from error


def granted(answers: Sequence[Any]) -> list[Any]:
    """Of a pipeline: None in the place of what an ACL refuses; any other error is raised."""
    for answer in answers:
        if isinstance(answer, Exception) and not isinstance(answer, NoPermissionError):
            raise answer
    return [None if isinstance(answer, Exception) else answer for answer in answers]


def check_schema(connection: redis.Redis, keys: Keys) -> None:
    """Begin or check the schema; SchemaMismatch if the store is newer than this version."""
    found_text = connection.get(keys.of("schema"))  # an owner's worker may only read it
    if found_text is None:
        connection.set(keys.of("schema"), SCHEMA, nx=True)
        found_text = connection.get(keys.of("schema"))
    found = int(str(found_text))
    if found > SCHEMA:
        raise SchemaMismatch(
            f"the store has schema {found}; this gangamon knows up to {SCHEMA}: update gangamon"
        )
