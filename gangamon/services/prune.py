"""Forgets masters that ended long ago, in the store and in the journal."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from gangamon.errors import DiskFull
from gangamon.protocols import JobStore, Journal
from gangamon.services.intake import Intake

log = logging.getLogger(__name__)

#: Seconds between two passes, of all processes together, and masters forgotten by one.
EVERY, MOST = 60.0, 50

#: Seconds between two compactions of the journal.
COMPACT_EVERY = 86400.0

#: Commands about one master job.
_OF_A_MASTER = ("enqueue", "withdraw", "refresh", "retry")


class Prune:
    """Keeps what ended for ``days`` days; 0: for ever."""

    def __init__(self, store: JobStore, intake: Intake, journal: Journal, days: float) -> None:
        self._store = store
        self._intake = intake
        self._journal = journal
        self._older = days * 86400.0

    def run(self) -> int:
        """Masters forgotten; none if another pass was less than EVERY ago."""
        if not self._older or not self._store.my_turn("prune", EVERY):
            return 0
        ended = self._store.ended(self._older, MOST)
        try:
            done = sum(self._intake.forget(*name, self._older) for name in ended)
            if self._store.my_turn(f"compact:{self._journal.identity()}", COMPACT_EVERY):
                dropped = self._journal.compact(superfluous(self._journal.replay()))
                log.info("compaction: the journal has %d commands fewer", dropped)
        except DiskFull as error:
            log.warning("nothing is pruned: %s", error)
            return 0
        if done:
            log.info("%d master jobs that ended long ago are forgotten", done)
        return done


def superfluous(records: Iterable[tuple[str, Mapping[str, Any]]]) -> frozenset[str]:
    """Ids of commands that a replay does not need: those about a master before its last withdrawal
    as a whole. The withdrawal itself is needed for as long as any of these is there.

    As in a replay, a command that stands there again, by a resend or a second tick, is none."""
    about: dict[tuple[str, str, int], list[str]] = {}
    found: set[str] = set()
    seen: set[str] = set()
    for owner, raw in records:
        command_id, kind, master = raw.get("id"), raw.get("kind"), raw.get("master")
        ours = isinstance(command_id, str) and isinstance(master, int) and kind in _OF_A_MASTER
        if not ours or command_id in seen:
            continue
        command_id, master = str(command_id), int(str(master))
        seen.add(command_id)
        earlier = about.setdefault((owner, str(raw.get("repository")), master), [])
        if kind == "withdraw" and not raw.get("subs"):
            found.update(earlier)
            if not earlier:
                found.add(command_id)
            earlier.clear()
        earlier.append(command_id)
    return frozenset(found)
