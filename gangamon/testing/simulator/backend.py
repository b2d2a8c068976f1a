"""The plugin that asks the simulated system. The endpoint of the lane is its address:
``unix:/PATH`` or ``HOST:PORT``. The codes and their meanings are in ``codes``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gangamon.domain.cadence import Cadence
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Seen
from gangamon.domain.status import RANK, JobStatus
from gangamon.errors import BackendUnreachable
from gangamon.protocols import Limits, PollItem
from gangamon.testing.simulator.codes import MEANING
from gangamon.testing.simulator.wire import TOO_MANY, Link, Refused

#: How the two sources are called in observations.
LIST, ACCOUNTING = "simulator list", "simulator accounting"


class SimulatedBackend:
    """``limits.jobs`` is also the most ids that one request names."""

    name = "Simulated"

    def __init__(self) -> None:
        self.limits = Limits(jobs=1000, timeout=5.0, slots=4, cadence=Cadence(floor=10.0, cap=10.0))

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """See Backend. Raises BackendUnreachable."""
        found = self._ask("list", LIST, lane, items)
        return {item.key: found.get(item.native_id, Absent(LIST)) for item in items}

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """The accounting. Raises BackendUnreachable."""
        found = self._ask("accounting", ACCOUNTING, lane, items)
        absent = Absent(ACCOUNTING, second=True)
        return {item.key: found.get(item.native_id, absent) for item in items}

    def _ask(self, op: str, source: str, lane: Lane, items: Sequence[PollItem]) -> dict[str, Seen]:
        found: dict[str, Seen] = {}
        if not items:
            return found
        ids = [item.native_id for item in items]
        with Link(lane.endpoint, self.limits.timeout) as link:
            for begin in range(0, len(ids), self.limits.jobs):
                try:
                    answer = link.call(op, ids=ids[begin : begin + self.limits.jobs])
                except Refused as error:
                    if error.code != TOO_MANY:
                        raise
                    hint = f"set backends.{self.name}.jobs"
                    raise BackendUnreachable(f"{error}: {hint}") from error
                _take(answer, source, found)
        return found


def _take(answer: Mapping[str, Any], source: str, found: dict[str, Seen]) -> None:
    """Of several entries for one job the one counts that is furthest on."""
    try:
        began, scale = answer["t0"], float(answer["scale"])
        for row in answer["jobs"]:
            seen = _seen(row, source, began, scale)
            name = str(row[0])
            if name not in found or _progress(seen) > _progress(found[name]):
                found[name] = seen
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BackendUnreachable(f"an answer that cannot be read: {error!r}") from error


def _seen(row: Sequence[Any], source: str, began: float | None, scale: float) -> Seen:
    native_id, code, restart, site, started, ended, exit_code, reason = row
    return Seen(
        str(code),
        MEANING.get(str(code)),
        source,
        site=str(site),
        started_at=_epoch(started, began, scale),
        ended_at=_epoch(ended, began, scale),
        exit_code=None if exit_code is None else int(exit_code),
        reason=str(reason),
        restarts=int(restart),
        attributes={"id": str(native_id), "status": str(code), "actualCE": str(site)},
    )


def _epoch(t: float | None, began: float | None, scale: float) -> float | None:
    return None if t is None or began is None else began + float(t) / scale


def _progress(seen: Seen) -> tuple[int, int]:
    return seen.restarts, RANK[seen.status or JobStatus.SUBMITTING]
