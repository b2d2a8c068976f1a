"""The facade: what is submitted arrives, once; what is wrong is said before anything is kept."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from gangamon import settings
from gangamon.client import Client
from gangamon.client import facade as module
from gangamon.domain.command import MergerSpec, Refresh
from gangamon.domain.lane import Lane
from gangamon.domain.status import JobStatus
from gangamon.errors import BadInput, StoreUnavailable
from gangamon.instance import Instance
from gangamon.store.inbox import ClientStore
from tests.support.backend import DONE, RUNNING
from tests.support.commands import OWNER, REPOSITORY, enqueue, register, spec
from tests.support.rig import FETCH, MERGE, Rig
from tests.support.waiting import quickest

#: Where no Redis is: nothing may listen on port 1.
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.fixture
def client(rig: Rig) -> Client:
    return connected(rig)


def connected(rig: Rig) -> Client:
    """A session's client, whose store is the rig's."""
    found = Client(load(rig.folder, GANGAMON_REDIS_URL=NOWHERE))
    found._store = ClientStore(NOWHERE, "gm", connection=rig.redis)
    return found


def load(folder: Path, **given: str) -> settings.Settings:
    return settings.load(
        {
            "GANGAMON_STATE_DIR": str(folder / "state"),
            "GANGAMON_OWNER": OWNER,
            "GANGAMON_CONFIG": os.devnull,
            **given,
        }
    )


def inbox(rig: Rig) -> list[str]:
    return [json.loads(fields["c"])["id"] for _, _, fields in rig.store.inbox(1000)]


def test_submitting_needs_no_redis(tmp_path: Path) -> None:
    """The command is in the spool; only sending it asks for the service."""
    client = Client(load(tmp_path))
    assert client.submit(enqueue(2)) == "e1"
    assert client.pending() == 1
    with pytest.raises(StoreUnavailable):
        client.flush()
    assert client.pending() == 1


def test_no_instance_is_said_with_what_to_do(tmp_path: Path) -> None:
    """The text names the state directory and the command that starts the service."""
    with pytest.raises(StoreUnavailable) as error:
        Client(load(tmp_path)).masters(REPOSITORY)
    assert str(tmp_path / "state") in str(error.value)
    assert "gangamon up" in str(error.value)


def test_redis_that_is_away_is_said_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call raises StoreUnavailable and waits for nothing before; the spool keeps what was
    submitted."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    client = Client(load(tmp_path, GANGAMON_REDIS_URL=NOWHERE))
    client.submit(enqueue(2))
    for call in (
        client.flush,
        client.epoch,
        client.tick_age,
        client.lanes,
        lambda: client.follow(REPOSITORY),
        lambda: client.follow(REPOSITORY, "0").read(0.1),
        lambda: client.snapshot(REPOSITORY, 7),
        lambda: client.job(REPOSITORY, 7, 0),
        lambda: client.repositories(),
        lambda: client.wait("e1", REPOSITORY, 60.0),
    ):
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1"):
            call()
    assert sum(slept) < 1
    assert client.pending() == 1


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (enqueue([], total=1), ["jobs: got []"]),
        (enqueue([spec(0), spec(0)]), ["jobs: a sub id stands twice"]),
        (enqueue(1, lane=Lane("Batch", "c")), ["lane: unknown backend 'Batch'; accepted: "]),
        (enqueue(1, workspace="x"), ["workspace: got 'x'; accepted: an absolute path"]),
        (enqueue(1, workspace="/a/\udcff"), ["command: holds what is not Unicode"]),
        (
            enqueue(1, mergers=(MergerSpec("Nice", ("a",)), MergerSpec("Neat", ("a",)))),
            [
                "mergers[0].kind: got 'Nice'; accepted: CsvMerger, CustomMerger, ",
                "mergers[1].kind: got 'Neat'",
            ],
        ),
        (Refresh("no spaces", REPOSITORY, 7), ["id: got 'no spaces'"]),
        (Refresh("f1", "short", -1), ["repository: got 'short'", "master: got -1"]),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_spooled(
    tmp_path: Path, command: Refresh, said: list[str]
) -> None:
    """BadInput with every fault; nothing on disk."""
    client = Client(load(tmp_path))
    with pytest.raises(BadInput) as error:
        client.submit(command)
    assert len(error.value.faults) == len(said)
    for fault, text in zip(error.value.faults, said, strict=True):
        assert text in fault
    assert client.pending() == 0


def test_commands_are_sent_in_their_order_and_once(rig: Rig, client: Client) -> None:
    """A second flush sends nothing that waits already."""
    ids = [f"c{n}" for n in range(20)]
    for command_id in ids:
        client.submit(Refresh(command_id, REPOSITORY, 7))
    assert client.flush() == 20
    assert client.flush() == 20
    assert inbox(rig) == ids


def test_many_commands_are_sent_in_portions(
    rig: Rig, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each flush is bounded; all arrive, in order."""
    monkeypatch.setattr(module, "CHUNK", 7)
    ids = [f"c{n}" for n in range(20)]
    for command_id in ids:
        client.submit(Refresh(command_id, REPOSITORY, 7))
    sizes = []
    for _ in range(3):
        client.flush()
        sizes.append(len(inbox(rig)))
    assert sizes == [7, 14, 20]
    assert inbox(rig) == ids


def test_what_waits_in_the_inbox_is_not_sent_again(
    rig: Rig, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that is down for long does not fill its inbox with copies."""
    monkeypatch.setattr(module, "RESEND", -1.0)
    client.submit(enqueue(1))
    for _ in range(5):
        client.flush()
    assert inbox(rig) == ["e1"]


def test_what_was_lost_is_sent_again(
    rig: Rig, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither acknowledged nor waiting, as after a fail-over: again, in order; not too soon."""
    for command_id in ("c1", "c2"):
        client.submit(Refresh(command_id, REPOSITORY, 7))
    client.flush()
    rig.redis.flushall()
    monkeypatch.setattr(module, "RESEND", 3600.0)
    client.flush()
    assert inbox(rig) == []
    monkeypatch.setattr(module, "RESEND", -1.0)
    client.flush()
    assert inbox(rig) == ["c1", "c2"]


def test_another_session_sends_what_the_first_left(rig: Rig, client: Client) -> None:
    """The spool outlives the session; the service takes a copy for what it is."""
    client.submit(register(str(rig.folder)))
    client.submit(enqueue(2, workspace=f"{rig.folder}/7"))
    client.flush()
    later = connected(rig)
    assert later.flush() == 2
    assert inbox(rig) == ["r1", "e1"] * 2
    rig.intake.run()
    assert len(rig.statuses()) == 2
    later.follow(REPOSITORY, "0").read()
    assert later.pending() == 0


def test_an_answer_frees_the_spool(rig: Rig, client: Client) -> None:
    """Done or refused: the command was heard. What was not answered stays."""
    client.submit(register(str(rig.folder)))
    client.submit(enqueue(1, "e1", workspace="/etc/7"))
    client.submit(enqueue(1, "e2", workspace=f"{rig.folder}/7"))
    follower = client.follow(REPOSITORY)
    client.flush()
    assert follower.read() == []
    rig.intake.run()
    client.submit(Refresh("late", REPOSITORY, 7))
    acks = [update.ack for update in follower.read()]
    assert [(ack.command_id, ack.ok) for ack in acks if ack] == [
        ("r1", True),
        ("e1", False),
        ("e2", True),
    ]
    assert "outside" in (acks[1].reason if acks[1] else "")
    assert client.pending() == 1


def test_wait_returns_the_answer_to_one_command(
    rig: Rig, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sends the spool itself; without an answer it ends in time with none."""
    given: list[object] = []
    assert quickest(lambda: given.append(client.wait("r1", REPOSITORY, 0.2)), below=2.0) < 2.0
    assert set(given) == {None}
    client.submit(register(str(rig.folder)))
    flush = client.flush

    def flush_and_tick() -> int:
        left = flush()
        rig.intake.run()
        return left

    monkeypatch.setattr(client, "flush", flush_and_tick)
    ack = client.wait("r1", REPOSITORY, 60)
    assert ack is not None
    assert (ack.command_id, ack.ok) == ("r1", True)


def test_a_moved_service_is_followed(tmp_path: Path) -> None:
    """`down` here and `up` there: the next call goes to the new one, and all is sent again."""
    client = Client(load(tmp_path))
    path = client.settings.instance_file
    path.parent.mkdir(parents=True)
    Instance("i1", "h1", 1, NOWHERE, "", "", 0.0).save(path)
    first = client.store
    client._sent["c1"] = ("1-1", 0.0)
    assert client.store is first
    Instance("i2", "h2", 1, "redis://127.0.0.1:2/0", "", "", 0.0).save(path)
    assert client.store.url == "redis://127.0.0.1:2/0"
    assert client._sent == {}


def test_updates_arrive_as_they_were_decided(rig: Rig, client: Client) -> None:
    """Transitions and the end of the master, from the position on, each once."""
    rig.begin(2)
    follower = client.follow(REPOSITORY)
    rig.backend.answers = [{"7.0": RUNNING}, {"7.0": DONE, "7.1": DONE}]
    rig.ask()
    rig.ask()
    rig.fetch_all()
    for queue, stage in ((MERGE, rig.merge), (f"check.{OWNER}", rig.check)):
        stage.run(rig.claim(queue).token, "w1")
    rig.notify.run(rig.claim(f"notify.{OWNER}").token, "w1")
    found = follower.read(count=2) + follower.read()
    moves = [(job.sub, job.status.value) for update in found for job in update.jobs]
    assert moves[0] == (0, "running")
    assert [status for sub, status in moves if sub == 1] == ["completing", "completed"]
    assert found[0].jobs[0].attributes == {"id": 5}
    assert {update.master for update in found} == {7}
    assert {update.epoch for update in found} == {client.epoch()}
    final = found[-1].final
    assert final is not None
    assert (final.attempt, final.status) == (1, JobStatus.COMPLETED)
    assert final.results["merge"] == []
    assert follower.read() == []
    assert rig.depth(FETCH) == (0, 0)


def test_a_reader_that_slept_too_long_is_told(rig: Rig, client: Client) -> None:
    """Updates that were trimmed before they were read are not passed over in silence."""
    rig.begin(1)
    key = rig.store.keys.updates(OWNER, REPOSITORY)
    follower, fresh = client.follow(REPOSITORY), client.follow(REPOSITORY, "0")
    for n in range(6):
        rig.store.acknowledge(OWNER, "", f"c{n}", REPOSITORY)
    assert len(follower.read(count=3)) == 3
    assert not follower.missed
    rig.redis.xtrim(key, maxlen=4, approximate=False)
    assert len(follower.read(count=2)) == 2
    assert not follower.missed  # what it had read was trimmed only after the entry it stands at
    rig.redis.xtrim(key, maxlen=0, approximate=False)
    for n in range(2):
        rig.store.acknowledge(OWNER, "", f"d{n}", REPOSITORY)
    assert len(follower.read(count=2)) == 2
    assert follower.missed
    assert len(fresh.read(count=2)) == 2
    assert fresh.missed


def test_views_show_what_the_store_holds(rig: Rig, client: Client) -> None:
    """Masters, one master with its jobs, one job with its evidence; None for what is not there."""
    rig.begin(2)
    rig.backend.answers = [{"7.0": DONE, "7.1": RUNNING}]
    rig.ask()
    assert client.repositories() == [REPOSITORY]
    assert [master.id for master in client.masters(REPOSITORY)] == [7]
    view = client.snapshot(REPOSITORY, 7)
    assert view is not None
    assert [view.jobs[sub].status.value for sub in (0, 1)] == ["completing", "running"]
    assert view.final is None
    assert client.follow(REPOSITORY, view.position).read() == []
    job = client.job(REPOSITORY, 7, 0)
    assert job is not None
    assert job.evidence is not None
    assert client.job(REPOSITORY, 7, 99) is None
    assert client.job(REPOSITORY, 8, 0) is None
    assert client.snapshot(REPOSITORY, 8) is None
    assert client.lanes()["Local|node1|-"].asked_at == 1000.0
    assert client.lags("Local|node1|-") == [10.0]
