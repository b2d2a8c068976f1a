"""The adapter's parts that need no Ganga: repository id, link to the service, verdicts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gangamon.adapter import identity
from gangamon.adapter.service.link import RETRY_MOST, Link, new_id
from gangamon.adapter.show.verdicts import Verdict, Verdicts
from gangamon.domain.command import Command, Refresh, Register
from gangamon.errors import BadSettings, StoreUnavailable

REPOSITORY = "0" * 31 + "1"


class FakeFollower:
    missed = False

    def __init__(self, position: str) -> None:
        self.position = position

    def read(self, block: float) -> list[object]:
        return []


class FakeClient:
    """The service is away while ``away``."""

    away = False
    life = "e1"
    sent: list[Command]
    unacknowledged = 0
    followed: list[str]

    def __init__(self) -> None:
        self.sent, self.followed = [], []

    def submit(self, command: Command) -> str:
        self.sent.append(command)
        return command.id

    def epoch(self) -> str:
        if self.away:
            raise StoreUnavailable("away")
        return self.life

    def follow(self, repository: str, since: str) -> FakeFollower:
        self.followed.append(since)
        return FakeFollower("7-0" if since == "$" else since)

    def flush(self) -> int:
        return self.unacknowledged


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
def told() -> list[bool]:
    return []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the link's clock on."""
    now = [1000.0]
    monkeypatch.setattr("gangamon.adapter.service.link.time.monotonic", lambda: now[0])

    def move(seconds: float) -> None:
        now[0] += seconds

    return move


@pytest.fixture
def link(client: FakeClient, told: list[bool], clock: Callable[[float], None]) -> Link:
    return Link(lambda: client, REPOSITORY, ("/data",), lambda up, _: told.append(up), 5.0)


def test_the_repository_is_registered_before_anything_is_said_of_it(
    link: Link, client: FakeClient
) -> None:
    """The first command of a session is preceded by one registration, later ones are not."""
    link.submit(Refresh(new_id(), REPOSITORY, 1))
    link.submit(Refresh(new_id(), REPOSITORY, 2))
    assert [type(command) for command in client.sent] == [Register, Refresh, Refresh]
    assert client.sent[0].repository == REPOSITORY


def test_away_and_back_are_told_once_each(
    link: Link, client: FakeClient, told: list[bool], clock: Callable[[float], None]
) -> None:
    """Nothing is said for a short absence; a long one has one line, and its end one."""
    client.away = True
    assert not link.ready()
    assert not told
    for _ in range(20):
        clock(1.0)
        assert not link.ready()
    assert told == [False]
    client.away = False
    clock(RETRY_MOST)
    assert link.ready()
    assert told == [False, True]


def test_a_service_that_has_not_begun_is_away(link: Link, client: FakeClient) -> None:
    """Redis without an epoch: nothing of it may be believed."""
    client.life = ""
    assert not link.ready()


def test_it_follows_on_where_it_stopped_unless_the_store_is_a_new_one(
    link: Link, client: FakeClient, clock: Callable[[float], None]
) -> None:
    """After an interruption no update is missed; after a loss of the store the position is void."""
    for life, since in (("e1", "$"), ("e1", "7-0"), ("e2", "$")):
        client.life = life
        clock(RETRY_MOST)
        assert link.ready()
        assert client.followed[-1] == since
        link.lost()
    assert link.epoch == "e2"


def test_settled_means_that_all_is_acknowledged(
    link: Link, client: FakeClient, clock: Callable[[float], None]
) -> None:
    """It is not, before the first flush, nor while the spool holds something."""
    assert link.ready()
    assert not link.settled
    client.unacknowledged = 1
    link.flush()
    assert not link.settled
    client.unacknowledged = 0
    clock(1.0)
    link.flush()
    assert link.settled
    link.submit(Refresh(new_id(), REPOSITORY, 1))
    assert not link.settled


def test_the_repository_id_is_made_once(tmp_path: Path) -> None:
    """Sessions that begin together agree on one id, and it stays."""
    place = identity.directory(str(tmp_path))
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: identity.repository_id(place), range(8)))
    assert found == {identity.repository_id(place)}
    assert [path.name for path in place.iterdir()] == ["repository.json"]


@pytest.mark.parametrize("text", ["", "{}", '{"id": 1}', '{"id": "ABC"}', "[]"])
def test_a_broken_repository_file_is_refused(tmp_path: Path, text: str) -> None:
    """A new id would make every job a stranger to the service: the user must decide."""
    (tmp_path / "repository.json").write_text(text)
    with pytest.raises(BadSettings, match=r"repository\.json: not readable"):
        identity.repository_id(tmp_path)


def test_a_verdict_is_for_one_job_in_one_thread() -> None:
    """Each is for one postprocessor of the job being ended, once, and for no other thread."""
    verdicts, first, second, other = Verdicts(), object(), object(), object()
    seen: list[Verdict | None] = []
    with verdicts.holding([(first, Verdict(True)), (second, Verdict(False, "why"))]):
        assert verdicts.take(other) is None
        thread = threading.Thread(target=lambda: seen.append(verdicts.take(first)))
        thread.start()
        thread.join()
        assert verdicts.take(second) == Verdict(False, "why")
        assert verdicts.take(first) == Verdict(True)
        assert verdicts.take(first) is None
    assert seen == [None]
    with verdicts.holding([(first, Verdict(True))]):
        pass
    assert verdicts.take(first) is None
