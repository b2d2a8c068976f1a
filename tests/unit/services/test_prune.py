"""What ended long ago is forgotten, in the store and in the journal; and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangamon.domain.command import Enqueue
from gangamon.errors import DiskFull
from gangamon.services import prune as module
from gangamon.services.prune import Prune, superfluous
from gangamon.services.tick import Tick
from tests.support.commands import OWNER, REPOSITORY, enqueue, register, spec, withdraw
from tests.support.rig import CHECK, MERGE, NOTIFY, POLL, Rig, content

DAY = 86400.0


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    found = Rig(tmp_path)
    found.send(register(str(tmp_path)))
    return found


def at(rig: Rig, jobs: int | list[Any] = 2, **given: Any) -> Enqueue:
    return enqueue(jobs, workspace=f"{rig.folder}/{given.get('master', 7)}", **given)


def prune(rig: Rig, days: float = 30.0, turn: bool = True) -> Prune:
    if turn:
        rig.redis.delete(rig.store.keys.of("turn", "prune"))
    return Prune(rig.store, rig.intake, rig.journal, days)


def end(rig: Rig, master: int, days_ago: float) -> None:
    """Kill all of a master in Ganga, and work its stages; that was some days ago."""
    rig.send(withdraw(master, subs=(0, 1), command_id=f"k{master}.{days_ago}"))
    rig.intake.run()
    for queue, stage in ((MERGE, rig.merge), (CHECK, rig.check), (NOTIFY, rig.notify)):
        assert stage.run(rig.claim(queue).token, "w1") == 1
    key, name = rig.store.keys.master(OWNER, REPOSITORY, master), f"{OWNER}:{REPOSITORY}:{master}"
    ended = rig.inbox.clock() - days_ago * DAY
    assert float(str(rig.redis.hget(key, "ended"))) == rig.redis.zscore("gm:ended", name)
    rig.redis.hset(key, "ended", round(ended * 1000))
    rig.redis.zadd("gm:ended", {name: round(ended * 1000)})


def held(rig: Rig) -> list[int]:
    return list(rig.inbox.masters(OWNER, REPOSITORY))


def test_only_what_ended_long_ago_is_forgotten(rig: Rig) -> None:
    """Not what ended yesterday, nor what has not ended, however old; and no key of it is left."""
    for master in (7, 8, 9):
        rig.send(at(rig, command_id=f"e{master}", master=master))
    rig.intake.run()
    end(rig, 7, days_ago=30.01)
    end(rig, 8, days_ago=29.99)
    told = len(rig.answers())
    assert prune(rig).run() == 1
    assert held(rig) == [8, 9]
    assert [key for key in rig.redis.scan_iter("gm:*") if f"{REPOSITORY}:7" in str(key)] == []
    assert rig.redis.zrange("gm:ended", 0, -1) == [f"{OWNER}:{REPOSITORY}:8"]
    assert len(rig.answers()) == told, "nobody asked for it"
    assert prune(rig).run() == 0


def test_a_rebuild_does_not_bring_it_back(rig: Rig) -> None:
    """The journal has it that it is forgotten; and the store is not behind it."""
    rig.send(at(rig), at(rig, command_id="e8", master=8))
    rig.intake.run()
    end(rig, 7, days_ago=31)
    prune(rig).run()
    assert not rig.intake.behind()
    before = content(rig.store, (7, 8))
    rig.redis.flushall()
    rig.intake.rebuild()
    assert content(rig.store, (7, 8)) == before
    assert held(rig) == [8]


def test_what_was_resubmitted_is_kept(rig: Rig) -> None:
    """Its end long ago was not the last; after the next one it is kept as long again."""
    rig.send(at(rig))
    rig.intake.run()
    end(rig, 7, days_ago=40)
    rig.send(at(rig, [spec(0, attempt=2), spec(1, attempt=2)], command_id="e2"))
    rig.intake.run()
    assert prune(rig).run() == 0
    end(rig, 7, days_ago=10)
    assert prune(rig).run() == 0
    assert held(rig) == [7]
    end_again = rig.store.keys.master(OWNER, REPOSITORY, 7)
    rig.redis.hset(end_again, "ended", 1)
    rig.redis.zadd("gm:ended", {f"{OWNER}:{REPOSITORY}:7": 1})
    assert prune(rig).run() == 1


def test_it_takes_turns(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a minute over all processes, so many at once; 0 days: never."""
    monkeypatch.setattr(module, "MOST", 2)
    for master in (7, 8, 9):
        rig.send(at(rig, command_id=f"e{master}", master=master))
        rig.intake.run()
        end(rig, master, days_ago=31)
    assert prune(rig, days=0.0).run() == 0
    assert prune(rig).run() == 2
    assert prune(rig, turn=False).run() == 0
    ttl = rig.redis.pttl(rig.store.keys.of("turn", "prune"))
    assert 0 < ttl <= 60_000
    assert prune(rig).run() == 1
    assert held(rig) == []


def test_the_tick_prunes(rig: Rig) -> None:
    """Beside all else it does."""
    rig.send(at(rig))
    rig.intake.run()
    end(rig, 7, days_ago=31)
    Tick(rig.store, rig.intake, rig.dispatcher, prune(rig)).run()
    assert held(rig) == []


def test_a_withdrawn_master_is_not_listed(rig: Rig) -> None:
    """One name less to look at; a name that is left all the same does no harm."""
    rig.send(at(rig))
    rig.intake.run()
    end(rig, 7, days_ago=31)
    rig.send(withdraw(command_id="w9"))
    rig.intake.run()
    assert rig.redis.zcard("gm:ended") == 0
    rig.redis.zadd("gm:ended", {f"{OWNER}:{REPOSITORY}:7": 1})
    assert prune(rig).run() == 0
    assert rig.redis.zcard("gm:ended") == 0


def test_a_full_disk_holds_up_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, and the tick goes on."""

    def full(_: object) -> None:
        raise DiskFull("journal: No space left on device")

    rig.send(at(rig))
    rig.intake.run()
    end(rig, 7, days_ago=31)
    monkeypatch.setattr(rig.journal, "append", full)
    assert prune(rig).run() == 0


# --- what a journal can do without ----------------------------------------------------------


def of(kind: str, number: int, master: int = 7, **fields: Any) -> tuple[str, dict[str, Any]]:
    return OWNER, {"id": f"c{number}", "kind": kind, "repository": "r", "master": master, **fields}


def test_commands_before_the_last_withdrawal_are_superfluous() -> None:
    """The withdrawal itself only when none of them is left."""
    records = [
        of("enqueue", 1),
        of("refresh", 2),
        of("withdraw", 3, subs=[1]),
        of("enqueue", 4, master=8),
        of("withdraw", 5, subs=[]),
        of("retry", 6),
        of("withdraw", 7),
        ("bob", of("enqueue", 8)[1]),
        of("register", 9),
        of("enqueue", 10),
    ]
    assert superfluous(records) == {"c1", "c2", "c3", "c5", "c6"}
    assert superfluous(records[6:]) == {"c7"}


def test_a_command_that_stands_there_again_withdraws_nothing() -> None:
    """Two ticks read the same inbox: the slow one's copies come after the resubmission."""
    copies = [of("enqueue", 1), of("withdraw", 2)]
    assert superfluous([*copies, of("enqueue", 3), *copies]) == {"c1"}
    assert superfluous([of("withdraw", 2), of("enqueue", 3), *copies]) == {"c2"}


def test_what_is_no_command_is_passed_over() -> None:
    """A journal is read as it is."""
    bad: list[dict[str, Any]] = [{}, {"id": []}, {"id": "x", "kind": [], "master": 1}]
    assert superfluous([(OWNER, raw) for raw in bad]) == frozenset()


SUBS = st.lists(st.integers(0, 3), max_size=2)
STEPS = st.lists(
    st.tuples(st.sampled_from(["enqueue", "withdraw", "refresh"]), st.integers(1, 2), SUBS,
              st.integers(0, 12)),
    max_size=20,
)  # fmt: skip


@given(STEPS, st.integers(0, 20))
def test_a_compacted_journal_rebuilds_the_same(steps: list[Any], closed: int) -> None:
    """Whatever was done, in whichever order, and however often the closed part is compacted."""
    records = [
        of(kind, number, master, **({"subs": subs} if kind == "withdraw" else {}))
        for kind, master, subs, number in steps
    ]
    # One id is one command, wherever it stands again.
    first = {raw["id"]: raw for _, raw in reversed(records)}
    records = [(OWNER, first[raw["id"]]) for _, raw in records]
    before = replayed(records)
    for _ in range(3):
        still = {raw["id"] for _, raw in records[closed:]}
        drop = superfluous(records) - still
        kept = [r for r in records[:closed] if r[1]["id"] not in drop]
        records, closed = kept + records[closed:], len(kept)
        assert replayed(records) == before


def replayed(records: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[int, list[str]]:
    """The commands that make up each master at the end, as a rebuild applies them."""
    masters: dict[int, list[str]] = {}
    taken: set[str] = set()
    for _, raw in records:
        if raw["id"] in taken:
            continue
        taken.add(raw["id"])
        master = raw["master"]
        if raw["kind"] == "enqueue":
            masters.setdefault(master, []).append(raw["id"])
        elif raw["kind"] == "withdraw" and not raw.get("subs"):
            masters.pop(master, None)
        elif master in masters:
            masters[master].append(raw["id"])
    return masters


def test_ids_of_a_claimed_queue_are_untouched(rig: Rig) -> None:
    """What is asked about now is pruned by nobody."""
    rig.send(at(rig))
    rig.intake.run()
    assert rig.claim(POLL).jobs == 2
    assert prune(rig, days=0.00001).run() == 0
