"""Requests of a query: what is an answer, what is none, and what is said of it."""

from __future__ import annotations

import errno
import io
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangamon.errors import (
    BackendUnreachable,
    CredentialMissing,
    RateLimited,
    TransientError,
)
from gangamon.grid.http import Requests
from tests.support.webserver import Reply, Request, serving


def requests(**headers: str) -> Requests:
    return Requests(30, ssl.create_default_context(), headers)


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply(401, b'{"detail": "Invalid JWT"}'), CredentialMissing, "HTTP 401: Invalid JWT"),
        (Reply(403), CredentialMissing, "HTTP 403"),
        (Reply(429, b"slowly"), RateLimited, "HTTP 429: slowly"),
        (Reply(500, b"<p>oh</p>"), BackendUnreachable, "HTTP 500: <p>oh</p>"),
        (Reply(302), BackendUnreachable, "HTTP 302"),
        (Reply(200, b"not json"), BackendUnreachable, "not json"),
        (Reply(200, b'{"half": ', 100), BackendUnreachable, "without sending complete"),
    ],
)
def test_what_is_no_answer(reply: Reply, kind: type[TransientError], words: str) -> None:
    with serving(lambda _: reply) as url, requests() as asking:
        with pytest.raises(kind, match=words) as caught:
            asking.ask("GET", f"{url}/x?secret=1")
        assert type(caught.value) is kind
        assert "secret" not in str(caught.value)


def test_nobody_there_and_nowhere() -> None:
    with requests() as asking:
        for url in ("http://127.0.0.1:1/", "http://example.org/", "ftp://x/", "", "https://"):
            with pytest.raises(BackendUnreachable):
                asking.ask("GET", url)


def test_a_file_as_it_comes() -> None:
    seen: list[Request] = []

    def answer(request: Request) -> Reply:
        seen.append(request)
        return {"/whole": Reply(body=b"x" * 100_000), "/cut": Reply(body=b"x", length=5)}.get(
            request.path, Reply(404, b"none")
        )

    with serving(answer) as url, requests(Authorization="Bearer t") as asking:
        file = io.BytesIO()
        assert asking.save(f"{url}/whole", file, 100_000) == 200
        assert file.getvalue() == b"x" * 100_000
        assert seen[0].headers["authorization"] == "Bearer t"
        with pytest.raises(BackendUnreachable, match="more than 99999 bytes"):
            asking.save(f"{url}/whole", io.BytesIO(), 99_999)
        with pytest.raises(BackendUnreachable):
            asking.save(f"{url}/cut", io.BytesIO(), 100)
        assert asking.save(f"{url}/none", io.BytesIO(), 100, allowed=(404,)) == 404
        with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError) as caught:
            asking.save(f"{url}/whole", full, 100_000)
        assert caught.value.errno == errno.ENOSPC


def test_any_body() -> None:
    """Json, or an error."""
    body = b""
    with serving(lambda _: Reply(body=body)) as url, requests() as asking:

        @given(st.binary(max_size=60))
        def tried(given_body: bytes) -> None:
            nonlocal body
            body = given_body
            try:
                asking.ask("GET", url)
            except BackendUnreachable as error:
                assert "not json" in str(error)

        tried()
