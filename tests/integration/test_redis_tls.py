"""Redis by TLS: both sides are verified, by the store's client and by Celery's transport."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError

from gangamon.errors import StoreUnavailable
from gangamon.store.redis import RedisStore
from tests.integration.backends.certificates import Authority
from tests.support.redis import PrivateRedis
from workers.supervisor import redis_server

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
pytestmark = needs_openssl


class Terminator:
    """TLS in front of a Redis on a unix socket; who has no certificate of the authority is turned
    away. The embedded server is built without TLS."""

    def __init__(self, target: Path, authority: Authority) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        place = authority.folder / "server"
        context.load_cert_chain(place / "cert.pem", place / "key.pem")
        context.load_verify_locations(authority.directory / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        self._context, self._target = context, target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            self._context.wrap_socket(raw, server_side=True) as tls,
            socket.socket(socket.AF_UNIX) as inner,
        ):
            inner.connect(str(self._target))
            tls.settimeout(0.02)  # a look at one side, then at the other
            inner.settimeout(0.02)
            while True:
                for source, sink in ((tls, inner), (inner, tls)):
                    with contextlib.suppress(TimeoutError):
                        if not (data := source.recv(65536)):
                            return
                        sink.sendall(data)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """(host and port, the folder of the certificates)."""
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder)
    server = "extendedKeyUsage=serverAuth\nsubjectAltName=IP:127.0.0.1"
    authority.certify("server", "CN=redis", server)
    authority.certify("client", "CN=worker", "extendedKeyUsage=clientAuth")
    other = folder / "other"
    other.mkdir()
    Authority(other)
    redis = PrivateRedis(folder)
    redis.start()
    terminator = Terminator(redis.socket, authority)
    yield f"127.0.0.1:{terminator.port}", folder
    terminator.close()
    redis.close()


def url(place: tuple[str, Path], authority: str = "ca", mine: bool = True) -> str:
    host, folder = place
    files = f"ssl_ca_certs={folder}/{authority}/ca.pem"
    if mine:
        files += f"&ssl_certfile={folder}/client/cert.pem&ssl_keyfile={folder}/client/key.pem"
    return f"rediss://{host}/0?{files}"


def test_the_store_and_the_broker_come_in(place: tuple[str, Path]) -> None:
    """With the authority's certificate and their own."""
    assert RedisStore(url(place)).epoch()
    with redis_server.broker(url(place)) as connection:
        connection.ensure_connection(max_retries=1, timeout=60)
        assert connection.default_channel.client.ping()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("authority", "mine"), [("other/ca", True), ("ca", False)], ids=["server", "client"]
)
def test_who_is_not_certified_is_refused(
    place: tuple[str, Path], authority: str, mine: bool
) -> None:
    """A server of another authority, by us; us without a certificate, by the server."""
    address = url(place, authority, mine)
    with pytest.raises(StoreUnavailable):
        RedisStore(address).epoch()
    with pytest.raises((OperationalError, OSError)), redis_server.broker(address) as connection:
        connection.default_channel.client.ping()  # type: ignore[attr-defined]
