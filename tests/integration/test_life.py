"""Fail-overs as the service sees them: which server begins a new epoch, and what that does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gangamon.errors import LeaseLost, SchemaMismatch
from gangamon.store.keys import SCHEMA, Keys
from gangamon.store.life import CLOCKS, Life
from gangamon.store.scripts import text
from tests.support.commands import withdraw
from tests.support.redis import PrivateRedis
from tests.support.rig import POLL, Rig

NONE = "0" * 40
OTHER = "f" * 40


class Server:
    """A connection to one that says this of itself, and else is the rig's."""

    def __init__(self, rig: Rig, run: str, history: str = f"{NONE} -1", role: str = "master"):
        self.host, self.port = "redis1", 6379
        self._rig = rig
        replid, offset = history.split()
        self._info = {
            "replication": f"role:{role}\r\nmaster_replid2:{replid}\r\nsecond_repl_offset:{offset}",
            "server": f"run_id:{run}",
        }
        self._answer: Any = None

    def send_command(self, *words: str | int) -> None:
        if words[0] == "INFO":
            self._answer = self._info[str(words[1])]
        else:
            self._answer = self._rig.redis.execute_command(*words)

    def read_response(self) -> Any:
        return self._answer

    def disconnect(self) -> None:
        raise AssertionError("it takes writes")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRedis]:
    found = PrivateRedis(tmp_path_factory.mktemp("redis"))
    found.start()
    yield found
    found.close()


@pytest.fixture
def rig(server: PrivateRedis, tmp_path: Path) -> Rig:
    server.connection().flushall()
    found = Rig(tmp_path, connection=server.connection())
    found.begin(3)
    return found


def meet(rig: Rig, server: Server, named: bool = True) -> str:
    """The epoch after that."""
    Life(Keys("gm"), text("succeed"), named).met(server)
    return rig.store.epoch()


def test_a_server_that_started_again_begins_no_epoch(rig: Rig) -> None:
    """On its own append-only file it has lost nothing."""
    first = meet(rig, Server(rig, "run1"))
    assert meet(rig, Server(rig, "run1")) == first
    assert meet(rig, Server(rig, "run2")) == first


def test_a_replica_begins_none(rig: Rig) -> None:
    """It takes no writes: it is met while another is elected."""
    first = meet(rig, Server(rig, "run1"))
    assert meet(rig, Server(rig, "run2", f"{OTHER} 77", "slave")) == first


def test_a_promoted_replica_begins_one_and_no_more(rig: Rig) -> None:
    """However many connect to it, and however often it starts again later."""
    first = meet(rig, Server(rig, "run1"))
    second = meet(rig, Server(rig, "run2", f"{OTHER} 77"))
    assert second != first
    assert meet(rig, Server(rig, "run2", f"{OTHER} 77")) == second
    assert meet(rig, Server(rig, "run3")) == second


def test_the_first_master_promoted_again_begins_another(rig: Rig) -> None:
    """The same process under another history."""
    meet(rig, Server(rig, "run1"))
    second = meet(rig, Server(rig, "run2", f"{OTHER} 77"))
    assert meet(rig, Server(rig, "run1", f"{'e' * 40} 99")) != second


def test_an_address_counts_where_sentinels_gave_it(rig: Rig) -> None:
    """A replica that never reached its master after a start has no history; its address is another.
    Behind a proxy or a service one server may have several."""
    first = meet(rig, Server(rig, "run1"))
    elsewhere = Server(rig, "run2")
    elsewhere.host = "redis2"
    assert meet(rig, elsewhere, named=False) == first
    assert meet(rig, Server(rig, "run1"), named=True) == first
    assert meet(rig, elsewhere, named=True) != first


def test_an_empty_server_is_not_one_that_failed_over(rig: Rig) -> None:
    """Its epoch is begun by the first who asks, as ever."""
    rig.redis.flushall()
    meet(rig, Server(rig, "run2", f"{OTHER} 77"))
    assert rig.redis.get("gm:life")


def test_what_was_claimed_is_due_and_old_tokens_are_refused(rig: Rig) -> None:
    """A worker that goes on cannot commit; whoever claims next has the same members."""
    meet(rig, Server(rig, "run1"))
    old = rig.claim(POLL)
    assert rig.store.begin(old.token, "worker", 20.0) is not None
    assert rig.depth(POLL) == (0, 1)
    meet(rig, Server(rig, "run2", f"{OTHER} 77"))
    assert rig.depth(POLL) == (1, 0)
    (batch,) = rig.store.batches(old.members)
    with pytest.raises(LeaseLost):
        rig.store.commit(old.token, batch.id, batch.master, [], 1.0)
    new = rig.claim(POLL)
    assert (new.members, new.jobs) == (old.members, old.jobs)
    assert new.token != old.token


def test_new_updates_come_after_all_that_a_reader_can_have_seen(rig: Rig) -> None:
    """Also where the clock of the old master was ahead."""
    meet(rig, Server(rig, "run1"))
    key = next(iter(rig.redis.scan_iter("gm:updates:*")))
    seconds, _ = rig.redis.time()
    lost = f"{seconds * 1000 + round(CLOCKS * 500)}-5"  # told, read, and lost with the master
    meet(rig, Server(rig, "run2", f"{OTHER} 77"))
    rig.send(withdraw())
    rig.tick.run()
    newest = rig.redis.xrevrange(key, count=1)[0][0]
    assert int(newest.partition("-")[0]) > int(lost.partition("-")[0])


def test_a_store_of_a_later_schema_is_refused(rig: Rig) -> None:
    """An older worker that is still there during an update says so, and changes nothing."""
    rig.redis.set("gm:schema", SCHEMA + 1)
    later = Rig(rig.folder, connection=rig.redis)
    with pytest.raises(SchemaMismatch, match="update gangamon"):
        later.store.epoch()
