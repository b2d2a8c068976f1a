"""A backend, a fetcher and a merger that do as a test's script says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gangamon.domain.cadence import Cadence
from gangamon.domain.command import NotifierSpec
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Observation, Seen
from gangamon.domain.status import JobStatus
from gangamon.domain.transition import AbsencePolicy
from gangamon.protocols import Event, FetchOrder, Limits, Manifest, MergeOrder, PollItem

SUBMITTED = Seen("PD", JobStatus.SUBMITTED, "script")
RUNNING = Seen("R", JobStatus.RUNNING, "script", site="node1", attributes={"id": 5})
DONE = Seen("CD", JobStatus.COMPLETED, "script", ended_at=990.0, exit_code=0)
FAILED = Seen("F", JobStatus.FAILED, "script", ended_at=990.0, exit_code=3, reason="exit code 3")

#: What a script holds for one query: an answer by fqid, or what the query raises.
Answer = Mapping[str, Observation] | Exception


class ScriptedBackend:
    """Answers each query with the script's next entry; the last one stays."""

    name = "Local"

    def __init__(self) -> None:
        self.limits = Limits(
            jobs=1000,
            slots=2,
            # So long that no machine is slow enough for a second query to fall due in a test.
            cadence=Cadence(floor=100.0, cap=800.0, growth=2.0, retry_base=200.0),
            absence=AbsencePolicy(absences=2, grace=60.0, lost_after=600.0),
        )
        self.answers: list[Answer] = []
        self.second: list[Answer] = []
        self.asked: list[list[str]] = []
        self.asked_second: list[list[str]] = []

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        self.asked.append(sorted(item.fqid for item in items))
        return _answer(_next(self.answers), items)

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        self.asked_second.append(sorted(item.fqid for item in items))
        return _answer(_next(self.second), items)


class ScriptedFetcher:
    """Fetches nothing; ``does`` may raise."""

    name = "Local"

    def __init__(self) -> None:
        self.orders: list[FetchOrder] = []
        self.does: Callable[[FetchOrder], None] = lambda _: None

    def fetch(self, order: FetchOrder) -> Manifest:
        self.orders.append(order)
        self.does(order)
        return Manifest((("stdout", 3, "00"), ("data", 7, "11")))


class ScriptedMerger:
    """Merges nothing; ``does`` may raise."""

    kind = "TextMerger"

    def __init__(self) -> None:
        self.orders: list[MergeOrder] = []
        self.does: Callable[[MergeOrder], None] = lambda _: None

    def run(self, order: MergeOrder) -> Manifest:
        self.orders.append(order)
        self.does(order)
        return Manifest(tuple((name, 1, "00") for name in order.spec.files))


class ScriptedNotifier:
    """Tells nobody, and keeps what it was to tell; ``does`` may raise."""

    kind = "Notifier"

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.does: Callable[[Event], None] = lambda _: None

    def wanted(self, spec: NotifierSpec, event: Event) -> bool:
        return True

    def tell(self, spec: NotifierSpec, event: Event) -> None:
        self.told.append(event)
        self.does(event)


def _answer(script: Mapping[str, Observation], items: Sequence[PollItem]) -> dict[str, Observation]:
    """A script's entry may name a job by its fqid, or by its whole key where two have that."""
    found = {item.key: script.get(item.key, script.get(item.fqid)) for item in items}
    return {key: observation for key, observation in found.items() if observation is not None}


def _next(script: list[Answer]) -> Mapping[str, Observation]:
    answer = script.pop(0) if len(script) > 1 else script[0]
    if isinstance(answer, Exception):
        raise answer
    return answer
