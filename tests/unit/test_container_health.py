"""Health checks of containers: well, not well with one line, and a wrong call."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator

import pytest

from gangamon.client import Client
from workers import health


@pytest.fixture
def server() -> Iterator[int]:
    """A port on which / answers 200, and everything else 404."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server's own name
            self.send_response(200 if self.path == "/" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found.server_port
        found.shutdown()
        thread.join()


def test_a_page_that_answers_is_well(server: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert health.main(["http", f"http://127.0.0.1:{server}/"]) == 0
    assert health.main(["port", str(server)]) == 0
    assert capsys.readouterr().out == ""


def test_one_that_does_not_is_said(server: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert health.main(["http", f"http://127.0.0.1:{server}/none"]) == 1
    assert "404" in capsys.readouterr().out
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        assert health.main(["port", str(taken.getsockname()[1])]) == 1
    assert capsys.readouterr().out.startswith("ConnectionRefusedError: ")


@pytest.mark.parametrize(
    ("age", "said"), [(1.0, ""), (59.0, ""), (61.0, "61 s ago"), (None, "no tick")]
)
def test_a_tick_is_recent(
    age: float | None,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Client, "tick_age", lambda self: age)
    assert health.main(["tick"]) == (1 if said else 0)
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["what"], ["worker"], ["port", "1", "2"]])
def test_a_wrong_call_is_told_what_there_is(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert health.main(words) == 2
    assert "worker NAME" in capsys.readouterr().err
