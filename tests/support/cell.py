"""A cell in which something of every kind has happened, so that each metric has a value."""

from __future__ import annotations

from gangamon.domain.command import MergerSpec
from gangamon.domain.lane import Lane
from gangamon.protocols import Asked, Polite
from tests.support.backend import DONE, FAILED, RUNNING
from tests.support.commands import OWNER, REPOSITORY, enqueue, withdraw
from tests.support.rig import CHECK, MERGE, NOTIFY, POLL, Rig

#: A lane that rests, and one whose credential is gone, beside that of the jobs.
RESTING, WITHOUT = Lane("Local", "node2"), Lane("Local", "node3", "voms")


def fill(rig: Rig) -> None:
    """Three jobs ran, one of them failed, in a master job that has ended; another one waits; a
    third has a command in the inbox. One job is dead, one lease expired in its worker's hands."""
    rig.begin(3, mergers=(MergerSpec("TextMerger", ("stdout",)),))
    rig.backend.answers = [{f"7.{n}": RUNNING for n in range(3)}]
    rig.ask()
    rig.clock.at = 1090.0
    rig.backend.answers = [{"7.0": DONE, "7.1": DONE, "7.2": FAILED}]
    rig.ask()
    rig.fetch_all()
    for queue, stage in ((MERGE, rig.merge), (CHECK, rig.check), (NOTIFY, rig.notify)):
        rig.hurry(queue)
        stage.run(rig.claim(queue).token, "w1")
    rig.tick.run()
    rig.store.note_process("tick@node1", "1.0", {"tick_seconds": 1.0})
    rig.store.enqueue(OWNER, "", enqueue(2, "e2", master=8))
    rig.send(withdraw(9))
    failed = Asked(1, 0.5, 0.5)
    for n, lane in enumerate((RESTING, WITHOUT)):
        rig.store.enqueue(OWNER, "", enqueue(1, f"e{n + 3}", master=n + 20, lane=lane))
        claim = rig.store.claim(f"poll.{lane}", 10, 3600.0, 5, Polite(4, 2.0, 30))
        assert claim is not None
        for _ in range(3):
            rig.store.note_failure(str(lane), "BackendUnreachable: away", failed)
        rig.store.begin(claim.token, "w1", 3600.0)
        rig.store.abandon([claim.token])
        rig.store.rescue()
    rig.store.open_breaker(str(RESTING), 600.0)
    rig.store.pause(str(WITHOUT), "credential: no proxy", 600.0)
    claim = rig.claim(POLL)
    rig.store.begin(claim.token, "w1", 3600.0)
    record = rig.store.master(OWNER, REPOSITORY, 8)
    assert record is not None
    member = claim.members[0]
    rig.store.set_aside(claim.token, claim.queue, member, record, 1, "its answer kills the query")
