"""Asking a backend so that one bad id blinds nobody, and one bad answer is not believed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Unreachable
from gangamon.errors import BackendUnreachable, PermanentError, TransientError
from gangamon.protocols import Asked, Backend, PollItem

log = logging.getLogger(__name__)

#: Ids of one query that may fail each by itself; with more it is the query that fails.
MOST_BAD = 5

#: At least so many jobs, and more than half of the query, missing all at once are suspicious.
MASS = 10


class Query:
    """One query, and what it took. ``longest``: seconds of the longest. ``asked``: all of it, the
    second source included. ``bad``: key -> why the backend fails on this id alone."""

    def __init__(self, backend: Backend, lane: Lane) -> None:
        self._backend, self._lane = backend, lane
        self.longest = 0.0
        self.asked = Asked(0, 0.0, 0.0)
        self.bad: dict[str, str] = {}
        self._error: Exception = BackendUnreachable("not asked")
        self._permanent = False

    def ask(self, items: Sequence[PollItem], new: Collection[str]) -> dict[str, Observation]:
        """Observations by key. ``new``: keys of jobs that the last answer named; when most of a
        query vanish at once, it is asked again before it is believed.

        Raises what the backend raises where nothing is learnt about any job.
        """
        seen = self._ask(items)
        if len(self.bad) == len(items) and not self._permanent:
            raise self._error  # it fails on whatever it is asked: this says nothing about an id
        gone = [i for i in items if i.key in new and isinstance(seen.get(i.key), Absent)]
        if len(gone) >= MASS and 2 * len(gone) > len(items):
            log.warning(
                "lane %s: %d of %d jobs vanished at once", self._lane, len(gone), len(items)
            )
            seen.update(self._again(gone))
        return seen

    def _again(self, gone: Sequence[PollItem]) -> dict[str, Observation]:
        try:
            again = self._ask(gone)
        except Exception as error:  # noqa: BLE001 - then the first answer is not believed
            log.warning("lane %s: asked again: %s", self._lane, error)
            again = {}
        nothing = Unreachable("vanished with most others")
        return {item.key: again.get(item.key, nothing) for item in gone}

    def _ask(self, items: Sequence[PollItem]) -> dict[str, Observation]:
        """A chunk on which the backend fails is halved until the bad id is alone."""
        try:
            return self._once(items)
        except TransientError:
            raise
        except Exception as error:
            if len(items) == 1:
                if len(self.bad) >= MOST_BAD:
                    raise
                self.bad[items[0].key] = f"{type(error).__name__}: {error}"
                self._error, self._permanent = error, isinstance(error, PermanentError)
                return {}
            log.warning("lane %s: a query of %d is halved: %s", self._lane, len(items), error)
            half = len(items) // 2
            return {**self._ask(items[:half]), **self._ask(items[half:])}

    def _once(self, items: Sequence[PollItem]) -> dict[str, Observation]:
        try:
            return self._timed(self._backend.poll, items)
        finally:
            self.longest = self.asked.slowest

    def second(self, items: Sequence[PollItem]) -> dict[str, Observation]:
        """What the second source says."""
        return self._timed(self._backend.second_source, items)

    def _timed(
        self,
        call: Callable[[Lane, Sequence[PollItem]], Mapping[str, Observation]],
        items: Sequence[PollItem],
    ) -> dict[str, Observation]:
        begun = time.monotonic()
        try:
            return dict(call(self._lane, items))
        finally:
            took, was = time.monotonic() - begun, self.asked
            self.asked = Asked(was.queries + 1, was.seconds + took, max(was.slowest, took))
