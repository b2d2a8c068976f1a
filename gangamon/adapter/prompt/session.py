"""What the session knows by itself. No lock is waited for, and nothing but a directory is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from GangaCore.Core.exceptions import GangaValueError

from gangamon.adapter.prompt.figures import Figures
from gangamon.adapter.watch.reader import Gone, peeked
from gangamon.adapter.watch.watched import ENDED, PATIENCE, Watched
from gangamon.domain.command import UNSPLIT
from gangamon.views.text import count

_OFF = "monitoring is off in this session, statuses stand still: enableMonitoring()"

GIVEN_BACK = (
    "Ganga's own monitoring has this repository's jobs; gangamon_mode('gangamon') takes them"
)
COMPARED = (
    "shadow mode: Ganga's own monitoring has the jobs, and what gangamon would say of them is "
    "compared: gangamon_shadow()"
)


class Session:
    """``component``: Ganga's monitoring component, ours. For the user's thread."""

    def __init__(self, component: Any) -> None:
        self._component = component

    @property
    def given_back(self) -> str:
        """Why Ganga's own monitoring has the jobs; '' if it has not."""
        switch = self._component.switch
        if switch.stock is None:
            return ""
        return GIVEN_BACK if switch.onlooker is None else COMPARED

    @property
    def watched(self) -> list[Watched]:
        return sorted(self._component.engine.roster, key=lambda watched: watched.id)

    def status(self, master: int) -> str:
        """GangaValueError: there is no such job."""
        try:
            return str(self._component.reader.status(master))
        except Gone:
            raise GangaValueError(f"job: got {master}; accepted: one that `jobs` lists") from None

    def figures(self, master: int, sub: int | None = None, load: bool = False) -> Figures:
        """``load``: if it is not in memory; else what is known of it. GangaValueError: there is no
        such job, or subjob."""
        status = self.status(master)
        try:
            reader = self._component.reader
            found = peeked(reader.plain(master))
            if found is None and load:
                found = peeked(reader.loaded(master))
        except Gone:
            raise GangaValueError(f"job: got {master}; accepted: one that can be loaded") from None
        if sub is not None:
            if sub not in (found or {}):
                last = max(found, default=UNSPLIT) if found else UNSPLIT
                accepted = f"{master}.0 to {master}.{last}" if last >= 0 else "one without a dot"
                raise GangaValueError(f"job: got {master}.{sub}; accepted: {accepted}")
            return Figures(f"{master}.{sub}", found[sub], {found[sub]: 1})  # type: ignore[index]
        if found is not None:
            return Figures(str(master), status, Counter(found.values()))
        watched = self._component.engine.roster.get(master)
        return Figures(str(master), status, Counter(watched.counts if watched else {}))

    def why_unknown(self, master: int) -> str:
        """Why the service may not know a job."""
        component, status = self._component, self.status(master)
        watched = component.engine.roster.get(master)
        if status in ("new", "template"):
            return "it was not submitted"
        if given_back := self.given_back:
            return given_back
        if master in component.engine.roster.foreign:
            return "gangamon has no plugin for its backend: Ganga's own code asks it"
        if status in ENDED:
            return "it is over, and the service has forgotten it, or never had it"
        if watched is None:
            return _OFF if master not in component.following else "it is not handed over yet"
        if watched.left:
            return "another session has it"
        if watched.refusals >= PATIENCE:
            return "the service refuses it"
        if not watched.attempts:
            return "it is not handed over yet"
        return f"it was handed over; {self._spool()}"

    def monitoring(self) -> str:
        """What is followed; '' if all is."""
        following = self._component.following
        if not following:
            return _OFF
        if following.chosen is None:
            return ""
        return f"only these are followed: {_ids(following.chosen)}"

    def told(self) -> str:
        """One line: what is watched, what was applied, and what waits."""
        engine = self._component.engine
        watched, applier = self.watched, engine.applier
        parts = [
            count(len(watched), "job") + " watched",
            count(applier.applied, "update") + " applied",
        ]
        if waiting := len(applier.backlog):
            parts.append(f"{waiting} waiting for their subjob to be loaded")
        if self._component.link.pending():
            parts.append(self._spool())
        if left := [one.id for one in watched if one.left]:
            parts.append(f"another session has {_ids(left)}")
        if foreign := engine.roster.foreign:
            parts.append(f"asked by Ganga's own code: {_ids(foreign)}")
        return "this session: " + ", ".join(parts)

    def _spool(self) -> str:
        return count(self._component.link.pending(), "command") + " in the spool"


def _ids(numbers: Iterable[int], most: int = 10) -> str:
    found = sorted(numbers)
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(map(str, found[:most])) + more
