"""Every storage, on a real server: whole or not at all, gone on with, refused with its reason."""

from __future__ import annotations

import errno
import os
import ssl
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gangamon.errors import BackendUnreachable, CredentialMissing, TransientError
from gangamon.fetchers import manifest, storage
from gangamon.fetchers.storage import landing
from gangamon.fetchers.storage.web import WebStorage
from gangamon.protocols import Source
from tests.integration.backends.certificates import Authority
from tests.support.filestore import filestore
from tests.support.storages import S3, Xrootd

LARGE = 20 << 20

#: Puts a file there, and says where it is.
Put = Callable[[str, bytes], Source]


@pytest.fixture(scope="module")
def xrootd() -> Iterator[Xrootd]:
    if missing := Xrootd.missing():
        pytest.skip(f"apt-get install {' '.join(missing)}")
    server = Xrootd()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    server = S3()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(params=["file", "http", "root", "s3"])
def put(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Put]:
    yield from putting(request.param, request, tmp_path)


@pytest.fixture(params=["http", "root", "s3"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Put]:
    """What is mounted is copied anew: that is as quick as to look what is there."""
    yield from putting(request.param, request, tmp_path)


def putting(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Put]:
    if kind == "http":
        with filestore() as store:

            def web(name: str, content: bytes) -> Source:
                store.files[f"/{name}"] = content
                return Source(f"{store.url}/{name}")

            yield web
    elif kind == "root":
        server = request.getfixturevalue("xrootd")
        yield lambda name, content: Source(server.put(f"{tmp_path.name}-{name}", content))
    elif kind == "s3":
        bucket = request.getfixturevalue("s3")
        yield lambda name, content: Source(
            bucket.put(f"{tmp_path.name}/{name}", content), bucket.credential
        )
    else:
        (tmp_path / "store").mkdir()

        def local(name: str, content: bytes) -> Source:
            (tmp_path / "store" / name).write_bytes(content)
            return Source(str(tmp_path / "store" / name))

        yield local


@pytest.fixture
def target(tmp_path: Path) -> Path:
    made = tmp_path / "output"
    made.mkdir()
    return made


@pytest.mark.parametrize("size", [0, 1, 2000, LARGE])
def test_brought_whole(put: Put, target: Path, size: int) -> None:
    content = os.urandom(size)
    source, place = put("data", content), target / "data"
    for _ in range(2):
        digest = storage.bring(source, str(place))
        assert place.read_bytes() == content
        assert digest == f"adler32:{zlib.adler32(content):08x}"
        assert os.listdir(target) == ["data"]


def test_what_is_not_there(put: Put, target: Path) -> None:
    gone = put("data", b"x")
    missing = Source(f"{gone.url}-none", gone.credential)
    with pytest.raises(TransientError, match="not there") as caught:
        storage.bring(missing, str(target / "data"))
    assert not isinstance(caught.value, BackendUnreachable)
    assert os.listdir(target) == []


class Cut:
    """A Landing whose disk fails after so many bytes; counts what is written."""

    def __init__(self, patch: pytest.MonkeyPatch, most: int) -> None:
        self.most, self.written = most, 0
        self._write = landing.Landing.write
        cut = self

        def write(place: landing.Landing, chunk: bytes) -> None:
            if cut.written >= cut.most:
                raise OSError(errno.EIO, "the disk has failed")
            cut.written += len(chunk)
            cut._write(place, chunk)

        patch.setattr(landing.Landing, "write", write)


def test_a_cut_is_gone_on_with(remote: Put, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By another call, from what is there, and not seen until it is whole."""
    content = os.urandom(LARGE)
    source, place = remote("data", content), target / "data"
    cut = Cut(monkeypatch, LARGE // 2)
    with pytest.raises(OSError, match="the disk has failed"):
        storage.bring(source, str(place))
    assert manifest.listing(str(target), (str(target.parent),)) == []
    first, cut.most = cut.written, LARGE * 2
    storage.bring(source, str(place))
    assert place.read_bytes() == content
    assert cut.written == LARGE
    assert LARGE > first >= LARGE // 2
    assert os.listdir(target) == ["data"]


def test_another_version_begins_anew(
    remote: Put, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two versions are never put together, and nothing of the old one stays."""
    source, place = remote("data", os.urandom(LARGE)), target / "data"
    cut = Cut(monkeypatch, LARGE // 2)
    with pytest.raises(OSError, match="the disk has failed"):
        storage.bring(source, str(place))
    content = os.urandom(LARGE + 1)
    assert remote("data", content) == source
    cut.most = LARGE * 3
    storage.bring(source, str(place))
    assert place.read_bytes() == content
    assert os.listdir(target) == ["data"]


def test_nobody_there(target: Path, s3: S3) -> None:
    for url in ("http://127.0.0.1:1/x", "root://127.0.0.1:1//x", "s3+http://127.0.0.1:1/b/x"):
        with pytest.raises(BackendUnreachable, match=r"127\.0\.0\.1:1"):
            storage.bring(Source(url, s3.credential if url.startswith("s3") else ""), str(target))
    assert os.listdir(target) == []


def test_by_a_grid_proxy(target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server asks for a certificate of the grid's CA, and is believed by that only."""
    authority = Authority(tmp_path)
    authority.certify("host", "localhost", "subjectAltName=DNS:localhost")
    authority.certify("user", "A User", "extendedKeyUsage=clientAuth")
    proxy = tmp_path / "proxy"
    authority.proxy(proxy, "user")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "host" / "cert.pem", tmp_path / "host" / "key.pem")
    tls.load_verify_locations(capath=str(authority.directory))
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.verify_flags |= ssl.VERIFY_ALLOW_PROXY_CERTS
    monkeypatch.setenv("X509_CERT_DIR", str(authority.directory))
    with filestore(tls) as store:
        store.files["/data"] = b"content"
        url = store.url.replace("https", "davs")
        web, other = WebStorage(), WebStorage()
        with pytest.raises(BackendUnreachable):
            web.bring(Source(f"{url}/data"), str(target / "data"))
        web.bring(Source(f"{url}/data", str(proxy)), str(target / "data"))
        assert (target / "data").read_bytes() == b"content"
        proxy.unlink()
        with pytest.raises(CredentialMissing, match=str(proxy)):
            web.bring(Source(f"{url}/data", str(proxy)), str(target / "data"))
        monkeypatch.setenv("X509_CERT_DIR", str(tmp_path))
        with pytest.raises(BackendUnreachable, match="certificate"):
            other.bring(Source(f"{url}/data"), str(target / "data"))
        for client in (*web._clients.values(), *other._clients.values()):
            client.close()
