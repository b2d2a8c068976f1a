"""ARC asked with a bearer token, of a server that stands in for A-REX: 6.17 could not be made to
believe an issuer of tokens whose certificate is of the tests' own CA."""

from __future__ import annotations

import base64
import getpass
import json
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gangamon.backends.arc import ArcBackend
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Seen
from gangamon.domain.status import JobStatus
from gangamon.errors import BackendUnreachable, CredentialMissing, RateLimited, TransientError
from gangamon.testing.factories import poll_item
from tests.integration.backends.certificates import Authority
from tests.support.webserver import Reply, Request, serving

Answer = Callable[[Request], Reply]


def token(path: Path, ends: float) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": ends}).encode()).decode().rstrip("=")
    path.write_text(f"e30.{claims}.x\n")
    return f"e30.{claims}.x"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    found = Authority(tmp_path_factory.mktemp("authority"))
    found.certify("host", "localhost", "subjectAltName=DNS:localhost")
    return found


@pytest.fixture
def polled(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Answer], object]]:
    """Asks about one job with the token in ``tmp_path/token``."""
    monkeypatch.setenv("X509_CERT_DIR", str(authority.directory))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority.folder / "host/cert.pem", authority.folder / "host/key.pem")

    def poll(answer: Answer) -> object:
        with serving(answer, tls) as url:
            home = f"{getpass.getuser()}:x"
            item = poll_item("1", "/none", native_id=f"{url}/arex/rest/1.0/jobs/abc", home=home)
            lane = Lane("ARC", f"{url}/arex", str(tmp_path / "token"))
            return ArcBackend().poll(lane, [item])[item.key]

    yield poll


def test_it_is_sent(polled: Callable[[Answer], object], tmp_path: Path) -> None:
    text = token(tmp_path / "token", time.time() + 3600)
    job = {"status-code": "200", "reason": "OK", "id": "abc", "state": "RUNNING"}
    seen: list[Request] = []

    def answer(request: Request) -> Reply:
        seen.append(request)
        return Reply(body=json.dumps({"job": job}).encode())

    found = polled(answer)
    assert isinstance(found, Seen)
    assert found.status is JobStatus.RUNNING
    (request,) = seen
    assert request.headers["authorization"] == f"Bearer {text}"
    assert request.path == "/arex/rest/1.0/jobs?action=status"
    assert json.loads(request.body) == {"job": [{"id": "abc"}]}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        pytest.param(Reply(401), CredentialMissing, id="refused"),
        pytest.param(Reply(403), CredentialMissing, id="forbidden"),
        pytest.param(Reply(429), RateLimited, id="too often"),
        pytest.param(Reply(503), BackendUnreachable, id="overloaded"),
        pytest.param(Reply(200, b"<html>"), BackendUnreachable, id="a page"),
        pytest.param(Reply(200), BackendUnreachable, id="nothing"),
    ],
)
def test_it_is_refused(
    polled: Callable[[Answer], object], tmp_path: Path, reply: Reply, kind: type[TransientError]
) -> None:
    text = token(tmp_path / "token", time.time() + 3600)
    with pytest.raises(kind) as caught:
        polled(lambda _: reply)
    assert type(caught.value) is kind
    assert text not in str(caught.value)


def test_it_has_expired(polled: Callable[[Answer], object], tmp_path: Path) -> None:
    """Then nobody is asked; nor with what is no token."""
    asked: list[Request] = []

    def answer(request: Request) -> Reply:
        asked.append(request)
        return Reply()

    token(tmp_path / "token", time.time() + 30)
    with pytest.raises(CredentialMissing, match="expired"):
        polled(answer)
    (tmp_path / "token").write_text("secret words")
    with pytest.raises(CredentialMissing, match="nor a token") as caught:
        polled(answer)
    assert "secret" not in str(caught.value)
    assert not asked
