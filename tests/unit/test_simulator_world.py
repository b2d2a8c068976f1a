"""The simulated system without sockets: its jobs, what is done to them, answers and faults."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from gangamon.errors import BadInput
from gangamon.testing.clock import ManualClock
from gangamon.testing.simulator import codes
from gangamon.testing.simulator.scenario import build, load
from gangamon.testing.simulator.timeline import Phase
from gangamon.testing.simulator.world import ACCOUNTING, DOWNLOAD, LIST, World

IDS = [str(number) for number in range(200)]


class Rig:
    """A world whose clock stands at the start of its scenario."""

    def __init__(self, faults: list[dict[str, Any]] | None = None, **sections: Any) -> None:
        table = {"jobs": {"count": len(IDS)}, **sections, "faults": faults or []}
        self.clock = ManualClock()
        self.world = World(build(table), self.clock.now)
        self.world.start()

    def ask(self, t: float, source: str = LIST) -> list[Phase]:
        """One query about all jobs, ``t`` seconds after the start."""
        assert self.world.began is not None
        self.clock.advance(t - (self.clock.now() - self.world.began))
        return self.world.answer(self.world.query(source, IDS))

    def codes(self, t: float, source: str = LIST) -> Counter[str]:
        return Counter(phase.code for phase in self.ask(t, source))


@pytest.mark.parametrize("name", ["", "x", "-1", "07", "7@1", "7@", "1" * 10, "٣"])
def test_one_job_has_one_name(name: str) -> None:
    """What is no number, or another spelling of one, is no job."""
    assert Rig(jobs={"count": "asked"}).world.truth(name) is None


def test_whatever_is_asked_about_is_there() -> None:
    """With count = "asked" any number is a job, of any attempt."""
    world = Rig(jobs={"count": "asked"}).world
    assert [p.native_id for p in world.answer(world.query(LIST, ["7", "9@2", "x"]))] == ["7", "9@2"]
    assert list(world.known()) == ["7", "9@2"]


def test_time_stands_still_before_the_start() -> None:
    """All jobs wait until somebody starts the scenario."""
    clock = ManualClock()
    world = World(build({"jobs": {"count": 3}}), clock.now)
    clock.advance(1000.0)
    assert {p.code for p in world.answer(world.query(LIST, None))} == {"Waiting"}
    world.start()
    clock.advance(1000.0)
    assert {p.code for p in world.answer(world.query(LIST, None))} == {"Done"}


def test_the_time_scale() -> None:
    """Ten times as fast: the schedule and the costs."""
    rig = Rig(time_scale=10.0, list={"fixed": 1.0, "per_job": 0.1})
    assert rig.codes(0.19)["Waiting"] == 200
    assert rig.codes(0.21)["Running"] == 200
    assert rig.world.cost(rig.world.query(LIST, IDS)) == pytest.approx(2.1)


def test_jobs_arrive() -> None:
    """A job is not in the list before its arrival."""
    rig = Rig(jobs={"count": 200, "arrival_first": 1.0, "arrival_rate": 10.0})
    assert [len(rig.ask(t)) for t in (0.0, 1.0, 6.0, 30.0)] == [0, 1, 51, 200]


def test_submit_kill_requeue() -> None:
    """What is done to a job holds from then on; its restarts grow."""
    rig = Rig()
    rig.ask(3.0)
    world = rig.world
    assert world.submit(count=1, ids=["5@2"]) == ["5@2", "200"]
    assert [world.truth(n, 3.0).code for n in ("5@2", "200")] == ["Waiting"] * 2  # type: ignore[union-attr]
    with pytest.raises(BadInput, match=r"'5@2'.*'x'"):
        world.submit(ids=["5@2", "x"])
    world.kill(["199", "no"])
    rig.ask(6.0)
    world.kill(["0"])  # ended before
    world.requeue(["0", "150", "no"], 2.0)
    said = {p.native_id: (p.code, p.restart) for p in rig.ask(7.0)}
    assert said["199"] == ("Killed", 0)
    assert said["0"] == said["150"] == ("Requeued", 1)
    said = {p.native_id: (p.code, p.restart) for p in rig.ask(100.0)}
    assert said["0"] == said["150"] == ("Done", 1)


# --- answers and their faults ------------------------------------------------------------


def test_the_same_answers_with_the_same_seed() -> None:
    """Query by query, two worlds of one scenario say the same, faults and all."""
    table = {k: v for k, v in vars(load("hostile")).items() if k in ("seed", "jobs", "faults")}
    plans = [replace(build({}), **table) for _ in range(2)]
    answers = []
    for plan in plans:
        clock = ManualClock()
        world = World(plan, clock.now)
        world.start()
        said = []
        for _ in range(40):
            clock.advance(1.0)
            query = world.query(LIST, IDS)
            said.append(([bad.kind for bad in query.faults], world.answer(query)))
        answers.append(said)
    assert answers[0] == answers[1]
    kinds = {kind for faults, _ in answers[0] for kind in faults}
    assert {"slow", "truncated", "stale", "duplicated", "unknown", "vanish"} <= kinds


def test_memory_and_accounting() -> None:
    """An ended job leaves the list after its memory; accounting keeps those that it knows."""
    rig = Rig(list={"memory": 10.0}, accounting={"knows": 0.5, "delay": 2.0})
    assert rig.codes(6.0, ACCOUNTING)["Done"] == 0
    assert rig.codes(9.5)["Done"] == 200
    assert len(rig.ask(100.0)) == 0
    known = rig.codes(100.0, ACCOUNTING)
    assert known["Done"] == pytest.approx(100, abs=25)
    assert set(known) == {"Done"}


def test_an_empty_answer() -> None:
    """Well formed, and names no job."""
    assert Rig([{"kind": "empty", "from": 3, "to": 4}]).ask(3.5) == []


def test_a_truncated_answer() -> None:
    """Some half of the jobs is missing, another half each time."""
    rig = Rig([{"kind": "truncated"}])
    first, second = ({p.native_id for p in rig.ask(3.0)} for _ in range(2))
    assert 60 < len(first) < 140
    assert first != second


def test_a_stale_answer() -> None:
    """It tells of the time some seconds ago."""
    rig = Rig([{"kind": "stale", "seconds": 4.0}])
    assert rig.codes(5.5) == Counter(Waiting=200)
    assert rig.codes(6.5) == Counter(Running=200)


def test_doubled_entries() -> None:
    """The second entry of a job is what it was before."""
    said = Rig([{"kind": "duplicated", "fraction": 1.0}]).ask(50.0)
    assert [(p.native_id, p.code) for p in said if p.native_id == "7"] == [
        ("7", "Done"),
        ("7", "Running"),
    ]


def test_unknown_codes_and_vanished_jobs() -> None:
    """The same jobs each time; an ended one does not vanish."""
    rig = Rig([{"kind": "unknown", "probability": 0.2}, {"kind": "vanish", "probability": 0.3}])
    first, second = rig.ask(3.0), rig.ask(3.5)
    assert first == second
    assert 20 < sum(p.code == codes.ODD for p in first) < 60
    assert 110 < len(first) < 170
    assert len(rig.ask(100.0)) == 200


def test_faults_of_queries_are_drawn_for() -> None:
    """A fault of probability 0.25 befalls about one query in four, of its source only."""
    rig = Rig([{"kind": "error", "probability": 0.25, "on": "accounting"}])
    hit = sum(bool(rig.world.query(ACCOUNTING, []).faults) for _ in range(400))
    assert hit == pytest.approx(100, rel=0.3)
    assert not any(rig.world.query(LIST, []).faults for _ in range(400))


def test_faults_are_switched() -> None:
    """A fault is begun and ended by hand; one that changes the truth is not."""
    world = Rig().world
    world.set_fault({"kind": "empty"}, active=True)
    assert world.query(LIST, IDS).fault("empty")
    world.set_fault({"kind": "empty"}, active=False)
    assert not world.query(LIST, IDS).faults
    with pytest.raises(BadInput, match="the op requeue instead"):
        world.set_fault({"kind": "requeue"}, active=True)
    with pytest.raises(BadInput, match=r"fault\.kind: got 'x'"):
        world.set_fault({"kind": "x"}, active=True)


def test_outputs() -> None:
    """Bytes as many as asked, of the job's own; none before its end, none of a missing one."""
    rig = Rig(download={"bytes": 2000, "latency": 0.5, "missing": 0.1})
    with pytest.raises(BadInput, match="job 1 is Running"):
        rig.ask(3.0)
        rig.world.output("1")
    rig.ask(100.0)
    found = [rig.world.output(name) for name in IDS]
    there = [content for content in found if content is not None]
    assert {len(content) for content in there} == {2000}
    assert len(set(there)) == len(there)
    assert 5 < len(IDS) - len(there) < 40
    assert rig.world.output("999") is None
    assert rig.world.cost(rig.world.query(DOWNLOAD, ["1"])) == 0.5
