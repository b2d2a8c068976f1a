"""Sentinel and replicas under their own roles of the ACL, with TLS and without: they follow, fail
over, and are refused nothing; the service comes in through them."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError

from gangamon.errors import GangamonError, NotPermitted, StoreUnavailable
from gangamon.store.inbox import ClientStore
from gangamon.store.redis import RedisStore
from tests.support.commands import REPOSITORY, enqueue, register
from tests.support.sentinel_guarded import WITH_TLS, Guards
from tests.support.waiting import until
from tests.support.worker import OWNER
from workers.supervisor import redis_server


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def guards(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Guards]:
    if request.param and not (shutil.which(WITH_TLS) and shutil.which("openssl")):
        pytest.skip("no Redis with TLS: apt install redis-tools openssl")
    found = Guards(tmp_path, tls=request.param)
    try:
        found.start()
        yield found
    finally:
        found.close()


def test_a_fail_over_under_the_acl(guards: Guards) -> None:
    """Replicas follow with ``gangamon-replica``, sentinels agree and fail over with
    ``gangamon-sentinel``; what was written is on the new master, and the roles hold there too."""
    store = RedisStore(guards.as_("gangamon-tick"))
    epoch = store.epoch()
    store.register(OWNER, register(str(guards.folder)))
    client = ClientStore(guards.as_(f"gangamon-client-{OWNER}"))
    (sent,) = client.send(OWNER, ["{}"])
    with redis_server.broker(guards.as_("gangamon-tick")) as connection:
        connection.ensure_connection(max_retries=1, timeout=60)
        assert connection.default_channel.client.ping()  # type: ignore[attr-defined]
    # The master waits until a replica has it, so that it is there after the fail-over.
    assert guards.connection().wait(1, 60_000) >= 1
    old = guards.kill()
    until(lambda: guards.master() != old, 120, "the sentinels fail over", guards._told)

    def new_epoch() -> bool:
        with contextlib.suppress(GangamonError):
            return store.epoch() != epoch
        return False

    until(new_epoch, 120, "a new epoch on the new master", guards._told)
    assert sent in client.waiting(OWNER, [sent])
    guards.mend()
    with pytest.raises(NotPermitted):
        client.send("bob", ["{}"])
    asked = f"gangamon-client-{OWNER}"
    assert [entry for entry in guards.refused() if entry[0] != asked] == []


def test_a_restart_under_the_acl_loses_nothing(guards: Guards) -> None:
    """What a script wrote is read again from the append-only file: Redis 7.0 does that as the user
    ``default``, and leaves out what it may not do."""
    store = RedisStore(guards.as_("gangamon-tick"))
    store.register(OWNER, register(str(guards.folder)))
    specs = enqueue(3, "e1", master=7, workspace=str(guards.folder / "7"))
    assert not store.enqueue(OWNER, "", specs)
    keys = guards.connection().dbsize()
    until(lambda: guards.connection().info("persistence")["aof_pending_bio_fsync"] == 0, 60, "disk")
    guards.restart()
    assert guards.connection().dbsize() == keys
    master = store.master(OWNER, REPOSITORY, 7)
    assert master is not None
    assert sorted(store.jobs(master, None)) == [0, 1, 2]
    assert guards.refused() == []


def test_who_has_no_login_at_the_sentinels_learns_nothing(guards: Guards) -> None:
    """Nor who has none at Redis; nor a client without the certificate of the authority."""
    good = guards.as_("gangamon-tick")
    files = dict(part.split("=") for part in good.partition("?")[2].split("&"))
    for name in ("sentinel_password_file", "password_file", "ssl_certfile"):
        if name not in files:
            continue
        url = good.replace(f"&{name}={files[name]}", "")
        if name == "ssl_certfile":
            url = url.replace(f"&ssl_keyfile={files['ssl_keyfile']}", "")
        with pytest.raises(StoreUnavailable):
            RedisStore(url).epoch()
        with pytest.raises((OperationalError, OSError)), redis_server.broker(url) as connection:
            connection.ensure_connection(max_retries=1, timeout=60)
            connection.default_channel.client.ping()  # type: ignore[attr-defined]
    assert RedisStore(good).epoch()
