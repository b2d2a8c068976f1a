"""Which faults befall a query: a pure function of the scenario, the time and the query's number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gangamon.testing.simulator.scenario import OF_A_JOB, OF_A_QUERY, Fault, Scenario
from gangamon.testing.simulator.timeline import draw


@dataclass(frozen=True)
class Bad:
    """A fault at work. ``index``: which one of the scenario's."""

    index: int
    fault: Fault

    @property
    def kind(self) -> str:
        return self.fault.kind


def befalls(
    scenario: Scenario, faults: Sequence[Fault], source: str, number: int, t: float
) -> tuple[Bad, ...]:
    """The faults of query ``number`` of a source (list, accounting, download) at a time. Those
    of a query have been drawn for; those of a job are drawn for each by ``hits``."""
    found = []
    for index, fault in enumerate(faults):
        if not fault.enabled or fault.on not in (source, "all"):
            continue
        if not fault.begin <= t < fault.end:
            continue
        lucky = draw(scenario, f"query{index}", number) >= fault.probability
        if fault.kind in OF_A_JOB or (fault.kind in OF_A_QUERY and not lucky):
            found.append(Bad(index, fault))
    return tuple(found)


def hits(scenario: Scenario, bad: Bad, native_id: str) -> bool:
    """Whether a job is one of those that a fault of jobs befalls."""
    return draw(scenario, f"job{bad.index}", native_id) < bad.fault.probability


def some(scenario: Scenario, bad: Bad, number: int, ids: Iterable[str]) -> set[str]:
    """The fraction of an answer's jobs that a fault of the answer befalls."""
    what, fraction = f"answer{bad.index}.{number}", bad.fault.fraction
    return {name for name in ids if draw(scenario, what, name) < fraction}
