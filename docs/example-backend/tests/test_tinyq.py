"""The conformance suites, with a ``tinyq`` that prints files; and what they cannot know."""

from __future__ import annotations

from pathlib import Path

import pytest
from gangamon_tinyq.answers import STATES, parse
from gangamon_tinyq.backend import TinyQBackend
from gangamon_tinyq.fetcher import TinyQFetcher
from hypothesis import given
from hypothesis import strategies as st

from gangamon.backends import examine
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Seen
from gangamon.domain.status import JobStatus
from gangamon.errors import BackendUnreachable, CredentialMissing
from gangamon.protocols import PollItem
from gangamon.testing.conformance import (
    BackendCase,
    BackendConformance,
    FetcherCase,
    FetcherConformance,
    NativeCodesConformance,
)
from gangamon.testing.factories import fetch_order, poll_item

LANE = Lane("TinyQ", "cluster")

QUEUE = """\
1|WAITING||||
2|RUNNING||node1|1700000000|
3|DONE|0|node1|1700000000|1700000060
4|FAILED|3|node2|1700000000|1700000061
5|TELEPORTED||||
"""
HISTORY = "6|CANCELLED|||1700000000|1700000060\n"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory; ``tinyq WORD`` prints the file of that name in it."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    command = bin_ / "tinyq"
    command.write_text(f'#!/bin/sh\n[ "$1 $2" = "-S cluster" ] && cat "{tmp_path}/$3"\n')
    command.chmod(0o755)
    for name, text in (("list", QUEUE), ("history", HISTORY), ("version", "tinyq 1.0\n")):
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("PATH", str(bin_), prepend=":")
    return tmp_path


def job(number: int) -> PollItem:
    return poll_item(f"42.{number}", "/none", native_id=str(number))


class TestBackend(BackendConformance, NativeCodesConformance):
    @pytest.fixture
    def case(self, server: Path) -> BackendCase:
        return BackendCase(
            backend=TinyQBackend(),
            lane=LANE,
            known=[job(n) for n in (1, 2, 3, 4)],
            missing=job(9),
            sever=(server / "list").unlink,
        )

    @pytest.fixture
    def unmapped(self) -> PollItem:
        return job(5)


class TestFetcher(FetcherConformance):
    @pytest.fixture
    def case(self, tmp_path: Path) -> FetcherCase:
        top = tmp_path / "LocalXML" / "42"
        output = top / "1" / "output"
        output.mkdir(parents=True)
        (output / "stdout").write_text("out\n")
        orders = [
            fetch_order(str(top / n / "output"), [str(tmp_path)], fqid=f"42.{n}") for n in "19"
        ]
        return FetcherCase(TinyQFetcher(), *orders)


@pytest.mark.usefixtures("server")
def test_what_has_left_the_queue() -> None:
    seen = TinyQBackend().second_source(LANE, [job(6)])["42.6"]
    assert isinstance(seen, Seen)
    assert (seen.status, seen.reason) == (JobStatus.KILLED, "cancelled in TinyQ")


def test_an_expired_token(server: Path) -> None:
    (server / "bin" / "tinyq").write_text("#!/bin/sh\necho Your token has expired >&2; exit 1\n")
    with pytest.raises(CredentialMissing):
        TinyQBackend().poll(LANE, [job(1)])


@pytest.mark.usefixtures("server")
def test_the_doctor() -> None:
    found = {f.name: f for f in examine.examine(TinyQBackend(), LANE, "me")}
    assert {f.level for f in found.values()} == {"OK"}
    assert found["version"].text == "tinyq 1.0"


@given(st.text() | st.lists(st.sampled_from([*QUEUE.splitlines(), "6|DO", "x"])).map("\n".join))
def test_no_end_is_made_up(text: str) -> None:
    """Any text: an answer, or BackendUnreachable; an end only where its line says so."""
    try:
        found = parse(text, "fuzz")
    except BackendUnreachable:
        return
    for id_, seen in found.items():
        assert f"{id_}|{seen.native_status.split()[0]}|" in text
        assert seen.status is STATES.get(seen.native_status)
