"""The simulated system: scenarios, the truth they tell, and what is judged by it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from gangamon.domain.job import Entry, Evidence
from gangamon.domain.status import JobStatus
from gangamon.errors import BadInput
from gangamon.testing.factories import job
from gangamon.testing.simulator import audit, codes
from gangamon.testing.simulator import timeline as lines
from gangamon.testing.simulator.figures import percentiles
from gangamon.testing.simulator.scenario import build, load, parse, shipped
from gangamon.testing.simulator.timeline import Phase, truth

IDS = [str(number) for number in range(200)]


# --- scenarios ------------------------------------------------------------------------------


def test_shipped_scenarios_are_well_formed() -> None:
    """Each that comes with gangamon is found by its name."""
    assert shipped() == ("dirac", "hostile", "quiet")
    assert all(load(name).name == name for name in shipped())


def test_dirac_is_the_prototype() -> None:
    """The figures of the simulation that Ganga's own monitoring was measured with."""
    plan = load("dirac")
    assert (plan.list.fixed, plan.list.per_job, plan.list.chunk) == (0.2, 0.0001, 1000)
    assert (plan.download.latency, plan.download.bytes) == (0.05, 2000)
    said = [truth(plan, "100", 1, t) for t in (0.0, 1.9, 2.0, 6.9, 7.0, 1e6)]
    assert [phase and phase.code for phase in said] == [
        "Waiting", "Waiting", "Running", "Running", "Done", "Done",
    ]  # fmt: skip


def test_every_fault_of_a_scenario_at_once() -> None:
    """Each line names the key, the value and what is accepted."""
    text = """
        seed = -1
        colour = "red"
        list = 3
        [jobs]
        count = "many"
        ends = "soon"
        failed = 0.7
        killed = 0.7
        [download]
        bytes = 1.5
        [[faults]]
        kind = "flood"
        [[faults]]
        probability = 2
        [[faults]]
        kind = "empty"
        on = "download"
        from = 5
        to = 5
    """
    with pytest.raises(BadInput) as caught:
        parse(text)
    for line in (
        "seed: got -1; accepted: a whole number from 0",
        "colour: unknown key; accepted: seed",
        "list: got 3; accepted: a table",
        "jobs.count: got 'many'; accepted: a whole number from 0 to 10000000, or 'asked'",
        "jobs.ends: got 'soon'; accepted: rate, duration, never",
        "download.bytes: got 1.5; accepted: a whole number",
        "faults[0].kind: got 'flood'; accepted: timeout, error",
        "faults[1].probability: got 2; accepted: a number from 0 to 1",
        "faults[1].kind: missing",
        "faults[2].to: got 5; accepted: above from (5)",
        "faults[2].on: got 'download'; accepted: only of the kinds timeout",
    ):
        assert any(fault.startswith(line) for fault in caught.value.faults), line
    with pytest.raises(BadInput, match="together 1 at most"):
        build({"jobs": {"failed": 0.7, "killed": 0.7}})


@pytest.mark.parametrize(
    ("name", "why"), [("no-such", "accepted: a TOML file, or one of dirac"), ("/", "got '/'")]
)
def test_a_scenario_that_is_not_there(name: str, why: str) -> None:
    """The names that would be accepted are said."""
    with pytest.raises(BadInput, match=why):
        load(name)


def test_what_is_not_toml() -> None:
    """A text that is no TOML is bad input, not a traceback."""
    with pytest.raises(BadInput, match="not TOML"):
        parse("seed = ")


# --- the truth ------------------------------------------------------------------------------


def test_the_truth_is_a_function_of_the_seed() -> None:
    """The same seed gives the same jobs, another seed others; an attempt has luck of its own."""
    plan = load("hostile")
    other = replace(plan, seed=plan.seed + 1)

    def all_of(plan: Any, attempt: int = 1) -> list[Phase | None]:
        return [truth(plan, name, attempt, 20.0) for name in IDS]

    assert all_of(plan) == all_of(load("hostile"))
    assert all_of(plan) != all_of(other)
    ends = [[p and p.code for p in all_of(plan, attempt)] for attempt in (1, 2)]
    assert ends[0] != ends[1]


def test_timelines_are_in_order() -> None:
    """Times grow, restarts grow with each waiting after a run, and an end is the last."""
    plan = load("hostile")
    restarts = Counter[int]()
    for name in IDS:
        line = lines.timeline(plan, name)
        assert [p.begin for p in line] == sorted(p.begin for p in line)
        assert [p.restart for p in line] == sorted(p.restart for p in line)
        assert [p.code in codes.ENDED for p in line] == [False] * (len(line) - 1) + [True]
        assert line[-1].ended is not None and line[-1].started is not None
        assert line[-1].started <= line[-1].ended
        restarts[line[-1].restart] += 1
    assert restarts[0] and restarts[1]


@pytest.mark.parametrize("kind", ["fixed", "uniform", "exponential", "lognormal"])
def test_durations_have_their_distribution(kind: str) -> None:
    """The middle one of many durations lies near where it should."""
    table = {"ends": "duration", "duration": kind, "duration_mean": 100.0, "duration_spread": 0.5}
    plan = build({"jobs": table})
    took = sorted(lines.timeline(plan, str(n))[-1].begin - 2.0 for n in range(2000))
    assert took[1000] == pytest.approx(69.3 if kind == "exponential" else 100.0, rel=0.1)
    assert (took[0] == took[-1]) == (kind == "fixed")


def test_fractions_of_failed_and_killed() -> None:
    """About as many fail as asked; a failed one has an exit code, a completed one 0."""
    plan = build({"jobs": {"failed": 0.2, "killed": 0.1}})
    ends = [lines.timeline(plan, str(n))[-1] for n in range(2000)]
    count = Counter(phase.code for phase in ends)
    assert count["Failed"] == pytest.approx(400, rel=0.2)
    assert count["Killed"] == pytest.approx(200, rel=0.2)
    assert all(p.exit_code for p in ends if p.code == "Failed")
    assert all(p.exit_code == 0 for p in ends if p.code == "Done")


# --- what came of it ------------------------------------------------------------------------


def test_untruths_are_found() -> None:
    """A final status needs an answer that was given, which says the same and is so."""

    def ended(status: JobStatus, code: str, **fields: Any) -> Any:
        evidence = Evidence("simulator list", code, **fields)
        return job(status, evidence=evidence)

    answered = {("1", 0, "Done"), ("1", 0, "Running"), ("1", 0, "Failed")}
    now = {"1": Phase("1", 5.0, "Done", 0)}
    good = [
        ended(JobStatus.COMPLETED, "Done"),
        ended(JobStatus.FAILED, "Done", reason="outputs: gone"),
        ended(JobStatus.FAILED, "Running", reason="lost: in no answer"),
        job(JobStatus.RUNNING),
    ]
    assert [line for one in good for line in audit.untruths({"1": one}, answered, now)] == []
    for bad, why in (
        (ended(JobStatus.KILLED, "Killed"), "Killed of restart 0 was in no answer"),
        (ended(JobStatus.COMPLETED, "Running"), "its evidence is Running"),
        (ended(JobStatus.FAILED, "Failed"), "it is Done"),
        (job(JobStatus.COMPLETED), "without evidence"),
        (replace(ended(JobStatus.COMPLETED, "Done"), restart=1), "restart 1 was in no answer"),
    ):
        (line,) = audit.untruths({"1": bad}, answered, now)
        assert why in line


def test_what_answers_tell() -> None:
    """Each step once, in the order of the answers; nothing of what is older than the last."""
    said = [("1", 0, code) for code in ("Waiting", "Running", "Odd", "Running")]
    said += [("1", 1, "Preempted"), ("1", 0, "Running"), ("1", 1, "Running"), ("1", 1, "Done")]
    said += [("1", 1, "Killed"), ("2", 2, "Failed"), ("3", 0, "Killed"), ("4", 1, "Odd")]
    running, completing = JobStatus.RUNNING, JobStatus.COMPLETING
    assert audit.told(said) == {
        "1": [(0, running), (1, JobStatus.SUBMITTED), (1, running), (1, completing)],
        "2": [(2, JobStatus.SUBMITTED), (2, completing)],
        "3": [(0, JobStatus.KILLED)],
        "4": [(1, JobStatus.SUBMITTED)],
    }


def test_answers_without_effect_are_found() -> None:
    """A step that was told and did not take place, and one that nobody told of."""
    said = [("1", 0, "Running"), ("1", 0, "Done")]
    begun = Entry(1, 0, JobStatus.SUBMITTED, 0.0, "ganga")
    steps = {
        status: Entry(1, 0, status, 1.0, "simulator list")
        for status in (JobStatus.RUNNING, JobStatus.COMPLETING, JobStatus.FAILED)
    }
    done = replace(job(JobStatus.FAILED), history=(begun, *steps.values()))
    assert audit.untold({"1": done}, said) == []
    missed = replace(done, history=(begun, *list(steps.values())[1:]))
    (line,) = audit.untold({"1": missed}, said)
    assert "answers tell running@0 completing@0, its history completing@0" in line
    (line,) = audit.untold({"1": done}, said[:1])
    assert "answers tell running@0, its history running@0 completing@0" in line
    (line,) = audit.untold({"2": replace(done, history=(begun,))}, [("2", 0, "Killed")])
    assert "answers tell killed@0, its history nothing" in line


def test_percentiles_are_lags_that_were_measured() -> None:
    """The 95th of a hundred is one of the hundred."""
    assert percentiles([]) == {}
    assert percentiles([3.0]) == {"p50": 3.0, "p95": 3.0, "p99": 3.0}
    assert percentiles(range(100)) == {"p50": 50, "p95": 95, "p99": 99}
